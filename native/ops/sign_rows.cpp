#include "ops/sign_rows.h"

#include <algorithm>
#include <bit>

namespace sb {
namespace {

// Without the instruction, which not every machine has, std::popcount is a call.
constexpr std::size_t count_ones(Word x) {
  x -= x >> 1 & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<std::size_t>(x * 0x0101010101010101u >> 56);
}

// The 64 bits from bit `at` on.
Word load_word(const std::uint8_t* bits, std::size_t at) {
  const Word low = load_bytes(bits + at / 8) >> (at % 8);
  return at % 8 == 0 ? low : low | load_bytes(bits + at / 8 + 8) << (kWordBits - at % 8);
}

// Adds up to 64 bits to a row that is 0 there.
void put(Word bits, std::size_t count, Word* row, std::size_t at) {
  const std::size_t shift = at % kWordBits;
  bits &= low_bits(count);
  row[at / kWordBits] |= bits << shift;
  if (shift + count > kWordBits) row[at / kWordBits + 1] |= bits >> (kWordBits - shift);
}

// Of eight channels that follow one another, a byte for each of eight taps.
void turn_eight(const std::uint8_t* bits, std::size_t at, std::size_t all, std::size_t place, Word* taps) {
  Word block = 0;
  for (std::size_t i = 0; i < 8; ++i) block |= (load_word(bits, at + i * all) & 0xff) << (8 * i);
  block = transpose_bytes(block);
  for (std::size_t t = 0; t < 8; ++t) taps[t] |= (block >> (8 * t) & 0xff) << place;
}

// One filter, from bit `at` on.
void turn_filter(const PlaneTable& table, const std::uint8_t* bits, std::size_t at, std::size_t channels,
                 std::size_t taps, Word* row) {
  for (std::size_t c = 0; c < channels; c += kWordBits) {
    const std::size_t count = std::min(kWordBits, channels - c), first = at + c * taps;
    if (taps == 9 && count == kWordBits && first % 8 == 0) {
      Word turned[9];
      table.turn_nine(bits + first / 8, turned);
      for (std::size_t t = 0; t < taps; ++t) put(turned[t], count, row, t * channels + c);
      continue;
    }
    for (std::size_t t = 0; t < taps; t += 8) {
      Word turned[8] = {};
      for (std::size_t i = 0; i + 8 <= count; i += 8) turn_eight(bits, first + i * taps + t, taps, i, turned);
      const std::size_t there = std::min<std::size_t>(8, taps - t);
      for (std::size_t i = count - count % 8; i < count; ++i)
        for (std::size_t k = 0, from = first + i * taps + t; k < there; ++k)
          turned[k] |= Word{bits[(from + k) / 8] >> ((from + k) % 8) & 1u} << i;
      for (std::size_t k = 0; k < there; ++k) put(turned[k], count, row, (t + k) * channels + c);
    }
  }
}

}  // namespace

std::size_t SignRows::ones(std::size_t filter, std::size_t begin, std::size_t count) const {
  std::size_t total = 0;
  for (std::size_t done = 0; done < count; done += kWordBits)
    total += count_ones(extract_bits(row(filter), begin + done, std::min(kWordBits, count - done)));
  return total;
}

std::vector<std::uint16_t> SignRows::list(std::size_t filter, bool bit) const {
  std::vector<std::uint16_t> places(bit ? ones(filter) : depth_ - ones(filter));
  std::uint16_t* next = places.data();
  for (std::size_t k = 0; k < depth_; k += kWordBits) {
    Word word = row(filter)[k / kWordBits];
    if (!bit) word = ~word & low_bits(std::min(kWordBits, depth_ - k));
    for (; word != 0; word &= word - 1)
      *next++ = static_cast<std::uint16_t>(k + static_cast<std::size_t>(std::countr_zero(word)));
  }
  return places;
}

SignRows sign_rows(const PlaneTable& table, const WeightBits& bits, std::size_t filters, std::size_t channels,
                   std::size_t taps) {
  SignRows rows(filters, channels * taps);
  for (std::size_t f = 0; f < filters; ++f) {
    const std::size_t at = f * rows.depth();
    if (taps > 1) {
      turn_filter(table, bits.data(), at, channels, taps, rows.row(f));
      continue;
    }
    for (std::size_t k = 0; k < channels; k += kWordBits)
      rows.row(f)[k / kWordBits] =
          load_word(bits.data(), at + k) & low_bits(std::min(kWordBits, channels - k));
  }
  return rows;
}

}  // namespace sb
