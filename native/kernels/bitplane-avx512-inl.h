// Bit-planes in AVX-512 registers of three widths. Included inside an anonymous namespace, after immintrin.h.

#include "kernels/adders-inl.h"
#include "kernels/bitplane-inl.h"
#include "kernels/registers-avx512-inl.h"
#include "kernels/spread-inl.h"

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
  __m512i x[8];
  SB_UNROLL for (size_t i = 0; i < 8; ++i) {
    const uint64_t* row = in + 8 * i * in_stride;
    const auto word = [row, in_stride](size_t k) { return (long long)row[k * in_stride]; };
    x[i] = in_stride == 1
               ? _mm512_loadu_si512(row)
               : _mm512_set_epi64(word(7), word(6), word(5), word(4), word(3), word(2), word(1), word(0));
  }
  SB_UNROLL for (int i = 0; i < 4; ++i) swap_blocks<32>(x[i], x[i + 4], 0x00000000ffffffffu);
  SB_UNROLL for (int i = 0; i < 8; ++i) if ((i & 2) == 0)
      swap_blocks<16>(x[i], x[i + 2], 0x0000ffff0000ffffu);
  SB_UNROLL for (int i = 0; i < 8; i += 2) swap_blocks<8>(x[i], x[i + 1], 0x00ff00ff00ff00ffu);
  alignas(64) uint64_t rows[64];
  uint64_t* to = out_stride == 1 ? out : rows;
  SB_UNROLL for (int i = 0; i < 8; ++i) {
    __m512i row = swap_within<4>(x[i], _mm512_shuffle_i64x2(x[i], x[i], 0x4e), 0x0f, 0x0f0f0f0f0f0f0f0fu);
    row = swap_within<2>(row, _mm512_permutex_epi64(row, 0x4e), 0x33, 0x3333333333333333u);
    row = swap_within<1>(row, _mm512_shuffle_epi32(row, (_MM_PERM_ENUM)0x4e), 0x55, 0x5555555555555555u);
    _mm512_storeu_si512(to + 8 * i, row);
  }
  if (out_stride == 1) return;
  for (size_t i = 0; i < 64; ++i) out[i * out_stride] = rows[i];
}

#include "kernels/lists-avx512-inl.h"
#include "kernels/mirror-avx512-inl.h"
#include "kernels/taps-avx512-inl.h"

constexpr PlaneTable kPlanes = {
    .widths = {plane_width<Lanes512>(spread_bits<Lanes512>, spread_row<Lanes512>,
                                     {.plane_cost = 0.70f,
                                      .group_cost = {50, 200},
                                      .input_cost = 2.0f,
                                      .mirror_cost = 0.68f,
                                      .many_cost = 1850}),
               plane_width<Lanes256>(spread_bits<Lanes256>, spread_row<Lanes256>,
                                     {.plane_cost = 0.45f,
                                      .group_cost = {35, 110},
                                      .input_cost = 1.5f,
                                      .mirror_cost = 0.57f,
                                      .many_cost = 1050}),
               plane_width<Lanes128>(spread_bits<Lanes128>, spread_row<Lanes128>,
                                     {.plane_cost = 0.42f,
                                      .group_cost = {35, 110},
                                      .input_cost = 1.2f,
                                      .mirror_cost = 0.41f,
                                      .many_cost = 850}),
               plane_width<Lanes64>(spread_blocks<Lanes64, transpose>, nullptr,
                                    {.plane_cost = 0.37f,
                                     .group_cost = {35, 110},
                                     .input_cost = 1.2f,
                                     .mirror_cost = 0.41f,
                                     .many_cost = 850})},
    .count = 4,
    .list = list_planes_wide,
    .transpose = transpose,
    .turn_nine = turn_nine_wide,
    .popcount_cost = {0.155f, 0.052f},
    .patch_cost = {1.1f, 3.1f},
    .gather_cost = {2.2f, 0.6f},
    .five_from = 1100,
    .count_cost = 0.225f,
    .mirror = {
        .sort_few = sort_few, .sort_many = sort_one_by_one<kManyPositions, read_many>, .sort_cost = 0.70f}};
