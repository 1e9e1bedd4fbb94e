// Coded weights: what they decode to, and streams that lie.
#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "check.h"
#include "ops/encoding.h"
#include "ops/sign_rows.h"
#include "plan/isa.h"

namespace sb {
namespace {

bool bit(const WeightBits& bits, std::size_t i) { return (bits[i / 8] >> (i % 8) & 1) != 0; }

void test_bytes() {
  test::Random random(3);
  for (int i = 0; i < 200; ++i) {
    const Word word = random.next();
    std::uint8_t bytes[64];
    for (std::size_t b = 0; b < 64; ++b) bytes[b] = static_cast<std::uint8_t>(word >> b & 1);
    for (std::size_t count : {0u, 1u, 7u, 8u, 9u, 63u, 64u})
      CHECK(pack_bytes(bytes, count) == (word & low_bits(count)));
    std::uint8_t eight[8];
    store_bytes(unpack_byte(word), eight);
    CHECK(std::memcmp(eight, bytes, 8) == 0);
    const Word turned = transpose_bytes(word);
    for (std::size_t r = 0; r < 8; ++r)
      for (std::size_t c = 0; c < 8; ++c) CHECK((turned >> (8 * c + r) & 1) == (word >> (8 * r + c) & 1));
  }
}

// The code of docs/format.md, written bit by bit.
class Writer {
 public:
  void put(bool value) {
    if (used_ % 8 == 0) bytes.push_back(0);
    bytes.back() |= static_cast<std::uint8_t>(value << (used_++ % 8));
  }
  void gap(std::size_t gap, std::size_t r) {
    for (std::size_t i = 0; i < gap >> r; ++i) put(true);
    put(false);
    for (std::size_t i = 0; i < r; ++i) put((gap >> i & 1) != 0);
  }
  std::vector<std::uint8_t> bytes;

 private:
  std::size_t used_ = 0;
};

void test_gaps() {
  test::Random random(7);
  for (std::size_t depth : {1u, 63u, 64u, 65u, 600u})
    for (int per_cent : {0, 1, 5, 40, 100})
      for (std::size_t r = 0; r < 9; r += 2) {
        constexpr std::size_t kFilters = 5;
        Writer writer;
        std::vector<std::uint8_t> rice, expected;
        std::vector<std::int32_t> count(kFilters, 0);
        for (std::size_t f = 0; f < kFilters; ++f) {
          const bool listed = f % 2 == 1;
          rice.push_back(static_cast<std::uint8_t>(r | (listed ? 0x80 : 0)));
          std::size_t gap = 0;
          for (std::size_t k = 0; k < depth; ++k) {
            const bool here = random.between(0, 99) < per_cent;
            expected.push_back(here == listed);
            if (here) writer.gap(gap, r), ++count[f];
            gap = here ? 0 : gap + 1;
          }
        }
        WeightBits bits;
        CHECK(decode_gaps(writer.bytes.data(), writer.bytes.size(), rice, count, depth, bits).empty());
        bool equal = true;
        for (std::size_t i = 0; i < expected.size(); ++i) equal = equal && bit(bits, i) == (expected[i] != 0);
        CHECK(equal);
      }
}

std::string wrong(std::vector<std::uint8_t> stream, std::uint8_t rice, std::int32_t count,
                  std::size_t depth) {
  WeightBits bits;
  return decode_gaps(stream.data(), stream.size(), {rice}, {count}, depth, bits);
}

void test_damaged_gaps() {
  const std::string ends = "the stream of gaps ends before its last position";
  const std::string past = "the stream of gaps lists a position past the depth ";
  const std::string left = "the stream of gaps has bits left over";
  CHECK(wrong({255, 255}, 0, 1, 64) == ends);
  CHECK(wrong(std::vector<std::uint8_t>(40, 255), 0, 1, 64) == ends);
  CHECK(wrong({0b01111111}, 3, 1, 64) == ends);
  CHECK(wrong({0}, 0, 9, 64) == ends);
  CHECK(wrong({}, 0, 1, 64) == ends);
  CHECK(wrong({0b00111111}, 0, 1, 6) == past + "6");
  CHECK(wrong({255, 255, 255, 255, 0, 0, 0, 0}, 31, 1, 64) == past + "64");
  CHECK(wrong(std::vector<std::uint8_t>(40, 255), 0, 1, 6) == ends);
  CHECK(wrong({0, 0}, 0, 1, 64) == left);
  CHECK(wrong({0b10000000}, 0, 1, 64) == left);
  CHECK(wrong({}, 0, 0, 64).empty());
}

void test_codebook() {
  test::Random random(9);
  for (std::size_t taps : {1u, 9u, 18u, 130u})
    for (std::size_t width : {0u, 3u, 7u}) {
      const std::size_t kernels = 37;
      WeightBits patterns(divide_up(taps << width, 8) + kBitsSlack),
          index(divide_up(kernels * width, 8) + kBitsSlack);
      for (std::size_t i = 0; i + kBitsSlack < patterns.size(); ++i)
        patterns[i] = static_cast<std::uint8_t>(random.next() >> 32);
      for (std::size_t i = 0; i + kBitsSlack < index.size(); ++i)
        index[i] = static_cast<std::uint8_t>(random.next() >> 32);
      const WeightBits bits = decode_codebook(patterns, index, taps, width, kernels);
      bool equal = bits.size() == divide_up(kernels * taps, 8) + kBitsSlack;
      for (std::size_t k = 0; k < kernels; ++k) {
        std::size_t which = 0;
        for (std::size_t b = 0; b < width; ++b) which |= std::size_t{bit(index, k * width + b)} << b;
        for (std::size_t t = 0; t < taps; ++t)
          equal = equal && bit(bits, k * taps + t) == bit(patterns, which * taps + t);
      }
      CHECK(equal);
    }
}

void test_rows(const PlaneTable& table) {
  test::Random random(11);
  for (std::size_t channels : {1u, 3u, 8u, 13u, 64u, 65u, 200u})
    for (std::size_t taps : {1u, 2u, 8u, 9u, 25u, 64u}) {
      const std::size_t filters = 3, depth = channels * taps;
      WeightBits bits(divide_up(filters * depth, 8) + kBitsSlack);
      for (std::size_t i = 0; i + kBitsSlack < bits.size(); ++i)
        bits[i] = static_cast<std::uint8_t>(random.next() >> 32);
      const SignRows rows = sign_rows(table, bits, filters, channels, taps);
      CHECK(rows.filters() == filters && rows.depth() == depth);
      for (std::size_t f = 0; f < filters; ++f) {
        bool equal = true;
        std::vector<std::uint16_t> lists[2];
        for (std::size_t k = 0; k < depth; ++k) {
          const bool expected = bit(bits, f * depth + k % channels * taps + k / channels) != 0;
          equal = equal && rows.get(f, k) == expected;
          lists[expected].push_back(static_cast<std::uint16_t>(k));
        }
        for (std::size_t k = depth; k < rows.words() * kWordBits; ++k) equal = equal && !rows.get(f, k);
        CHECK(equal);
        CHECK(rows.list(f, false) == lists[0] && rows.list(f, true) == lists[1]);
        CHECK(rows.ones(f) == lists[1].size());
        const auto first = std::lower_bound(lists[1].begin(), lists[1].end(), depth / 3);
        CHECK(rows.ones(f, depth / 3, depth - depth / 3) == static_cast<std::size_t>(lists[1].end() - first));
      }
    }
}

}  // namespace
}  // namespace sb

int main() {
  sb::test_bytes();
  sb::test_gaps();
  sb::test_damaged_gaps();
  sb::test_codebook();
  for (const sb::KernelTable* kernels : sb::usable_kernels()) sb::test_rows(kernels->planes);
  return sb::test::finish();
}
