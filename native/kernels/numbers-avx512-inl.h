// Planes as numbers and numbers as planes, by masks of 32 lanes. Included inside an anonymous namespace,
// after sparse.h.

inline void number_lanes(const NumberCall& call) {
  for (size_t word = 0; word < call.words; ++word) {
    __m512i low = _mm512_setzero_si512(), high = low, one = _mm512_set1_epi16(1);
    for (size_t bit = 0; bit < call.bits; ++bit, one = _mm512_add_epi16(one, one)) {
      const uint64_t lanes = call.planes[bit * call.stride + word];
      low = _mm512_mask_add_epi16(low, (__mmask32)lanes, low, one);
      high = _mm512_mask_add_epi16(high, (__mmask32)(lanes >> 32), high, one);
    }
    _mm512_storeu_si512(call.numbers + 64 * word, low);
    _mm512_storeu_si512(call.numbers + 64 * word + 32, high);
  }
}

inline void plane_numbers(const NumberCall& call) {
  for (size_t word = 0; word < call.words; ++word) {
    const __m512i low = _mm512_loadu_si512(call.numbers + 64 * word),
                  high = _mm512_loadu_si512(call.numbers + 64 * word + 32);
    __m512i one = _mm512_set1_epi16(1);
    for (size_t bit = 0; bit < call.bits; ++bit, one = _mm512_add_epi16(one, one))
      call.planes[bit * call.stride + word] =
          _mm512_test_epi16_mask(low, one) | (uint64_t)_mm512_test_epi16_mask(high, one) << 32;
  }
}
