// AVX-512 F, BW, DQ, VL with VBMI2, VPOPCNTDQ, VNNI and GFNI.
#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/gemm-inl.h"

// GCC 12 copies the accumulators of the intrinsic on every use; the assembler form does not.
inline __m512i dot_bytes(__m512i sum, __m512i unsigned_bytes, __m512i signed_bytes) {
#if defined(__GNUC__)
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
  return sum;
#else
  return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes);
#endif
}

// A register holds one word of eight filters; the word of a row is broadcast.
struct Bits {
  using Weight = uint64_t;
  using Packed = uint64_t;
  using Sum = int32_t;
  static constexpr size_t kColumns = 8;
  static constexpr int kRows = 4, kBlocks = 4;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;

  template <int R, int B>
  static void tile(const char* rows, size_t stride, const uint32_t*, const Packed* packed, size_t block,
                   size_t depth, const Sum* start, Sum* out, size_t out_stride) {
    __m512i different[R][B];
    SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) different[r][b] =
        _mm512_setzero_si512();
    for (size_t k = 0; k < depth; ++k) {
      __m512i weights[B];
      SB_UNROLL for (int b = 0; b < B; ++b) weights[b] = _mm512_load_si512(packed + b * block + k * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r) {
        const __m512i word = _mm512_set1_epi64(((const long long*)(rows + r * stride))[k]);
        SB_UNROLL for (int b = 0; b < B; ++b) different[r][b] =
            _mm512_add_epi64(different[r][b], _mm512_popcnt_epi64(_mm512_xor_si512(word, weights[b])));
      }
    }
    SB_UNROLL for (int b = 0; b < B; ++b) {
      const __m256i first = _mm256_loadu_si256((const __m256i*)(start + b * kColumns));
      SB_UNROLL for (int r = 0; r < R; ++r) {
        const __m256i count = _mm512_cvtepi64_epi32(different[r][b]);
        const __m256i sum = _mm256_sub_epi32(first, _mm256_add_epi32(count, count));
        _mm256_storeu_si256((__m256i*)(out + r * out_stride + b * kColumns), sum);
      }
    }
  }
};

// Registers of int32 sums, of sixteen filters.
struct Sums {
  using T = __m512i;
  using Sum = int32_t;
  static constexpr size_t kColumns = 16;
  static constexpr int kRows = 4, kBlocks = 4;
  static SB_INLINE T zero() { return _mm512_setzero_si512(); }
  static SB_INLINE T load(const Sum* p) { return _mm512_loadu_si512(p); }
  static SB_INLINE void store(Sum* p, T a) { _mm512_storeu_si512(p, a); }
  static SB_INLINE T add(T a, T b) { return _mm512_add_epi32(a, b); }
};

// A register holds four depths of sixteen filters; four bytes of a row are broadcast.
struct Bytes : Sums {
  using Weight = int8_t;
  using Packed = int8_t;
  static constexpr size_t kTogether = 4;
  static size_t elements(size_t depth) { return (depth + 3) / 4 * 4; }

  static void pack_block(const Weight* weight, size_t count, size_t depth, Packed* packed) {
    for (size_t column = 0; column < count; ++column, weight += depth) {
      size_t k = 0;
      for (; k + 4 <= depth; k += 4) memcpy(packed + k * kColumns + column * 4, weight + k, 4);
      for (; k < depth; ++k) packed[k / 4 * 64 + column * 4 + k % 4] = weight[k];
    }
  }
  static SB_INLINE T weights(const Packed* p) { return _mm512_load_si512(p); }
  static SB_INLINE T row(const char* p) {
    int four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static SB_INLINE T multiply_add(T sum, T row, T weights) { return dot_bytes(sum, row, weights); }
  template <int R, int B>
  static constexpr auto tile = register_tile<Bytes, R, B>;
};

struct Ints : Sums {
  using Weight = int8_t;
  using Packed = int32_t;
  static constexpr size_t kTogether = 1;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;
  static SB_INLINE T weights(const Packed* p) { return _mm512_load_si512(p); }
  static SB_INLINE T row(const char* p) { return _mm512_set1_epi32(*(const int*)p); }
  static SB_INLINE T multiply_add(T sum, T row, T weights) {
    return add(sum, _mm512_mullo_epi32(row, weights));
  }
  template <int R, int B>
  static constexpr auto tile = register_tile<Ints, R, B>;
};

struct Floats {
  using T = __m512;
  using Weight = float;
  using Packed = float;
  using Sum = float;
  static constexpr size_t kColumns = 16, kTogether = 1;
  static constexpr int kRows = 6, kBlocks = 4;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;
  static SB_INLINE T zero() { return _mm512_setzero_ps(); }
  static SB_INLINE T load(const Sum* p) { return _mm512_loadu_ps(p); }
  static SB_INLINE void store(Sum* p, T a) { _mm512_storeu_ps(p, a); }
  static SB_INLINE T add(T a, T b) { return _mm512_add_ps(a, b); }
  static SB_INLINE T weights(const Packed* p) { return _mm512_load_ps(p); }
  static SB_INLINE T row(const char* p) { return _mm512_set1_ps(*(const float*)p); }
  static SB_INLINE T multiply_add(T sum, T row, T weights) { return _mm512_fmadd_ps(row, weights, sum); }
  template <int R, int B>
  static constexpr auto tile = register_tile<Floats, R, B>;
};

uint64_t less_64(const int32_t* x, const int32_t* invert, const int32_t* cut) {
  uint64_t word = 0;
  SB_UNROLL for (int i = 0; i < 4; ++i) {
    const __m512i turned =
        _mm512_xor_si512(_mm512_loadu_si512(x + 16 * i), _mm512_loadu_si512(invert + 16 * i));
    word |= (uint64_t)_mm512_cmplt_epi32_mask(turned, _mm512_loadu_si512(cut + 16 * i)) << (16 * i);
  }
  return word;
}

#include "kernels/bitplane-avx512-inl.h"
#include "kernels/chain-inl.h"

struct Reals512 {
  using T = __m512;
  static constexpr size_t kLanes = 16;
  static SB_INLINE T load(const float* p) { return _mm512_loadu_ps(p); }
  static SB_INLINE void store(float* p, T a) { _mm512_storeu_ps(p, a); }
  static SB_INLINE void store_some(float* p, T a, size_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
  }
  static SB_INLINE T ints(const int32_t* p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
  static SB_INLINE T counts(const uint16_t* p, size_t apart) {
    const __m256i first = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i*)p));
    const __m128i second = _mm_loadu_si128((const __m128i*)((const char*)p + apart));
    return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_inserti128_si256(first, second, 1)));
  }
  static SB_INLINE T counts(const uint8_t* p, size_t) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
  }
  static SB_INLINE T join(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static SB_INLINE T fill(float a) { return _mm512_set1_ps(a); }
  static SB_INLINE T multiply(T a, T b) { return _mm512_mul_ps(a, b); }
  static SB_INLINE T add(T a, T b) { return _mm512_add_ps(a, b); }
  static SB_INLINE T prelu(T a, T slope, T positive) {
    const __mmask16 up = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_mul_ps(a, _mm512_mask_blend_ps(up, slope, positive));
  }
  // In this order of operands NaN and zeros stay what they are.
  static SB_INLINE T clamp(T a, T low, T high) { return _mm512_min_ps(high, _mm512_max_ps(low, a)); }
  static SB_INLINE T maximum(T a, T b) {
    const __mmask16 larger = _mm512_cmp_ps_mask(b, a, _CMP_GT_OQ),
                    none = _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q);
    return _mm512_mask_blend_ps((__mmask16)(larger | none), a, b);
  }
  using Ints = __m512i;
  static SB_INLINE Ints load_ints(const int32_t* p) { return _mm512_loadu_si512(p); }
  static SB_INLINE void store_ints(int32_t* p, Ints a) { _mm512_storeu_si512(p, a); }
  static SB_INLINE Ints larger(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
  static SB_INLINE Ints differ(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
  struct Total {
    __m512d low, high;
  };
  static SB_INLINE Total zero() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
  static SB_INLINE void include(Total& total, T a) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    total.low = _mm512_add_pd(total.low, _mm512_cvtps_pd(_mm512_castps512_ps256(a)));
    total.high = _mm512_add_pd(total.high, _mm512_cvtps_pd(high));
  }
  static SB_INLINE T mean(const Total& total, double by, bool multiply) {
    const __m512d all = _mm512_set1_pd(by);
    const __m256 low =
        _mm512_cvtpd_ps(multiply ? _mm512_mul_pd(total.low, all) : _mm512_div_pd(total.low, all));
    const __m256 high =
        _mm512_cvtpd_ps(multiply ? _mm512_mul_pd(total.high, all) : _mm512_div_pd(total.high, all));
    const __m512d joined = _mm512_castpd256_pd512(_mm256_castps_pd(low));
    return _mm512_castpd_ps(_mm512_insertf64x4(joined, _mm256_castps_pd(high), 1));
  }
  static SB_INLINE uint32_t negative(T a) { return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_LT_OQ); }
};

#include "kernels/rows-inl.h"

}  // namespace

extern const KernelTable kAvx512Kernels =
    table("avx512", gemm<Bits>(), gemm<Bytes>(), gemm<Ints>(), gemm<Floats>(), kPlanes,
          row_kernels<Reals512>(run_chain<Reals512, 16>));

}  // namespace sb
