// The weights of filters with nine taps, turned to rows of channels. Included inside an anonymous namespace.

inline uint64_t little_endian(const uint8_t* bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < 8; ++i) word |= (uint64_t)bytes[i] << (8 * i);
  return word;
}

// Of eight channels the bits of a tap lie nine places apart, so that their products with 2^0, 2^8, ... meet
// in the highest byte.
inline void turn_nine(const uint8_t* bits, uint64_t* out) {
  for (size_t t = 0; t < 9; ++t) out[t] = 0;
  for (size_t i = 0; i < 8; ++i, bits += 9) {
    const uint64_t low = little_endian(bits), high = bits[8];
    for (size_t t = 0; t < 9; ++t) {
      const uint64_t apart = t == 0 ? low : low >> t | high << (64 - t);
      out[t] |= ((apart & 0x8040201008040201u) * 0x0101010101010101u) >> 56 << (8 * i);
    }
  }
}
