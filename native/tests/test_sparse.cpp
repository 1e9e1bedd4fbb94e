// What sparse filters add to planes, for every usable table: planes moved to taps, planes as numbers, and
// filters counted side by side.
#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/bits.h"
#include "base/memory.h"
#include "check.h"
#include "ops/beside_sums.h"
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

SignRows random_signs(Random& random, std::size_t filters, std::size_t depth, int percent, bool rare) {
  SignRows signs(filters, depth);
  for (std::size_t f = 0; f < filters; ++f)
    for (std::size_t k = 0; k < depth; ++k)
      set_bit(signs.row(f), k, (random.between(1, 100) <= percent) == rare);
  return signs;
}

// The sums of one product or two, of random planes.
void test_beside(const KernelTable& kernels, std::size_t depth, std::size_t filters, std::size_t rows,
                 int percent, bool pair, std::size_t stride = 1) {
  Random random(depth + filters);
  std::vector<SignRows> signs = {random_signs(random, filters, depth, percent, true)};
  if (pair) signs.push_back(random_signs(random, filters, depth, percent, false));
  // Of some filters the other sign is rare.
  for (std::size_t f = 0; !pair && f < filters; f += 3)
    for (std::size_t k = 0; k < depth; ++k) set_bit(signs[0].row(f), k, !signs[0].get(f, k));
  SumBases sums;
  sums.sums.assign(round_up(filters, kChainPadding), static_cast<float>(signs.size() * depth));
  sums.outside = {0};
  const auto rules = count_rules(signs[0], pair ? &signs[1] : nullptr);
  CHECK(rules.has_value());
  const auto beside = BesideSums::make(kernels, *rules, depth, CountBases(sums, filters, depth, pair));
  if (beside == nullptr) return;
  // Windows of one position; with a stride they are gathered.
  ConvolutionShape shape;
  shape.in.channels = depth, shape.in.width = stride * rows;
  shape.window.stride_x = stride, shape.window.out_width = rows;
  PlaneInputs inputs(kernels, shape);
  inputs.find_valid_taps();
  CHECK(inputs.narrows_map() == (stride == 1));
  const PlaneWidth& width = kernels.planes.widths[kernels.planes.count - 1];
  const std::size_t words = words_for(depth);
  std::vector<Word> map(stride * rows * words), planes(inputs.plane_words(width) + kWordBits),
      others(inputs.other_words(width)), work(beside->scratch_words(), ~Word{0});
  for (std::size_t i = 0; i < map.size(); ++i)
    map[i] = random.next() & low_bits(std::min(kWordBits, depth - i % words * kWordBits));
  const auto* input = reinterpret_cast<const std::byte*>(map.data());
  Call call{};
  call.rows = rows, call.inputs = &input;
  const PlaneTile tile = inputs.tile(width, call, 0, rows, planes.data(), others.data());
  beside->make(tile, inputs, work.data());
  for (std::size_t begin = 0; begin < filters; begin += SparseSums::kBlock) {
    const std::size_t size = beside->shorts(begin) ? 2 : 1;
    std::vector<std::byte> out(kWordBits * SparseSums::kBlock * size);
    beside->count(tile, work.data(), begin, out.data());
    for (std::size_t f = begin; f < std::min(begin + SparseSums::kBlock, filters); ++f)
      for (std::size_t row = 0; row < rows; ++row) {
        int sum = 0, total = 0;
        for (std::size_t k = 0; k < depth; ++k) {
          const int input = get_bit(map.data() + row * stride * words, k) ? -1 : 1;
          total += input;
          for (const SignRows& each : signs) sum += each.sign(f, k) * input;
        }
        const std::size_t at = (row * SparseSums::kBlock + f - begin) * size;
        int count = std::to_integer<int>(out[at]);
        if (size == 2) count += 256 * std::to_integer<int>(out[at + 1]);
        const float sign = beside->bases().signs() == nullptr ? 0 : beside->bases().signs()[f];
        CHECK(static_cast<float>(sum) ==
              beside->bases().bases()[f] - 4 * static_cast<float>(count) + sign * static_cast<float>(total));
      }
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
    for (std::size_t depth : {1, 2, 62, 63, 64, 65, 126, 127, 600, 3000})
      for (std::size_t rows : {1, 15, 16, 17, 64})
        for (bool pair : {false, true}) {
          sb::test_beside(*kernels, depth, 70, rows, 5, pair);
          sb::test_beside(*kernels, depth, 33, rows, 40, pair, 2);
        }
    sb::test_beside(*kernels, 600, 1, 3, 0, true);
    sb::test_beside(*kernels, 16000, 32, 64, 50, true);
  }
  return sb::test::finish();
}
