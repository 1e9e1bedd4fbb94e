#include "ops/encoding.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace sb {
namespace {

// Bits that one load gives whatever the place of the first in its byte.
constexpr std::size_t kLoaded = 57;
constexpr const char* kShort = "the stream of gaps ends before its last position";

Word load_bits(const std::uint8_t* stream, std::size_t at) { return load_bytes(stream + at / 8) >> (at % 8); }

void flip(WeightBits& bits, std::size_t at) { bits[at / 8] ^= static_cast<std::uint8_t>(1u << (at % 8)); }

void flip_row(WeightBits& bits, std::size_t begin, std::size_t end) {
  for (; begin < end && begin % 8 != 0; ++begin) flip(bits, begin);
  for (; begin + 8 <= end; begin += 8) bits[begin / 8] ^= 0xff;
  for (; begin < end; ++begin) flip(bits, begin);
}

}  // namespace

WeightBits copy_bits(const std::uint8_t* stream, std::size_t bytes) {
  WeightBits bits(bytes + kBitsSlack);
  std::copy_n(stream, bytes, bits.begin());
  return bits;
}

std::string decode_gaps(const std::uint8_t* stream, std::size_t bytes, const std::vector<std::uint8_t>& rice,
                        const std::vector<std::int32_t>& count, std::size_t depth, WeightBits& bits) {
  const WeightBits codes = copy_bits(stream, bytes);
  const std::size_t end = 8 * bytes;
  bits.assign(divide_up(rice.size() * depth, 8) + kBitsSlack, 0);
  std::size_t at = 0;
  for (std::size_t f = 0; f < rice.size(); ++f) {
    const std::size_t row = f * depth, r = rice[f] & 0x1f;
    if ((rice[f] & 0x80) == 0) flip_row(bits, row, row + depth);
    std::size_t next = 0;    // the first place that may be listed
    Word window = 0;         // bits from `at` on,
    std::size_t loaded = 0;  // of which so many are there and zeros follow
    for (std::int32_t i = 0; i < count[f]; ++i) {
      std::size_t quotient = 0;
      auto ones = static_cast<std::size_t>(std::countr_one(window));
      if (ones + 1 + r > loaded) {
        if (at > end) return kShort;
        window = load_bits(codes.data(), at), loaded = kLoaded;
        for (; (~window & low_bits(kLoaded)) == 0; window = load_bits(codes.data(), at)) {
          quotient += kLoaded, at += kLoaded;
          if (at > end) return kShort;
        }
        ones = static_cast<std::size_t>(std::countr_one(window));
      }
      quotient += ones, at += ones + 1;
      if (at + r > end) return kShort;
      const bool whole = ones + 1 + r <= loaded;
      const Word low = (whole ? window >> (ones + 1) : load_bits(codes.data(), at)) & low_bits(r);
      at += r;
      window = whole ? window >> (ones + 1) >> r : 0;
      loaded = whole ? loaded - (ones + 1 + r) : 0;
      next += std::min(quotient, depth) * (std::size_t{1} << r) + static_cast<std::size_t>(low) + 1;
      if (next > depth) return "the stream of gaps lists a position past the depth " + std::to_string(depth);
      flip(bits, row + next - 1);
    }
  }
  if (end - at >= 8 || (load_bits(codes.data(), at) & low_bits(end - at)) != 0)
    return "the stream of gaps has bits left over";
  return {};
}

WeightBits decode_codebook(const WeightBits& patterns, const WeightBits& index, std::size_t taps,
                           std::size_t width, std::size_t kernels) {
  WeightBits bits(divide_up(kernels * taps, 8) + kBitsSlack, 0);
  if (taps <= kLoaded) {
    std::vector<Word> table(std::size_t{1} << width);
    for (std::size_t p = 0; p < table.size(); ++p)
      table[p] = load_bits(patterns.data(), p * taps) & low_bits(taps);
    std::uint8_t* out = bits.data();
    Word word = 0;
    for (std::size_t k = 0, used = 0; k < kernels; ++k) {
      const Word pattern = table[load_bits(index.data(), k * width) & low_bits(width)];
      word |= pattern << used;
      used += taps;
      if (used < kWordBits) continue;
      store_bytes(word, out), out += 8;
      used -= kWordBits;
      word = used == 0 ? 0 : pattern >> (taps - used);
    }
    store_bytes(word, out);
    return bits;
  }
  for (std::size_t k = 0; k < kernels; ++k) {
    const auto pattern = static_cast<std::size_t>(load_bits(index.data(), k * width) & low_bits(width));
    for (std::size_t done = 0; done < taps;) {
      const std::size_t piece = std::min(taps - done, kLoaded - 1), at = k * taps + done;
      const Word loaded = load_bits(patterns.data(), pattern * taps + done) & low_bits(piece);
      store_bytes(load_bytes(bits.data() + at / 8) | loaded << (at % 8), bits.data() + at / 8);
      done += piece;
    }
  }
  return bits;
}

}  // namespace sb
