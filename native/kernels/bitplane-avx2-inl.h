// Bit-planes in AVX2 registers of two widths. Included inside an anonymous namespace, after immintrin.h.

#include "kernels/adders-inl.h"
#include "kernels/bitplane-inl.h"
#include "kernels/registers-avx2-inl.h"
#include "kernels/spread-inl.h"

// Exchanges the blocks of J bits across the diagonal between two registers of rows that are J rows apart.
template <int J>
SB_INLINE void swap_blocks(__m256i& a, __m256i& b, uint64_t low) {
  const __m256i mask = _mm256_set1_epi64x((long long)low);
  const __m256i swapped = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi64(a, J), b), mask);
  a = _mm256_xor_si256(a, _mm256_slli_epi64(swapped, J));
  b = _mm256_xor_si256(b, swapped);
}

// The same between words of one register: `other` holds the word J rows apart, `first` is ones in words that
// come first.
template <int J>
SB_INLINE __m256i swap_within(__m256i a, __m256i other, __m256i first, uint64_t kept) {
  const __m256i low = _mm256_set1_epi64x((long long)kept);
  const __m256i turned = _mm256_blendv_epi8(_mm256_srli_epi64(other, J), _mm256_slli_epi64(other, J), first);
  const __m256i keep = _mm256_xor_si256(_mm256_xor_si256(first, low), _mm256_set1_epi64x(-1));
  return _mm256_xor_si256(turned, _mm256_and_si256(_mm256_xor_si256(turned, a), keep));
}

void transpose(const uint64_t* in, size_t in_stride, uint64_t* out, size_t out_stride) {
  alignas(32) uint64_t rows[64];
  __m256i x[16];
  for (size_t i = 0; i < 64; ++i) rows[i] = in[i * in_stride];
  SB_UNROLL for (int i = 0; i < 16; ++i) x[i] = _mm256_load_si256((const __m256i*)(rows + 4 * i));
  SB_UNROLL for (int i = 0; i < 8; ++i) swap_blocks<32>(x[i], x[i + 8], 0x00000000ffffffffu);
  SB_UNROLL for (int i = 0; i < 16; ++i) if ((i & 4) == 0)
      swap_blocks<16>(x[i], x[i + 4], 0x0000ffff0000ffffu);
  SB_UNROLL for (int i = 0; i < 16; ++i) if ((i & 2) == 0)
      swap_blocks<8>(x[i], x[i + 2], 0x00ff00ff00ff00ffu);
  SB_UNROLL for (int i = 0; i < 16; i += 2) swap_blocks<4>(x[i], x[i + 1], 0x0f0f0f0f0f0f0f0fu);
  const __m256i first_two = _mm256_set_epi64x(0, 0, -1, -1), even = _mm256_set_epi64x(0, -1, 0, -1);
  SB_UNROLL for (int i = 0; i < 16; ++i) {
    __m256i row = swap_within<2>(x[i], _mm256_permute4x64_epi64(x[i], 0x4e), first_two, 0x3333333333333333u);
    row = swap_within<1>(row, _mm256_shuffle_epi32(row, 0x4e), even, 0x5555555555555555u);
    _mm256_store_si256((__m256i*)(rows + 4 * i), row);
  }
  for (size_t i = 0; i < 64; ++i) out[i * out_stride] = rows[i];
}

constexpr PlaneTable kPlanes = {
    .widths = {plane_width<TwoInputs<Register256>>(spread_blocks<TwoInputs<Register256>, transpose>, nullptr,
                                                   {.plane_cost = 0.60f,
                                                    .group_cost = {60, 150},
                                                    .input_cost = 1.8f,
                                                    .mirror_cost = 0.65f,
                                                    .many_cost = 1200}),
               plane_width<TwoInputs<Register128>>(spread_blocks<TwoInputs<Register128>, transpose>, nullptr,
                                                   {.plane_cost = 0.55f,
                                                    .group_cost = {60, 150},
                                                    .input_cost = 1.5f,
                                                    .mirror_cost = 0.6f,
                                                    .many_cost = 1050})},
    .count = 2,
    .list = list_planes,
    .transpose = transpose,
    .turn_nine = turn_nine,
    .popcount_cost = {0.39f, 0.147f},
    .patch_cost = {1.3f, 3.3f},
    .gather_cost = {2.5f, 0.8f},
    .five_from = 1100,
    .count_cost = 0.48f,
    .mirror = {.sort_few = sort_one_by_one<kFewPositions, read_patterns<kFewPositions>>,
               .sort_many = sort_one_by_one<kManyPositions, read_patterns<kManyPositions>>,
               .sort_cost = 1.25f}};
