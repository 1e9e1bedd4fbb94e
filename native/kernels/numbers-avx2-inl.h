// Planes as numbers and numbers as planes, sixteen lanes at a time. Included inside an anonymous namespace,
// after sparse.h.

inline void number_lanes(const NumberCall& call) {
  const __m256i lane =
      _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, (short)0x8000);
  for (size_t i = 0; i < 4 * call.words; ++i) {
    __m256i numbers = _mm256_setzero_si256(), one = _mm256_set1_epi16(1);
    for (size_t bit = 0; bit < call.bits; ++bit, one = _mm256_add_epi16(one, one)) {
      const uint64_t lanes = call.planes[bit * call.stride + i / 4] >> 16 * (i % 4);
      const __m256i own = _mm256_and_si256(_mm256_set1_epi16((short)lanes), lane);
      numbers = _mm256_or_si256(numbers, _mm256_and_si256(_mm256_cmpeq_epi16(own, lane), one));
    }
    _mm256_storeu_si256((__m256i*)(call.numbers + 16 * i), numbers);
  }
}

inline void plane_numbers(const NumberCall& call) {
  const __m256i low = _mm256_set1_epi16(0xff);
  for (size_t word = 0; word < call.words; ++word)
    for (size_t bit = 0; bit < call.bits; bit += 8) {
      const __m128i down = _mm_cvtsi32_si128((int)bit);
      __m256i bytes[2];  // bits bit..bit + 7 of 32 lanes
      for (size_t i = 0; i < 2; ++i) {
        const __m256i* numbers = (const __m256i*)(call.numbers + 64 * word + 32 * i);
        const __m256i first = _mm256_and_si256(_mm256_srl_epi16(_mm256_loadu_si256(numbers), down), low),
                      second = _mm256_and_si256(_mm256_srl_epi16(_mm256_loadu_si256(numbers + 1), down), low);
        bytes[i] = _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8);
      }
      const size_t count = call.bits - bit < 8 ? call.bits - bit : 8;
      for (size_t k = 0; k < count; ++k) {
        const __m128i up = _mm_cvtsi32_si128((int)(7 - k));
        const uint32_t lanes = (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(bytes[0], up)),
                       more = (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(bytes[1], up));
        call.planes[(bit + k) * call.stride + word] = lanes | (uint64_t)more << 32;
      }
    }
}
