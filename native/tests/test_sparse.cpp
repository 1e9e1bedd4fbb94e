// What sparse filters add to planes, for every usable table: planes moved to taps, and planes as numbers.
#include <vector>

#include "base/bits.h"
#include "base/memory.h"
#include "check.h"
#include "ops/sparse_filters.h"
#include "plan/isa.h"

namespace sb {
namespace {

using test::Random;

// Taps that begin in one word, in two, or far apart.
void test_shift(const SparseWidth& kernels, std::size_t lanes) {
  Random random(2);
  constexpr std::size_t kChannels = 5;
  const std::size_t words = lanes / kWordBits, stride = words + 8;
  for (std::size_t taps : {1, 2, 3, 5})
    for (std::size_t step : {1, 2, 31, 64})
      for (std::size_t offset : {0, 1, 62, 63, 64, 65, 128, 191})
        for (Word fill : {Word{0}, ~Word{0}}) {
          std::vector<Word> source(kChannels * stride), valid(taps * words);
          for (Word& word : source) word = random.next();
          for (Word& word : valid) word = random.next();
          Buffer buffer(taps * kChannels * words * sizeof(Word));
          auto* out = reinterpret_cast<Word*>(buffer.data());
          kernels.shift({source.data(), stride, kChannels, taps, offset, step, valid.data(), fill, out});
          for (std::size_t i = 0; i < taps * kChannels * lanes; ++i) {
            const std::size_t lane = i % lanes, c = i / lanes % kChannels, t = i / lanes / kChannels;
            const bool moved = get_bit(source.data() + c * stride, lane + offset + t * step);
            const bool there = get_bit(valid.data() + t * words, lane);
            CHECK(get_bit(out + (t * kChannels + c) * words, lane) == (there ? moved : fill != 0));
          }
        }
}

// There and back.
void test_numbers(const SparseTable& table) {
  Random random(3);
  for (std::size_t words : {1, 2, 8})
    for (std::size_t bits : {1, 3, 8, 9, 14, 16}) {
      const std::size_t stride = words + 1;
      std::vector<Word> planes(bits * stride), again(bits * stride, 7);
      for (Word& word : planes) word = random.next();
      std::vector<std::uint16_t> numbers(words * kWordBits);
      table.number({planes.data(), stride, bits, words, numbers.data()});
      for (std::size_t lane = 0; lane < numbers.size(); ++lane)
        for (std::size_t bit = 0; bit < 16; ++bit)
          CHECK((numbers[lane] >> bit & 1) == (bit < bits && get_bit(planes.data() + bit * stride, lane)));
      table.plane({again.data(), stride, bits, words, numbers.data()});
      for (std::size_t i = 0; i < again.size(); ++i)
        CHECK(again[i] == (i % stride < words ? planes[i] : Word{7}));
    }
}

}  // namespace
}  // namespace sb

int main() {
  for (const sb::KernelTable* kernels : sb::usable_kernels()) {
    const sb::SparseTable& table = sb::sparse_table(*kernels);
    for (std::size_t i = 0; i < kernels->planes.count; ++i)
      sb::test_shift(table.widths[i], kernels->planes.widths[i].lanes);
    sb::test_numbers(table);
  }
  return sb::test::finish();
}
