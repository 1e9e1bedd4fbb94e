// AVX-512 registers of four widths. Included inside an anonymous namespace, after immintrin.h.

// Truth tables of vpternlog: a is 0xf0, b 0xcc, c 0xaa.
constexpr int kOdd = 0x96, kMost = 0xe8, kOddNot = 0x69, kMostNot = 0xb2, kChoose = 0xca,
              kDifferWithin = 0x28;

struct Lanes512 {
  using T = __m512i;
  static constexpr size_t kBytes = 64;
  static SB_INLINE T load(const void* p) { return _mm512_load_si512(p); }
  static SB_INLINE void store(void* p, T a) { _mm512_store_si512(p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm512_set1_epi64((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm512_and_si512(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm512_xor_si512(a, b); }
  static SB_INLINE T invert(T a) { return _mm512_xor_si512(a, _mm512_set1_epi64(-1)); }
  static SB_INLINE T odd(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kOdd); }
  static SB_INLINE T most(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kMost); }
  static SB_INLINE T odd_not(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kOddNot); }
  static SB_INLINE T most_not(T a, T b, T c) { return _mm512_ternarylogic_epi64(a, b, c, kMostNot); }
  static SB_INLINE T load_from(const void* p) { return _mm512_loadu_si512(p); }
  static SB_INLINE void store_to(void* p, T a) { _mm512_storeu_si512(p, a); }
  static SB_INLINE T choose(T mask, T a, T b) { return _mm512_ternarylogic_epi64(mask, a, b, kChoose); }
  static SB_INLINE T funnel(T a, T b, size_t right) { return _mm512_shrdv_epi64(a, b, fill(right)); }
  static SB_INLINE T low_bytes(T a, T b) { return _mm512_unpacklo_epi8(a, b); }
  static SB_INLINE T high_bytes(T a, T b) { return _mm512_unpackhi_epi8(a, b); }
  static SB_INLINE T low_shorts(T a, T b) { return _mm512_unpacklo_epi16(a, b); }
  static SB_INLINE T high_shorts(T a, T b) { return _mm512_unpackhi_epi16(a, b); }
  static SB_INLINE T low_ints(T a, T b) { return _mm512_unpacklo_epi32(a, b); }
  static SB_INLINE T high_ints(T a, T b) { return _mm512_unpackhi_epi32(a, b); }
  static SB_INLINE T low_longs(T a, T b) { return _mm512_unpacklo_epi64(a, b); }
  static SB_INLINE T high_longs(T a, T b) { return _mm512_unpackhi_epi64(a, b); }
  static SB_INLINE T turn_blocks(T a) {
    return _mm512_gf2p8affine_epi64_epi8(fill(0x8040201008040201u), a, 0);
  }
};

struct Lanes256 {
  using T = __m256i;
  static constexpr size_t kBytes = 32;
  static SB_INLINE T load(const void* p) { return _mm256_load_si256((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm256_store_si256((T*)p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm256_set1_epi64x((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm256_and_si256(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm256_xor_si256(a, b); }
  static SB_INLINE T invert(T a) { return _mm256_xor_si256(a, _mm256_set1_epi64x(-1)); }
  static SB_INLINE T odd(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kOdd); }
  static SB_INLINE T most(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kMost); }
  static SB_INLINE T odd_not(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kOddNot); }
  static SB_INLINE T most_not(T a, T b, T c) { return _mm256_ternarylogic_epi64(a, b, c, kMostNot); }
  static SB_INLINE T load_from(const void* p) { return _mm256_loadu_si256((const T*)p); }
  static SB_INLINE void store_to(void* p, T a) { _mm256_storeu_si256((T*)p, a); }
  static SB_INLINE T choose(T mask, T a, T b) { return _mm256_ternarylogic_epi64(mask, a, b, kChoose); }
  static SB_INLINE T funnel(T a, T b, size_t right) { return _mm256_shrdv_epi64(a, b, fill(right)); }
  static SB_INLINE T low_bytes(T a, T b) { return _mm256_unpacklo_epi8(a, b); }
  static SB_INLINE T high_bytes(T a, T b) { return _mm256_unpackhi_epi8(a, b); }
  static SB_INLINE T low_shorts(T a, T b) { return _mm256_unpacklo_epi16(a, b); }
  static SB_INLINE T high_shorts(T a, T b) { return _mm256_unpackhi_epi16(a, b); }
  static SB_INLINE T low_ints(T a, T b) { return _mm256_unpacklo_epi32(a, b); }
  static SB_INLINE T high_ints(T a, T b) { return _mm256_unpackhi_epi32(a, b); }
  static SB_INLINE T low_longs(T a, T b) { return _mm256_unpacklo_epi64(a, b); }
  static SB_INLINE T high_longs(T a, T b) { return _mm256_unpackhi_epi64(a, b); }
  static SB_INLINE T turn_blocks(T a) {
    return _mm256_gf2p8affine_epi64_epi8(fill(0x8040201008040201u), a, 0);
  }
};

struct Lanes128 {
  using T = __m128i;
  static constexpr size_t kBytes = 16;
  static SB_INLINE T load(const void* p) { return _mm_load_si128((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm_store_si128((T*)p, a); }
  static SB_INLINE T fill(uint64_t word) { return _mm_set1_epi64x((long long)word); }
  static SB_INLINE T both(T a, T b) { return _mm_and_si128(a, b); }
  static SB_INLINE T differ(T a, T b) { return _mm_xor_si128(a, b); }
  static SB_INLINE T invert(T a) { return _mm_xor_si128(a, _mm_set1_epi64x(-1)); }
  static SB_INLINE T odd(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kOdd); }
  static SB_INLINE T most(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kMost); }
  static SB_INLINE T odd_not(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kOddNot); }
  static SB_INLINE T most_not(T a, T b, T c) { return _mm_ternarylogic_epi64(a, b, c, kMostNot); }
  static SB_INLINE T load_from(const void* p) { return _mm_loadu_si128((const T*)p); }
  static SB_INLINE void store_to(void* p, T a) { _mm_storeu_si128((T*)p, a); }
  static SB_INLINE T choose(T mask, T a, T b) { return _mm_ternarylogic_epi64(mask, a, b, kChoose); }
  static SB_INLINE T funnel(T a, T b, size_t right) { return _mm_shrdv_epi64(a, b, fill(right)); }
  static SB_INLINE T low_bytes(T a, T b) { return _mm_unpacklo_epi8(a, b); }
  static SB_INLINE T high_bytes(T a, T b) { return _mm_unpackhi_epi8(a, b); }
  static SB_INLINE T low_shorts(T a, T b) { return _mm_unpacklo_epi16(a, b); }
  static SB_INLINE T high_shorts(T a, T b) { return _mm_unpackhi_epi16(a, b); }
  static SB_INLINE T low_ints(T a, T b) { return _mm_unpacklo_epi32(a, b); }
  static SB_INLINE T high_ints(T a, T b) { return _mm_unpackhi_epi32(a, b); }
  static SB_INLINE T low_longs(T a, T b) { return _mm_unpacklo_epi64(a, b); }
  static SB_INLINE T high_longs(T a, T b) { return _mm_unpackhi_epi64(a, b); }
  static SB_INLINE T turn_blocks(T a) { return _mm_gf2p8affine_epi64_epi8(fill(0x8040201008040201u), a, 0); }
};

// Planes of 64 lanes, one in each half of a register.
struct TwoTimes64 : Lanes128 {
  static constexpr size_t kBytes = 8;
  static SB_INLINE T load(const void* p) {
    const T low = _mm_loadl_epi64((const T*)p);
    return _mm_unpacklo_epi64(low, low);
  }
  static SB_INLINE T load_two(const void* low, const void* high) {
    const __m128d first = _mm_castsi128_pd(_mm_loadl_epi64((const T*)low));
    return _mm_castpd_si128(_mm_loadh_pd(first, (const double*)high));
  }
  static SB_INLINE T high(T a) { return _mm_unpackhi_epi64(a, a); }
};

// Half a register: planes of 64 lanes take half the cache.
struct Lanes64 : Lanes128 {
  using Pair = TwoTimes64;
  static constexpr size_t kBytes = 8;
  static SB_INLINE T load(const void* p) { return _mm_loadl_epi64((const T*)p); }
  static SB_INLINE void store(void* p, T a) { _mm_storel_epi64((T*)p, a); }
  static SB_INLINE T load_from(const void* p) { return load(p); }
  static SB_INLINE void store_to(void* p, T a) { store(p, a); }
};
