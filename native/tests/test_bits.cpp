#include <vector>

#include "base/bits.h"
#include "base/memory.h"
#include "check.h"

namespace sb {
namespace {

void test_words() {
  CHECK(words_for(0) == 0);
  CHECK(words_for(1) == 1);
  CHECK(words_for(63) == 1);
  CHECK(words_for(64) == 1);
  CHECK(words_for(65) == 2);
  CHECK(low_bits(0) == 0);
  CHECK(low_bits(1) == 1);
  CHECK(low_bits(63) == ~Word{0} >> 1);
  CHECK(low_bits(64) == ~Word{0});
}

void test_dot() {
  test::Random random(1);
  for (std::size_t depth : {0, 1, 2, 63, 64, 65, 127, 128, 129, 1000}) {
    std::vector<Word> a(words_for(depth)), b(words_for(depth));
    std::int64_t expected = 0;
    for (std::size_t i = 0; i < depth; ++i) {
      const bool x = random.next() >> 63, y = random.next() >> 63;
      set_bit(a.data(), i, x);
      set_bit(b.data(), i, y);
      CHECK(get_bit(a.data(), i) == x);
      expected += (x ? -1 : 1) * (y ? -1 : 1);
    }
    CHECK(dot(a.data(), b.data(), depth) == expected);
  }
}

void test_extract() {
  const Word words[2] = {0x8000000000000001, 0x0f};
  CHECK(extract_bits(words, 0, 1) == 1);
  CHECK(extract_bits(words, 63, 5) == 0x1f);
  CHECK(extract_bits(words, 64, 4) == 0x0f);
  CHECK(extract_bits(words, 0, 64) == words[0]);
  CHECK(extract_bits(words, 1, 64) == 0xc000000000000000);
}

void test_writer() {
  test::Random random(2);
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::vector<Word> source(8), written(32, ~Word{0});
    for (Word& word : source) word = random.next();
    std::vector<bool> expected;
    BitWriter writer(written.data());
    for (int part = 0; part < 4; ++part) {
      const auto begin = static_cast<std::size_t>(random.between(0, 200));
      const auto count = static_cast<std::size_t>(random.between(0, 200));
      if (part % 2 == 0) {
        writer.copy(source.data(), begin, count);
        for (std::size_t i = begin; i < begin + count; ++i) expected.push_back(get_bit(source.data(), i));
      } else {
        writer.fill(part == 1, count);
        expected.insert(expected.end(), count, part == 1);
      }
    }
    writer.flush();
    for (std::size_t i = 0; i < words_for(expected.size()) * kWordBits; ++i)
      CHECK(get_bit(written.data(), i) == (i < expected.size() && expected[i]));
  }
}

void test_products() {
  constexpr std::size_t most = static_cast<std::size_t>(-1);
  CHECK(saturating_product({}) == 1);
  CHECK(saturating_product({3, 5, 7}) == 105);
  CHECK(saturating_product({most, 2}) == most);
  CHECK(saturating_product({most, 0}) == 0);
  CHECK(saturating_product({std::size_t{1} << 32, std::size_t{1} << 32}) == most);
}

}  // namespace
}  // namespace sb

int main() {
  sb::test_words();
  sb::test_dot();
  sb::test_extract();
  sb::test_writer();
  sb::test_products();
  return sb::test::finish();
}
