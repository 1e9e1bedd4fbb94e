// Lists of inputs by compression of byte indices (VBMI2). Included inside an anonymous namespace, after
// bitplane-inl.h.

// 0, 1, 2, ... 63.
SB_INLINE __m512i byte_indices() {
  alignas(64) static constexpr uint8_t kIndices[64] = {
      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
      44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  return _mm512_load_si512(kIndices);
}

// Appends base + i for every bit i that is set.
SB_INLINE uint16_t* list_bits(uint64_t mask, __m512i base, uint16_t* out) {
  const __m512i bytes = _mm512_maskz_compress_epi8(mask, byte_indices());
  const size_t count = (size_t)_mm_popcnt_u64(mask);
  _mm512_storeu_si512(out, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(bytes))));
  if (count > 32)
    _mm512_storeu_si512(out + 32,
                        _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(bytes, 1))));
  return out + count;
}

// The same for masks that mostly have few bits: half as much is stored.
SB_INLINE uint16_t* list_few_bits(uint64_t mask, __m512i base, uint16_t* out) {
  const size_t count = (size_t)_mm_popcnt_u64(mask);
  if (count > 16) return list_bits(mask, base, out);
  const __m128i bytes = _mm512_castsi512_si128(_mm512_maskz_compress_epi8(mask, byte_indices()));
  _mm256_storeu_si256((__m256i*)out,
                      _mm256_add_epi16(_mm512_castsi512_si256(base), _mm256_cvtepu8_epi16(bytes)));
  return out + count;
}

// One list, behind which there is room for a step; its end.
template <size_t G>
SB_INLINE uint16_t* list_pattern(const ListCall& call, size_t pattern, uint16_t* out) {
  constexpr size_t kWords = 8;
  const size_t words = (call.inputs + 63) / 64;
  const uint64_t tail = ~(uint64_t)0 >> (words * 64 - call.inputs);
  __m512i base = _mm512_setzero_si512();
  for (size_t w = 0; w < words; w += kWords) {
    const size_t count = words - w < kWords ? words - w : kWords;
    const __mmask8 there = (__mmask8)(0xffu >> (kWords - count));
    __m512i mask = _mm512_set1_epi64(-1);
    SB_UNROLL for (size_t j = 0; j < G; ++j) {
      const __m512i row = _mm512_maskz_loadu_epi64(there, call.rows[j] + w);
      mask = pattern >> j & 1 ? _mm512_and_si512(mask, row) : _mm512_andnot_si512(row, mask);
    }
    alignas(64) uint64_t masks[kWords];
    _mm512_store_si512(masks, mask);
    if (w + count == words) masks[count - 1] &= tail;  // spare bits are no inputs
    for (size_t k = 0; k < count; ++k, base = _mm512_add_epi16(base, _mm512_set1_epi16(64)))
      out = list_few_bits(masks[k], base, out);
  }
  _mm_storeu_si128((__m128i*)out, _mm_set1_epi16((short)call.inputs));
  return out;
}

template <size_t G>
size_t list_group(const ListCall& call) {
  uint16_t* out = call.out;
  for (size_t i = 0; i < (size_t)1 << G; i += 2) {
    uint16_t* head = out;
    out += 2;
    for (size_t side = 0; side < 2; ++side) {
      const uint16_t* end = list_pattern<G>(call, listed_pattern(i + side, G), out);
      call.counts[i + side] = (size_t)(end - out);
      const size_t filled = filled_up(call.counts[i + side]);
      head[side] = (uint16_t)filled;
      out += filled;
    }
  }
  return (size_t)(out - call.out);
}

inline size_t list_planes_wide(const ListCall& call) {
  return call.filters == 4 ? list_group<4>(call) : list_group<5>(call);
}
