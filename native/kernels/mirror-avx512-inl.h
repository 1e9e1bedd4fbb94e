// Sorting by compression of byte indices (VBMI2). Included inside an anonymous namespace, after immintrin.h.

// Appends base + i for every bit i that is set.
SB_INLINE uint16_t* list_bits(uint64_t mask, __m512i base, uint16_t* out) {
  alignas(64) static constexpr uint8_t kIndices[64] = {
      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
      44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  const __m512i bytes = _mm512_maskz_compress_epi8(mask, _mm512_load_si512(kIndices));
  const size_t count = (size_t)_mm_popcnt_u64(mask);
  _mm512_storeu_si512(out, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(bytes))));
  if (count > 32)
    _mm512_storeu_si512(out + 32,
                        _mm512_add_epi16(base, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(bytes, 1))));
  return out + count;
}

// The patterns of 64 channels, as a mask each: (pattern, stride).
SB_INLINE void match_patterns(const uint64_t* const* rows, size_t word, uint64_t present, uint64_t* masks,
                              size_t stride) {
  const uint64_t a = rows[0][word], b = rows[1][word], c = rows[2][word], d = rows[3][word];
  const uint64_t low[4] = {~(a | b), a & ~b, b & ~a, a & b};
  const uint64_t high[4] = {~(c | d) & present, c & ~d, d & ~c, c & d};
  SB_UNROLL for (size_t p = 0; p < kPatterns; ++p) masks[p * stride] = low[p & 3] & high[p >> 2];
}

inline void sort_inputs_wide(const SortCall& call) {
  const size_t words = (call.channels + 63) / 64, spare = words * 64 - call.channels;
  for (size_t t = 0; t < call.taps; ++t)
    for (size_t w = 0; w < words; ++w)
      match_patterns(call.rows + t * kMirrorGroup, w, w + 1 == words ? ~(uint64_t)0 >> spare : ~(uint64_t)0,
                     call.masks + t * words + w, call.taps * words);
  for (size_t p = 0; p < kPatterns; ++p) {
    uint16_t* begin = call.lists + p * call.stride;
    uint16_t* end = begin;
    const uint64_t* masks = call.masks + p * call.taps * words;
    for (size_t t = 0; t < call.taps; ++t)
      for (size_t w = 0; w < words; ++w)
        end = list_bits(*masks++, _mm512_set1_epi16((short)(t * call.channels + w * 64)), end);
    call.lengths[p] = (size_t)(end - begin);
  }
}
