// Sorting by compression of indices (VBMI2). Included inside an anonymous namespace, after
// lists-avx512-inl.h.

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
    uint16_t* end = begin + call.ends[p];
    const uint64_t* masks = call.masks + p * call.taps * words;
    for (size_t t = 0; t < call.taps; ++t)
      for (size_t w = 0; w < words; ++w)
        end = list_bits(*masks++, _mm512_set1_epi16((short)(call.first + t * call.channels + w * 64)), end);
    call.ends[p] = (uint32_t)(end - begin);
  }
}
