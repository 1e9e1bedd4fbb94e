// Planes as numbers and numbers as planes, eight lanes at a time in words of bytes. Included inside an
// anonymous namespace, after sparse.h.

// The eight low bits as bytes that are 0 or 1, and back.
inline uint64_t bytes_of_bits(uint64_t bits) {
  const uint64_t apart = (bits & 0xff) * 0x0101010101010101u & 0x8040201008040201u;
  return (apart + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

inline uint64_t bits_of_bytes(uint64_t bytes) { return bytes * 0x0102040810204080u >> 56; }

inline void number_lanes(const NumberCall& call) {
  for (size_t lane = 0; lane < 64 * call.words; lane += 8) {
    uint64_t bytes[2] = {0, 0};
    for (size_t bit = 0; bit < call.bits; ++bit)
      bytes[bit / 8] |= bytes_of_bits(call.planes[bit * call.stride + lane / 64] >> lane % 64) << bit % 8;
    for (size_t i = 0; i < 8; ++i)
      call.numbers[lane + i] = (uint16_t)((bytes[0] >> 8 * i & 0xff) | (bytes[1] >> 8 * i & 0xff) << 8);
  }
}

inline void plane_numbers(const NumberCall& call) {
  for (size_t word = 0; word < call.words; ++word) {
    uint64_t planes[16] = {};
    for (size_t lane = 0; lane < 64; lane += 8) {
      const uint16_t* numbers = call.numbers + 64 * word + lane;
      uint64_t bytes[2] = {0, 0};
      for (size_t i = 0; i < 8; ++i) {
        bytes[0] |= (uint64_t)(numbers[i] & 0xff) << 8 * i;
        bytes[1] |= (uint64_t)(numbers[i] >> 8) << 8 * i;
      }
      for (size_t bit = 0; bit < call.bits; ++bit)
        planes[bit] |= bits_of_bytes(bytes[bit / 8] >> bit % 8 & 0x0101010101010101u) << lane;
    }
    for (size_t bit = 0; bit < call.bits; ++bit) call.planes[bit * call.stride + word] = planes[bit];
  }
}
