// Sorting by compression of indices (VBMI2). Included inside an anonymous namespace, after
// lists-avx512-inl.h.

// The patterns of 64 channels, as a mask each: (pattern, stride).
SB_INLINE void match_patterns(const uint64_t* const* rows, size_t word, uint64_t present, uint64_t* masks,
                              size_t stride) {
  const uint64_t a = rows[0][word], b = rows[1][word], c = rows[2][word], d = rows[3][word];
  const uint64_t low[4] = {~(a | b), a & ~b, b & ~a, a & b};
  const uint64_t high[4] = {~(c | d) & present, c & ~d, d & ~c, c & d};
  SB_UNROLL for (size_t p = 0; p < patterns_of(kFewPositions); ++p) masks[p * stride] =
      low[p & 3] & high[p >> 2];
}

inline void sort_few(const SortCall& call) {
  constexpr size_t kPatterns = patterns_of(kFewPositions);
  const size_t words = (call.channels + 63) / 64, spare = words * 64 - call.channels;
  for (size_t t = 0; t < call.taps; ++t)
    for (size_t w = 0; w < words; ++w)
      match_patterns(call.rows + t * kFewPositions, w, w + 1 == words ? ~(uint64_t)0 >> spare : ~(uint64_t)0,
                     call.work + t * words + w, call.taps * words);
  for (size_t p = 0; p < kPatterns; ++p) {
    uint16_t* begin = call.lists + p * call.stride;
    uint16_t* end = begin + call.ends[p];
    const uint64_t* masks = call.work + p * call.taps * words;
    for (size_t t = 0; t < call.taps; ++t)
      for (size_t w = 0; w < words; ++w)
        end = list_bits(*masks++, _mm512_set1_epi16((short)(call.first + t * call.channels + w * 64)), end);
    call.ends[p] = (uint32_t)(end - begin);
  }
}

// A word of each of seven rows, transposed byte by byte and then within blocks of 8 x 8 bits.
inline void read_many(const uint64_t* const* rows, size_t word, uint8_t* patterns) {
  const auto row = [rows, word](size_t j) { return (long long)rows[j][word]; };
  // The bit transposition takes the rows of its matrix from the last to the first.
  const __m512i words = _mm512_set_epi64(row(0), row(1), row(2), row(3), row(4), row(5), row(6), 0);
  const __m512i pairs = _mm512_shuffle_epi8(
      words, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)));
  alignas(64) static constexpr uint16_t kOrder[32] = {0,  8,  16, 24, 1,  9,  17, 25, 2,  10, 18,
                                                      26, 3,  11, 19, 27, 4,  12, 20, 28, 5,  13,
                                                      21, 29, 6,  14, 22, 30, 7,  15, 23, 31};
  const __m512i columns = _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), pairs);
  _mm512_storeu_si512(patterns, Lanes512::turn_blocks(columns));
}
