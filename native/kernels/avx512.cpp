// AVX-512 F, BW, DQ, VL with VPOPCNTDQ and VNNI.
#include <immintrin.h>

#include "kernels/kernels.h"

namespace sb {
namespace {

#include "kernels/gemm-inl.h"

#if defined(__clang__)
#define SB_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define SB_UNROLL _Pragma("GCC unroll 64")
#else
#define SB_UNROLL
#endif

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
  static void tile(const char* rows, size_t stride, const Packed* packed, size_t block, size_t depth,
                   const Sum* start, Sum* out, size_t out_stride) {
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

// A register holds four depths of sixteen filters; four bytes of a row are broadcast.
struct Bytes {
  using Weight = int8_t;
  using Packed = int8_t;
  using Sum = int32_t;
  static constexpr size_t kColumns = 16;
  static constexpr int kRows = 4, kBlocks = 4;
  static size_t elements(size_t depth) { return (depth + 3) / 4 * 4; }

  static void pack_block(const Weight* weight, size_t count, size_t depth, Packed* packed) {
    for (size_t column = 0; column < count; ++column)
      for (size_t k = 0; k < depth; ++k) packed[k / 4 * 64 + column * 4 + k % 4] = weight[column * depth + k];
  }

  template <int R, int B>
  static void tile(const char* rows, size_t stride, const Packed* packed, size_t block, size_t depth,
                   const Sum* start, Sum* out, size_t out_stride) {
    __m512i sum[R][B];
    SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] =
        _mm512_setzero_si512();
    for (size_t k = 0; k < depth; k += 4) {
      __m512i weights[B];
      SB_UNROLL for (int b = 0; b < B; ++b) weights[b] = _mm512_load_si512(packed + b * block + k * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r) {
        int four;
        memcpy(&four, rows + r * stride + k, sizeof four);
        const __m512i bytes = _mm512_set1_epi32(four);
        SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] = dot_bytes(sum[r][b], bytes, weights[b]);
      }
    }
    SB_UNROLL for (int b = 0; b < B; ++b) {
      const __m512i first = _mm512_loadu_si512(start + b * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r)
          _mm512_storeu_si512(out + r * out_stride + b * kColumns, _mm512_add_epi32(first, sum[r][b]));
    }
  }
};

struct Ints {
  using Weight = int8_t;
  using Packed = int32_t;
  using Sum = int32_t;
  static constexpr size_t kColumns = 16;
  static constexpr int kRows = 4, kBlocks = 4;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;

  template <int R, int B>
  static void tile(const char* rows, size_t stride, const Packed* packed, size_t block, size_t depth,
                   const Sum* start, Sum* out, size_t out_stride) {
    __m512i sum[R][B];
    SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] =
        _mm512_setzero_si512();
    for (size_t k = 0; k < depth; ++k) {
      __m512i weights[B];
      SB_UNROLL for (int b = 0; b < B; ++b) weights[b] = _mm512_load_si512(packed + b * block + k * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r) {
        const __m512i value = _mm512_set1_epi32(((const int*)(rows + r * stride))[k]);
        SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] =
            _mm512_add_epi32(sum[r][b], _mm512_mullo_epi32(value, weights[b]));
      }
    }
    SB_UNROLL for (int b = 0; b < B; ++b) {
      const __m512i first = _mm512_loadu_si512(start + b * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r)
          _mm512_storeu_si512(out + r * out_stride + b * kColumns, _mm512_add_epi32(first, sum[r][b]));
    }
  }
};

struct Floats {
  using Weight = float;
  using Packed = float;
  using Sum = float;
  static constexpr size_t kColumns = 16;
  static constexpr int kRows = 6, kBlocks = 4;
  static size_t elements(size_t depth) { return depth; }
  static constexpr auto pack_block = pack_columns<Weight, Packed, kColumns>;

  template <int R, int B>
  static void tile(const char* rows, size_t stride, const Packed* packed, size_t block, size_t depth,
                   const Sum* start, Sum* out, size_t out_stride) {
    __m512 sum[R][B];
    SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] =
        _mm512_setzero_ps();
    for (size_t k = 0; k < depth; ++k) {
      __m512 weights[B];
      SB_UNROLL for (int b = 0; b < B; ++b) weights[b] = _mm512_load_ps(packed + b * block + k * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r) {
        const __m512 value = _mm512_set1_ps(((const float*)(rows + r * stride))[k]);
        SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] = _mm512_fmadd_ps(value, weights[b], sum[r][b]);
      }
    }
    SB_UNROLL for (int b = 0; b < B; ++b) {
      const __m512 first = _mm512_loadu_ps(start + b * kColumns);
      SB_UNROLL for (int r = 0; r < R; ++r)
          _mm512_storeu_ps(out + r * out_stride + b * kColumns, _mm512_add_ps(first, sum[r][b]));
    }
  }
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

uint64_t negative_64(const float* x, const float* shift) {
  uint64_t word = 0;
  SB_UNROLL for (int i = 0; i < 4; ++i) {
    __m512 value = _mm512_loadu_ps(x + 16 * i);
    if (shift != nullptr) value = _mm512_add_ps(value, _mm512_loadu_ps(shift + 16 * i));
    word |= (uint64_t)_mm512_cmp_ps_mask(value, _mm512_setzero_ps(), _CMP_LT_OQ) << (16 * i);
  }
  return word;
}

#include "kernels/bitplane-avx512-inl.h"
#include "kernels/elementwise-inl.h"

}  // namespace

extern const KernelTable kAvx512Kernels =
    table("avx512", gemm<Bits>(), gemm<Bytes>(), gemm<Ints>(), gemm<Floats>(), kPlanes);

}  // namespace sb
