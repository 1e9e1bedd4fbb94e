// Bit-planes in AVX-512 registers of three widths. Included inside an anonymous namespace, after immintrin.h.

#include "kernels/bitplane-inl.h"
#include "kernels/spread-inl.h"

// Truth tables of vpternlog: a is 0xf0, b 0xcc, c 0xaa.
constexpr int kOdd = 0x96, kMost = 0xe8, kOddNot = 0x69, kMostNot = 0xb2, kChoose = 0xca,
              kDifferWithin = 0x28;

// The count of a shift; 64 and more shift everything out.
inline __m128i count(size_t bits) { return _mm_cvtsi64_si128((long long)bits); }

struct Lanes512 {
  using T = __m512i;
  static constexpr size_t kBytes = 64;
  static SB_INLINE T load(const void* p) { return _mm512_load_si512(p); }
  static SB_INLINE void store(void* p, T a) { _mm512_store_si512(p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm512_set1_epi64((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm512_and_si512(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm512_xor_si512(a, b); }
  static SB_INLINE T invert(T a) { return _mm512_xor_si512(a, _mm512_set1_epi64(-1)); }
  static SB_INLINE T odd(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kOdd); }
  static SB_INLINE T most(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kMost); }
  static SB_INLINE T odd_not(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kOddNot); }
  static SB_INLINE T most_not(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kMostNot); }
  static SB_INLINE T load_from(const void* p) { return _mm512_loadu_si512(p); }
  static SB_INLINE T choose(T mask, T a, T b) { return _mm512_ternarylogic_epi64(mask, a, b, kChoose); }
  static SB_INLINE T funnel(T a, T b, size_t right) {
    return _mm512_or_si512(_mm512_srl_epi64(a, count(right)), _mm512_sll_epi64(b, count(64 - right)));
  }
  static SB_INLINE T low_bytes(T a, T b) { return _mm512_unpacklo_epi8(a, b); }
  static SB_INLINE T high_bytes(T a, T b) { return _mm512_unpackhi_epi8(a, b); }
  static SB_INLINE T low_shorts(T a, T b) { return _mm512_unpacklo_epi16(a, b); }
  static SB_INLINE T high_shorts(T a, T b) { return _mm512_unpackhi_epi16(a, b); }
  static SB_INLINE T low_ints(T a, T b) { return _mm512_unpacklo_epi32(a, b); }
  static SB_INLINE T high_ints(T a, T b) { return _mm512_unpackhi_epi32(a, b); }
  static SB_INLINE T low_longs(T a, T b) { return _mm512_unpacklo_epi64(a, b); }
  static SB_INLINE T high_longs(T a, T b) { return _mm512_unpackhi_epi64(a, b); }
  static SB_INLINE T turn_blocks(T a) {
    return _mm512_gf2p8affine_epi64_epi8(fill(0x8040201008040201u), a, 0);
  }
};

struct Lanes256 {
  using T = __m256i;
  static constexpr size_t kBytes = 32;
  static SB_INLINE T load(const void* p) { return _mm256_load_si256((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm256_store_si256((T*)p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm256_set1_epi64x((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm256_and_si256(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm256_xor_si256(a, b); }
  static SB_INLINE T invert(T a) { return _mm256_xor_si256(a, _mm256_set1_epi64x(-1)); }
  static SB_INLINE T odd(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kOdd); }
  static SB_INLINE T most(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kMost); }
  static SB_INLINE T odd_not(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kOddNot); }
  static SB_INLINE T most_not(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kMostNot); }
  static SB_INLINE T load_from(const void* p) { return _mm256_loadu_si256((const T*)p); }
  static SB_INLINE T choose(T mask, T a, T b) { return _mm256_ternarylogic_epi64(mask, a, b, kChoose); }
  static SB_INLINE T funnel(T a, T b, size_t right) {
    return _mm256_or_si256(_mm256_srl_epi64(a, count(right)), _mm256_sll_epi64(b, count(64 - right)));
  }
  static SB_INLINE T low_bytes(T a, T b) { return _mm256_unpacklo_epi8(a, b); }
  static SB_INLINE T high_bytes(T a, T b) { return _mm256_unpackhi_epi8(a, b); }
  static SB_INLINE T low_shorts(T a, T b) { return _mm256_unpacklo_epi16(a, b); }
  static SB_INLINE T high_shorts(T a, T b) { return _mm256_unpackhi_epi16(a, b); }
  static SB_INLINE T low_ints(T a, T b) { return _mm256_unpacklo_epi32(a, b); }
  static SB_INLINE T high_ints(T a, T b) { return _mm256_unpackhi_epi32(a, b); }
  static SB_INLINE T low_longs(T a, T b) { return _mm256_unpacklo_epi64(a, b); }
  static SB_INLINE T high_longs(T a, T b) { return _mm256_unpackhi_epi64(a, b); }
  static SB_INLINE T turn_blocks(T a) {
    return _mm256_gf2p8affine_epi64_epi8(fill(0x8040201008040201u), a, 0);
  }
};

struct Lanes128 {
  using T = __m128i;
  static constexpr size_t kBytes = 16;
  static SB_INLINE T load(const void* p) { return _mm_load_si128((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm_store_si128((T*)p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm_set1_epi64x((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm_and_si128(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm_xor_si128(a, b); }
  static SB_INLINE T invert(T a) { return _mm_xor_si128(a, _mm_set1_epi64x(-1)); }
  static SB_INLINE T odd(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kOdd); }
  static SB_INLINE T most(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kMost); }
  static SB_INLINE T odd_not(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kOddNot); }
  static SB_INLINE T most_not(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kMostNot); }
  static SB_INLINE T load_from(const void* p) { return _mm_loadu_si128((const T*)p); }
  static SB_INLINE T choose(T mask, T a, T b) { return _mm_ternarylogic_epi64(mask, a, b, kChoose); }
  static SB_INLINE T funnel(T a, T b, size_t right) {
    return _mm_or_si128(_mm_srl_epi64(a, count(right)), _mm_sll_epi64(b, count(64 - right)));
  }
  static SB_INLINE T low_bytes(T a, T b) { return _mm_unpacklo_epi8(a, b); }
  static SB_INLINE T high_bytes(T a, T b) { return _mm_unpackhi_epi8(a, b); }
  static SB_INLINE T low_shorts(T a, T b) { return _mm_unpacklo_epi16(a, b); }
  static SB_INLINE T high_shorts(T a, T b) { return _mm_unpackhi_epi16(a, b); }
  static SB_INLINE T low_ints(T a, T b) { return _mm_unpacklo_epi32(a, b); }
  static SB_INLINE T high_ints(T a, T b) { return _mm_unpackhi_epi32(a, b); }
  static SB_INLINE T low_longs(T a, T b) { return _mm_unpacklo_epi64(a, b); }
  static SB_INLINE T high_longs(T a, T b) { return _mm_unpackhi_epi64(a, b); }
  static SB_INLINE T turn_blocks(T a) { return _mm_gf2p8affine_epi64_epi8(fill(0x8040201008040201u), a, 0); }
};

// Exchanges the blocks of J bits across the diagonal between two registers of rows that are J rows apart.
template <int J>
SB_INLINE void swap_blocks(__m512i& a, __m512i& b, uint64_t low) {
  const __m512i mask = _mm512_set1_epi64((long long)low);
  const __m512i swapped = _mm512_ternarylogic_epi64(_mm512_srli_epi64(a, J), b, mask, kDifferWithin);
  a = _mm512_xor_si512(a, _mm512_slli_epi64(swapped, J));
  b = _mm512_xor_si512(b, swapped);
}

// The same between words of one register: `other` holds the word J rows apart, `low` says which words come
// first.
template <int J>
SB_INLINE __m512i swap_within(__m512i a, __m512i other, __mmask8 low, uint64_t kept) {
  const __m512i turn = _mm512_mask_blend_epi64(low, _mm512_set1_epi64(64 - J), _mm512_set1_epi64(J));
  const __m512i keep =
      _mm512_mask_blend_epi64(low, _mm512_set1_epi64((long long)~kept), _mm512_set1_epi64((long long)kept));
  return _mm512_ternarylogic_epi64(keep, a, _mm512_rolv_epi64(other, turn), kChoose);
}

void transpose(const uint64_t* in, size_t in_stride, uint64_t* out, size_t out_stride) {
  const __m512i eight = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i places = _mm512_mullo_epi64(eight, _mm512_set1_epi64((long long)in_stride));
  __m512i x[8];
  SB_UNROLL for (size_t i = 0; i < 8; ++i) x[i] =
      in_stride == 1 ? _mm512_loadu_si512(in + 8 * i)
                     : _mm512_i64gather_epi64(places, in + 8 * i * in_stride, 8);
  SB_UNROLL for (int i = 0; i < 4; ++i) swap_blocks<32>(x[i], x[i + 4], 0x00000000ffffffffu);
  SB_UNROLL for (int i = 0; i < 8; ++i) if ((i & 2) == 0)
      swap_blocks<16>(x[i], x[i + 2], 0x0000ffff0000ffffu);
  SB_UNROLL for (int i = 0; i < 8; i += 2) swap_blocks<8>(x[i], x[i + 1], 0x00ff00ff00ff00ffu);
  alignas(64) uint64_t rows[64];
  SB_UNROLL for (int i = 0; i < 8; ++i) {
    __m512i row = swap_within<4>(x[i], _mm512_shuffle_i64x2(x[i], x[i], 0x4e), 0x0f, 0x0f0f0f0f0f0f0f0fu);
    row = swap_within<2>(row, _mm512_permutex_epi64(row, 0x4e), 0x33, 0x3333333333333333u);
    row = swap_within<1>(row, _mm512_shuffle_epi32(row, (_MM_PERM_ENUM)0x4e), 0x55, 0x5555555555555555u);
    _mm512_store_si512(rows + 8 * i, row);
  }
  for (size_t i = 0; i < 64; ++i) out[i * out_stride] = rows[i];
}

#include "kernels/mirror-avx512-inl.h"

constexpr PlaneTable kPlanes = {{plane_width<Lanes512>(spread_bits<Lanes512>, 0.70f, 50, 200, 2.0f, 0.72f),
                                 plane_width<Lanes256>(spread_bits<Lanes256>, 0.45f, 35, 110, 1.5f, 0.58f),
                                 plane_width<Lanes128>(spread_bits<Lanes128>, 0.42f, 35, 110, 1.2f, 0.58f)},
                                3,
                                transpose,
                                {0.32f, 0.049f},
                                1100,
                                0.2f,
                                {sort_inputs_wide, append_lists, 0.52f}};
