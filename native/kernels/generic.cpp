// The portable table: states the meaning of every kernel.
#include "kernels/kernels.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/gemm-inl.h"

// Bits set in a word, without the POPCNT instruction, which baseline x86-64 lacks.
inline uint64_t popcount(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return (x * 0x0101010101010101u) >> 56;
}

struct Bits {
  using Weight = uint64_t;
  using Packed = uint64_t;
  using Sum = int32_t;
  static constexpr size_t kColumns = 4;
  static constexpr int kRows = 2, kBlocks = 1;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;

  template <int R, int B>
  static void tile(const char* rows, size_t stride, const uint32_t*, const Packed* packed, size_t block,
                   size_t depth, const Sum* start, Sum* out, size_t out_stride) {
    uint64_t different[R][B * kColumns] = {};
    for (size_t k = 0; k < depth; ++k)
      for (int r = 0; r < R; ++r) {
        const uint64_t word = ((const uint64_t*)(rows + r * stride))[k];
        for (size_t c = 0; c < B * kColumns; ++c)
          different[r][c] += popcount(word ^ packed[c / kColumns * block + k * kColumns + c % kColumns]);
      }
    for (int r = 0; r < R; ++r)
      for (size_t c = 0; c < B * kColumns; ++c) out[r * out_stride + c] = start[c] - 2 * (Sum)different[r][c];
  }
};

// Activations of type `Element` times weights; both are multiplied as `Factor` and summed as `Total`
// (unsigned: modulo 2^32). Four depths at a time, so that the sums are loaded and stored a quarter as often;
// compilers turn the loop over the columns into the vectors they have.
template <class Element, class Weight_, class Factor, class Total, class Sum_>
struct Plain {
  using Weight = Weight_;
  using Packed = Factor;
  using Sum = Sum_;
  static constexpr size_t kColumns = 16;
  static constexpr int kRows = 1, kBlocks = 1;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;
  static Total product(Factor a, Factor b) { return (Total)(Sum)(a * b); }

  static Factor at(const char* rows, const uint32_t* places, size_t k) {
    constexpr size_t kTogether = 4 / sizeof(Element);
    return (Factor)((const Element*)(rows + places[k / kTogether]))[k % kTogether];
  }

  template <int R, int B>
  static void tile(const char* rows, size_t, const uint32_t* places, const Packed* packed, size_t,
                   size_t depth, const Sum* start, Sum* out, size_t) {
    Total total[kColumns] = {};
    size_t k = 0;
    for (; k + 4 <= depth; k += 4) {
      const Packed* w = packed + k * kColumns;
      const Factor a = at(rows, places, k), b = at(rows, places, k + 1), c = at(rows, places, k + 2),
                   d = at(rows, places, k + 3);
      for (size_t i = 0; i < kColumns; ++i)
        total[i] += product(a, w[i]) + product(b, w[kColumns + i]) + product(c, w[2 * kColumns + i]) +
                    product(d, w[3 * kColumns + i]);
    }
    for (; k < depth; ++k)
      for (size_t i = 0; i < kColumns; ++i)
        total[i] += product(at(rows, places, k), packed[k * kColumns + i]);
    for (size_t c = 0; c < kColumns; ++c) out[c] = (Sum)((Total)start[c] + total[c]);
  }
};

using Bytes = Plain<uint8_t, int8_t, int16_t, uint32_t, int32_t>;
using Ints = Plain<int32_t, int8_t, int32_t, uint32_t, int32_t>;
using Floats = Plain<float, float, float, float, float>;

uint64_t less_64(const int32_t* x, const int32_t* invert, const int32_t* cut) {
  uint64_t word = 0;
  for (int i = 0; i < 64; ++i) word |= (uint64_t)((x[i] ^ invert[i]) < cut[i]) << i;
  return word;
}

#include "kernels/adders-inl.h"
#include "kernels/bitplane-inl.h"
#include "kernels/registers-generic-inl.h"
#include "kernels/spread-inl.h"

// Blocks of 32, 16, 8, 4, 2, 1 bits change places across the diagonal.
void transpose(const uint64_t* in, size_t in_stride, uint64_t* out, size_t out_stride) {
  uint64_t x[64];
  for (size_t i = 0; i < 64; ++i) x[i] = in[i * in_stride];
  uint64_t mask = 0x00000000ffffffffu;
  for (size_t j = 32; j > 0; j >>= 1, mask ^= mask << j)
    for (size_t block = 0; block < 64; block += 2 * j)
      for (size_t i = block; i < block + j; ++i) {
        const uint64_t swapped = ((x[i] >> j) ^ x[i + j]) & mask;
        x[i] ^= swapped << j;
        x[i + j] ^= swapped;
      }
  for (size_t i = 0; i < 64; ++i) out[i * out_stride] = x[i];
}

constexpr PlaneTable kPlanes = {
    .widths = {plane_width<TwoInputs<Lanes64>>(spread_blocks<TwoInputs<Lanes64>, transpose>, nullptr,
                                               {.plane_cost = 0.65f,
                                                .group_cost = {60, 150},
                                                .input_cost = 1.0f,
                                                .mirror_cost = 0.65f,
                                                .many_cost = 1400})},
    .count = 1,
    .list = list_planes,
    .transpose = transpose,
    .turn_nine = turn_nine,
    .popcount_cost = {1.0f, 0.9f},
    .patch_cost = {1.3f, 3.3f},
    .gather_cost = {2.5f, 0.8f},
    .five_from = 1100,
    .count_cost = 0.6f,
    .mirror = {.sort_few = sort_one_by_one<kFewPositions, read_patterns<kFewPositions>>,
               .sort_many = sort_one_by_one<kManyPositions, read_patterns<kManyPositions>>,
               .sort_cost = 1.25f}};

#include "kernels/chain-inl.h"

struct Reals {
  static constexpr size_t kLanes = 16;
  struct T {
    float x[kLanes];
  };
  template <class At>
  static SB_INLINE T each(At at) {
    T result;
    for (size_t i = 0; i < kLanes; ++i) result.x[i] = at(i);
    return result;
  }
  static SB_INLINE T load(const float* p) {
    return each([=](size_t i) { return p[i]; });
  }
  static SB_INLINE void store(float* p, const T& a) { store_some(p, a, kLanes); }
  static SB_INLINE void store_some(float* p, const T& a, size_t n) {
    for (size_t i = 0; i < n; ++i) p[i] = a.x[i];
  }
  static SB_INLINE T ints(const int32_t* p) {
    return each([=](size_t i) { return (float)p[i]; });
  }
  static SB_INLINE T counts(const uint16_t* p, size_t apart) {
    const uint16_t* second = (const uint16_t*)((const char*)p + apart);
    return each([=](size_t i) { return (float)(i < 8 ? p[i] : second[i - 8]); });
  }
  static SB_INLINE T counts(const uint8_t* p, size_t) {
    return each([=](size_t i) { return (float)p[i]; });
  }
  static SB_INLINE T join(const T& a, const T& b, const T& c) {
    return each([&](size_t i) { return a.x[i] * b.x[i] + c.x[i]; });
  }
  static SB_INLINE T fill(float a) {
    return each([=](size_t) { return a; });
  }
  static SB_INLINE T multiply(const T& a, const T& b) {
    return each([&](size_t i) { return a.x[i] * b.x[i]; });
  }
  static SB_INLINE T add(const T& a, const T& b) {
    return each([&](size_t i) { return a.x[i] + b.x[i]; });
  }
  static SB_INLINE T prelu(const T& a, const T& slope, const T& positive) {
    return each([&](size_t i) { return a.x[i] * (a.x[i] >= 0 ? positive.x[i] : slope.x[i]); });
  }
  static SB_INLINE T clamp(const T& a, const T& low, const T& high) {
    return each([&](size_t i) {
      const float raised = a.x[i] < low.x[i] ? low.x[i] : a.x[i];
      return raised > high.x[i] ? high.x[i] : raised;
    });
  }
  static SB_INLINE T maximum(const T& a, const T& b) {
    return each([&](size_t i) { return b.x[i] > a.x[i] || b.x[i] != b.x[i] ? b.x[i] : a.x[i]; });
  }
  struct Ints {
    int32_t x[kLanes];
  };
  static SB_INLINE Ints load_ints(const int32_t* p) {
    Ints result;
    memcpy(result.x, p, sizeof result.x);
    return result;
  }
  static SB_INLINE void store_ints(int32_t* p, const Ints& a) { memcpy(p, a.x, sizeof a.x); }
  static SB_INLINE Ints larger(const Ints& a, const Ints& b) {
    Ints result;
    for (size_t i = 0; i < kLanes; ++i) result.x[i] = a.x[i] > b.x[i] ? a.x[i] : b.x[i];
    return result;
  }
  static SB_INLINE Ints differ(const Ints& a, const Ints& b) {
    Ints result;
    for (size_t i = 0; i < kLanes; ++i) result.x[i] = a.x[i] ^ b.x[i];
    return result;
  }
  struct Total {
    double x[kLanes];
  };
  static SB_INLINE Total zero() { return {}; }
  static SB_INLINE void include(Total& total, const T& a) {
    for (size_t i = 0; i < kLanes; ++i) total.x[i] += a.x[i];
  }
  static SB_INLINE T mean(const Total& total, double by, bool multiply) {
    return each([&](size_t i) { return (float)(multiply ? total.x[i] * by : total.x[i] / by); });
  }
  static SB_INLINE uint32_t negative(const T& a) {
    uint32_t bits = 0;
    for (size_t i = 0; i < kLanes; ++i) bits |= (uint32_t)(a.x[i] < 0) << i;
    return bits;
  }
};

#include "kernels/rows-inl.h"

}  // namespace

extern const KernelTable kGenericKernels =
    table("generic", gemm<Bits>(), gemm<Bytes>(), gemm<Ints>(), gemm<Floats>(), kPlanes,
          row_kernels<Reals>(run_chain<Reals, 4>));

}  // namespace sb
