// The sign bit: 1 means -1, bit i of a row is bit i mod 64 of word i div 64, spare bits are 0.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sb {

using Word = std::uint64_t;
inline constexpr std::size_t kWordBits = 64;

constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return a / b + (a % b != 0); }
constexpr std::size_t round_up(std::size_t a, std::size_t b) { return divide_up(a, b) * b; }

// Words of a row of `bits` bits.
constexpr std::size_t words_for(std::size_t bits) { return divide_up(bits, kWordBits); }

// The low `count` bits set; count 0..64.
constexpr Word low_bits(std::size_t count) { return count >= kWordBits ? ~Word{0} : (Word{1} << count) - 1; }

constexpr bool get_bit(const Word* row, std::size_t i) { return (row[i / kWordBits] >> (i % kWordBits)) & 1; }

// Sets bit i of a row that is 0 there.
constexpr void set_bit(Word* row, std::size_t i, bool bit) {
  row[i / kWordBits] |= Word{bit} << (i % kWordBits);
}

// Product of two ±1 vectors of `depth` values: K - 2 popcount(a ^ b). Spare bits are 0 on both sides, so they
// add nothing and K stays the true depth.
constexpr std::int64_t dot(const Word* a, const Word* b, std::size_t depth) {
  std::int64_t different = 0;
  for (std::size_t i = 0; i < words_for(depth); ++i) different += std::popcount(a[i] ^ b[i]);
  return static_cast<std::int64_t>(depth) - 2 * different;
}

// `count` (1..64) bits of `row` from bit `begin` on; reads no word that holds none of them.
constexpr Word extract_bits(const Word* row, std::size_t begin, std::size_t count) {
  const std::size_t shift = begin % kWordBits;
  Word bits = row[begin / kWordBits] >> shift;
  if (shift != 0 && shift + count > kWordBits) bits |= row[begin / kWordBits + 1] << (kWordBits - shift);
  return bits & low_bits(count);
}

// Eight bytes as a word, the first lowest, and back.
inline Word load_bytes(const std::uint8_t* bytes) {
  Word word = 0;
  if constexpr (std::endian::native == std::endian::little)
    std::memcpy(&word, bytes, 8);
  else
    for (std::size_t i = 0; i < 8; ++i) word |= Word{bytes[i]} << (8 * i);
  return word;
}

inline void store_bytes(Word word, std::uint8_t* bytes) {
  if constexpr (std::endian::native == std::endian::little)
    std::memcpy(bytes, &word, 8);
  else
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(word >> (8 * i));
}

// The bits of `count` (up to 64) bytes that are 0 or 1.
inline Word pack_bytes(const std::uint8_t* bytes, std::size_t count) {
  Word word = 0;
  std::size_t i = 0;
  // The product moves bit 8j to bit 56 + j, for each byte j without a carry.
  for (; i + 8 <= count; i += 8) word |= (load_bytes(bytes + i) * 0x0102040810204080u) >> 56 << i;
  for (; i < count; ++i) word |= Word{bytes[i]} << i;
  return word;
}

// The eight low bits of a word as bytes that are 0 or 1.
constexpr Word unpack_byte(Word bits) {
  const Word apart = (bits & 0xff) * 0x0101010101010101u & 0x8040201008040201u;
  return (apart + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

// Eight rows of eight bits, turned: bit 8i + j to bit 8j + i (Hacker's Delight, 7-3).
constexpr Word transpose_bytes(Word x) {
  Word t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aau;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000ccccu;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0u;
  return x ^ t ^ (t << 28);
}

// Writes bits behind one another into words, first word first; `flush` writes the last, spare bits 0.
class BitWriter {
 public:
  constexpr explicit BitWriter(Word* out) : out_(out) {}

  // Appends the low `count` (1..64) bits of `bits`, whose other bits are 0.
  constexpr void append(Word bits, std::size_t count) {
    word_ |= bits << used_;
    if (used_ + count < kWordBits) {
      used_ += count;
      return;
    }
    *out_++ = word_;
    word_ = used_ == 0 ? 0 : bits >> (kWordBits - used_);
    used_ = used_ + count - kWordBits;
  }

  // Appends `count` bits of `row` from bit `begin` on.
  constexpr void copy(const Word* row, std::size_t begin, std::size_t count) {
    for (; count > kWordBits; begin += kWordBits, count -= kWordBits)
      append(extract_bits(row, begin, kWordBits), kWordBits);
    if (count > 0) append(extract_bits(row, begin, count), count);
  }

  // Appends `count` times the same bit.
  constexpr void fill(bool bit, std::size_t count) {
    for (; count > kWordBits; count -= kWordBits) append(bit ? ~Word{0} : 0, kWordBits);
    if (count > 0) append(bit ? low_bits(count) : 0, count);
  }

  constexpr void flush() {
    if (used_ > 0) *out_++ = word_;
    word_ = 0;
    used_ = 0;
  }

 private:
  Word* out_;
  Word word_ = 0;
  std::size_t used_ = 0;
};

}  // namespace sb
