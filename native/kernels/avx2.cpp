// AVX2 with FMA.
#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/gemm-inl.h"

// Bits set in every byte, by a table of half bytes.
inline __m256i popcount_bytes(__m256i x) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2,
                                         3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i half = _mm256_set1_epi8(0x0f);
  const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, half));
  const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), half));
  return _mm256_add_epi8(low, high);
}

// A register holds one word of four filters. Counts gather in bytes, which hold 31 times 8.
struct Bits {
  using Weight = uint64_t;
  using Packed = uint64_t;
  using Sum = int32_t;
  static constexpr size_t kColumns = 4;
  static constexpr int kRows = 2, kBlocks = 2;
  static constexpr size_t kFull = 31;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;

  template <int R, int B>
  static void tile(const char* rows, size_t stride, const uint32_t*, const Packed* packed, size_t block,
                   size_t depth, const Sum* start, Sum* out, size_t out_stride) {
    __m256i different[R][B];
    SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) different[r][b] =
        _mm256_setzero_si256();
    for (size_t first = 0; first < depth; first += kFull) {
      const size_t last = depth - first < kFull ? depth : first + kFull;
      __m256i bytes[R][B];
      SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) bytes[r][b] =
          _mm256_setzero_si256();
      for (size_t k = first; k < last; ++k) {
        __m256i weights[B];
        SB_UNROLL for (int b = 0; b < B; ++b) weights[b] =
            _mm256_load_si256((const __m256i*)(packed + b * block + k * kColumns));
        SB_UNROLL for (int r = 0; r < R; ++r) {
          const __m256i word = _mm256_set1_epi64x(((const long long*)(rows + r * stride))[k]);
          SB_UNROLL for (int b = 0; b < B; ++b) bytes[r][b] =
              _mm256_add_epi8(bytes[r][b], popcount_bytes(_mm256_xor_si256(word, weights[b])));
        }
      }
      SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) different[r][b] =
          _mm256_add_epi64(different[r][b], _mm256_sad_epu8(bytes[r][b], _mm256_setzero_si256()));
    }
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    SB_UNROLL for (int b = 0; b < B; ++b) {
      const __m128i first = _mm_loadu_si128((const __m128i*)(start + b * kColumns));
      SB_UNROLL for (int r = 0; r < R; ++r) {
        const __m128i count = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(different[r][b], even));
        const __m128i sum = _mm_sub_epi32(first, _mm_add_epi32(count, count));
        _mm_storeu_si128((__m128i*)(out + r * out_stride + b * kColumns), sum);
      }
    }
  }
};

// Registers of int32 sums, of eight filters.
struct Sums {
  using T = __m256i;
  using Sum = int32_t;
  static constexpr size_t kColumns = 8;
  static constexpr int kRows = 4, kBlocks = 2;
  static SB_INLINE T zero() { return _mm256_setzero_si256(); }
  static SB_INLINE T load(const Sum* p) { return _mm256_loadu_si256((const T*)p); }
  static SB_INLINE void store(Sum* p, T a) { _mm256_storeu_si256((T*)p, a); }
  static SB_INLINE T add(T a, T b) { return _mm256_add_epi32(a, b); }
};

// Bytes widen to 16 bits, even and odd ones apart: products of bytes alone would saturate. The weights of
// both stay in memory, for want of registers.
struct Bytes : Sums {
  using Weight = int8_t;
  using Packed = int16_t;
  static constexpr size_t kTogether = 4;
  struct Row {
    T even, odd;
  };
  static size_t elements(size_t depth) { return (depth + 3) / 4 * 4; }

  static void pack_block(const Weight* weight, size_t count, size_t depth, Packed* packed) {
    for (size_t column = 0; column < count; ++column)
      for (size_t k = 0; k < depth; ++k)
        packed[k / 4 * 32 + k % 2 * 16 + column * 2 + k % 4 / 2] = weight[column * depth + k];
  }
  static SB_INLINE const T* weights(const Packed* p) { return (const T*)p; }
  static SB_INLINE Row row(const char* p) {
    int four;
    memcpy(&four, p, sizeof four);
    const T bytes = _mm256_set1_epi32(four);
    return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
  }
  static SB_INLINE T multiply_add(T sum, const Row& row, const T* weights) {
    const T first = _mm256_madd_epi16(row.even, _mm256_load_si256(weights));
    const T second = _mm256_madd_epi16(row.odd, _mm256_load_si256(weights + 1));
    return add(sum, add(first, second));
  }
  template <int R, int B>
  static constexpr auto tile = register_tile<Bytes, R, B>;
};

struct Ints : Sums {
  using Weight = int8_t;
  using Packed = int32_t;
  static constexpr size_t kTogether = 1;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;
  static SB_INLINE T weights(const Packed* p) { return _mm256_load_si256((const T*)p); }
  static SB_INLINE T row(const char* p) { return _mm256_set1_epi32(*(const int*)p); }
  static SB_INLINE T multiply_add(T sum, T row, T weights) {
    return add(sum, _mm256_mullo_epi32(row, weights));
  }
  template <int R, int B>
  static constexpr auto tile = register_tile<Ints, R, B>;
};

struct Floats {
  using T = __m256;
  using Weight = float;
  using Packed = float;
  using Sum = float;
  static constexpr size_t kColumns = 8, kTogether = 1;
  static constexpr int kRows = 6, kBlocks = 2;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;
  static SB_INLINE T zero() { return _mm256_setzero_ps(); }
  static SB_INLINE T load(const Sum* p) { return _mm256_loadu_ps(p); }
  static SB_INLINE void store(Sum* p, T a) { _mm256_storeu_ps(p, a); }
  static SB_INLINE T add(T a, T b) { return _mm256_add_ps(a, b); }
  static SB_INLINE T weights(const Packed* p) { return _mm256_load_ps(p); }
  static SB_INLINE T row(const char* p) { return _mm256_set1_ps(*(const float*)p); }
  static SB_INLINE T multiply_add(T sum, T row, T weights) { return _mm256_fmadd_ps(row, weights, sum); }
  template <int R, int B>
  static constexpr auto tile = register_tile<Floats, R, B>;
};

uint64_t less_64(const int32_t* x, const int32_t* invert, const int32_t* cut) {
  uint64_t word = 0;
  for (int i = 0; i < 64; i += 8) {
    const __m256i value = _mm256_loadu_si256((const __m256i*)(x + i));
    const __m256i turned = _mm256_xor_si256(value, _mm256_loadu_si256((const __m256i*)(invert + i)));
    const __m256i less = _mm256_cmpgt_epi32(_mm256_loadu_si256((const __m256i*)(cut + i)), turned);
    word |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(less)) << i;
  }
  return word;
}

#include "kernels/bitplane-avx2-inl.h"
#include "kernels/chain-inl.h"

struct Reals256 {
  using T = __m256;
  static constexpr size_t kLanes = 8;
  static SB_INLINE T load(const float* p) { return _mm256_loadu_ps(p); }
  static SB_INLINE void store(float* p, T a) { _mm256_storeu_ps(p, a); }
  static SB_INLINE void store_some(float* p, T a, size_t n) {
    float values[kLanes];
    _mm256_storeu_ps(values, a);
    for (size_t i = 0; i < n; ++i) p[i] = values[i];
  }
  static SB_INLINE T ints(const int32_t* p) {
    return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i*)p));
  }
  static SB_INLINE T counts(const uint16_t* p, size_t) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)));
  }
  static SB_INLINE T counts(const uint8_t* p, size_t) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
  }
  static SB_INLINE T join(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static SB_INLINE T fill(float a) { return _mm256_set1_ps(a); }
  static SB_INLINE T multiply(T a, T b) { return _mm256_mul_ps(a, b); }
  static SB_INLINE T add(T a, T b) { return _mm256_add_ps(a, b); }
  static SB_INLINE T prelu(T a, T slope, T positive) {
    const T up = _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GE_OQ);
    return _mm256_mul_ps(a, _mm256_blendv_ps(slope, positive, up));
  }
  // In this order of operands NaN and zeros stay what they are.
  static SB_INLINE T clamp(T a, T low, T high) { return _mm256_min_ps(high, _mm256_max_ps(low, a)); }
  static SB_INLINE T maximum(T a, T b) {
    const T taken = _mm256_or_ps(_mm256_cmp_ps(b, a, _CMP_GT_OQ), _mm256_cmp_ps(b, b, _CMP_UNORD_Q));
    return _mm256_blendv_ps(a, b, taken);
  }
  using Ints = __m256i;
  static SB_INLINE Ints load_ints(const int32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  static SB_INLINE void store_ints(int32_t* p, Ints a) { _mm256_storeu_si256((__m256i*)p, a); }
  static SB_INLINE Ints larger(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
  static SB_INLINE Ints differ(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
  struct Total {
    __m256d low, high;
  };
  static SB_INLINE Total zero() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }
  static SB_INLINE void include(Total& total, T a) {
    total.low = _mm256_add_pd(total.low, _mm256_cvtps_pd(_mm256_castps256_ps128(a)));
    total.high = _mm256_add_pd(total.high, _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
  }
  static SB_INLINE T mean(const Total& total, double by, bool multiply) {
    const __m256d all = _mm256_set1_pd(by);
    const __m128 low =
        _mm256_cvtpd_ps(multiply ? _mm256_mul_pd(total.low, all) : _mm256_div_pd(total.low, all));
    const __m128 high =
        _mm256_cvtpd_ps(multiply ? _mm256_mul_pd(total.high, all) : _mm256_div_pd(total.high, all));
    return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
  }
  static SB_INLINE uint32_t negative(T a) {
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_LT_OQ));
  }
};

#include "kernels/rows-inl.h"

}  // namespace

extern const KernelTable kAvx2Kernels =
    table("avx2", gemm<Bits>(), gemm<Bytes>(), gemm<Ints>(), gemm<Floats>(), kPlanes,
          row_kernels<Reals256>(run_chain<Reals256, 8>));

}  // namespace sb
