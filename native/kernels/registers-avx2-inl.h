// AVX2 registers of two widths. Included inside an anonymous namespace, after immintrin.h.

// The count of a shift; 64 and more shift everything out.
inline __m128i count(size_t bits) { return _mm_cvtsi64_si128((long long)bits); }

struct Register256 {
  using T = __m256i;
  static constexpr size_t kBytes = 32;
  static SB_INLINE T load(const void* p) { return _mm256_load_si256((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm256_store_si256((T*)p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm256_set1_epi64x((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm256_and_si256(a, b); }
  static SB_INLINE T either(T a, T b) { return _mm256_or_si256(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm256_xor_si256(a, b); }
  static SB_INLINE T load_from(const void* p) { return _mm256_loadu_si256((const T*)p); }
  static SB_INLINE void store_to(void* p, T a) { _mm256_storeu_si256((T*)p, a); }
  static SB_INLINE T funnel(T a, T b, size_t right) {
    return _mm256_or_si256(_mm256_srl_epi64(a, count(right)), _mm256_sll_epi64(b, count(64 - right)));
  }
};

struct Register128 {
  using T = __m128i;
  static constexpr size_t kBytes = 16;
  static SB_INLINE T load(const void* p) { return _mm_load_si128((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm_store_si128((T*)p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm_set1_epi64x((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm_and_si128(a, b); }
  static SB_INLINE T either(T a, T b) { return _mm_or_si128(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm_xor_si128(a, b); }
  static SB_INLINE T load_from(const void* p) { return _mm_loadu_si128((const T*)p); }
  static SB_INLINE void store_to(void* p, T a) { _mm_storeu_si128((T*)p, a); }
  static SB_INLINE T funnel(T a, T b, size_t right) {
    return _mm_or_si128(_mm_srl_epi64(a, count(right)), _mm_sll_epi64(b, count(64 - right)));
  }
};
