// The weights of filters with nine taps, turned to rows of channels. Included inside an anonymous namespace,
// after immintrin.h.

// Eight channels a word, whose bits of a tap lie nine places apart: one in every byte.
inline void turn_nine_wide(const uint8_t* bits, uint64_t* out) {
  const __m512i places = _mm512_set_epi64(63, 54, 45, 36, 27, 18, 9, 0);
  const __m512i low = _mm512_i64gather_epi64(places, bits, 1),
                high = _mm512_i64gather_epi64(places, bits + 8, 1);
  const __m512i apart = _mm512_set1_epi64((long long)0x8040201008040201u);
  SB_UNROLL for (int t = 0; t < 9; ++t) out[t] =
      _mm512_test_epi8_mask(_mm512_shrdv_epi64(low, high, _mm512_set1_epi64(t)), apart);
}
