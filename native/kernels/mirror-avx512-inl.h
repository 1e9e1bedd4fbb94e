// Sorting by compression of indices (VBMI2). Included inside an anonymous namespace, after
// lists-avx512-inl.h.

constexpr size_t kFewPatterns = patterns_of(kFewPositions);

// The patterns of `count` words of channels from `word` on, as masks: (pattern, stride).
SB_INLINE void match_patterns(const uint64_t* const* rows, size_t word, size_t count, uint64_t* masks,
                              size_t stride) {
  const __mmask8 there = (__mmask8)(0xffu >> (8 - count));
  const auto row = [rows, word, there](size_t j) { return _mm512_maskz_loadu_epi64(there, rows[j] + word); };
  const __m512i a = row(0), b = row(1), c = row(2), d = row(3), all = _mm512_set1_epi64(-1);
  const __m512i low[4] = {_mm512_andnot_si512(_mm512_or_si512(a, b), all), _mm512_andnot_si512(b, a),
                          _mm512_andnot_si512(a, b), _mm512_and_si512(a, b)};
  const __m512i high[4] = {_mm512_andnot_si512(_mm512_or_si512(c, d), all), _mm512_andnot_si512(d, c),
                           _mm512_andnot_si512(c, d), _mm512_and_si512(c, d)};
  SB_UNROLL for (size_t p = 0; p < kFewPatterns; ++p)
      _mm512_mask_storeu_epi64(masks + p * stride, there, _mm512_and_si512(low[p & 3], high[p >> 2]));
}

inline void sort_few(const SortCall& call) {
  const size_t words = (call.channels + 63) / 64, spare = words * 64 - call.channels;
  for (size_t t = 0; t < call.taps; ++t) {
    for (size_t w = 0; w < words; w += 8)
      match_patterns(call.rows + t * kFewPositions, w, words - w < 8 ? words - w : 8,
                     call.work + t * words + w, call.taps * words);
    call.work[(t + 1) * words - 1] &= ~(uint64_t)0 >> spare;  // spare bits are no inputs
  }
  for (size_t p = 0; p < kFewPatterns; ++p) {
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
