// The mirrored kernels of every usable table and width against counting.
#include <algorithm>
#include <bit>
#include <vector>

#include "base/bits.h"
#include "base/memory.h"
#include "check.h"
#include "plan/isa.h"

namespace sb {
namespace {

using test::Random;

constexpr std::size_t kLeastBits = 13;

std::size_t pattern_at(const std::vector<const Word*>& rows, std::size_t positions, std::size_t tap,
                       std::size_t channel) {
  std::size_t pattern = 0;
  for (std::size_t j = 0; j < positions; ++j)
    pattern |= std::size_t{get_bit(rows[tap * positions + j], channel)} << j;
  return pattern;
}

// `density` of four bits is set; 0 and 4 make one list of everything.
void test_sort(const MirrorTable& table, std::size_t positions, std::size_t taps, std::size_t channels,
               int density) {
  Random random(channels + taps);
  const std::size_t words = words_for(channels), stride = taps * channels + kListSlack;
  const std::size_t patterns = patterns_of(positions);
  std::vector<Word> bits(taps * positions * words), work(sort_words(positions, channels) * taps);
  for (std::size_t r = 0; r < taps * positions; ++r)
    for (std::size_t c = 0; c < channels; ++c) set_bit(&bits[r * words], c, random.between(1, 4) <= density);
  std::vector<const Word*> rows;
  for (std::size_t r = 0; r < taps * positions; ++r) rows.push_back(&bits[r * words]);
  std::vector<std::uint16_t> lists(patterns * (2 * stride));
  std::vector<std::uint32_t> ends(patterns);
  for (std::uint16_t first : {0, 1000}) {
    const std::vector<std::uint32_t> begins = ends;
    const auto sort = positions == kFewPositions ? table.sort_few : table.sort_many;
    sort({rows.data(), taps, channels, first, work.data(), lists.data(), 2 * stride, ends.data()});
    std::size_t total = 0;
    for (std::size_t p = 0; p < patterns; ++p) {
      const std::uint16_t* list = &lists[p * 2 * stride + begins[p]];
      const std::size_t length = ends[p] - begins[p];
      total += length;
      CHECK(std::is_sorted(list, list + length));
      for (std::size_t i = 0; i < length; ++i) {
        const std::size_t input = list[i] - std::size_t{first};
        CHECK(input < taps * channels &&
              pattern_at(rows, positions, input / channels, input % channels) == p);
      }
    }
    CHECK(total == taps * channels);
  }
}

// Bits of counters, and inputs of which every one may lie in a single list.
void test_products(const PlaneWidth& width, std::size_t positions, std::size_t bits, std::size_t depth,
                   bool one_list) {
  Random random(depth + bits);
  const std::size_t words = width.lanes / kWordBits, stride = depth + 8;
  const auto all = static_cast<int>(depth), most = static_cast<int>(patterns_of(positions)) - 1;
  Buffer planes_buffer((depth + 1) * words * sizeof(Word)),
      least_buffer(positions * kLeastBits * words * sizeof(Word)),
      out_buffer((positions + 1) * words * sizeof(Word)),
      counts_buffer(positions * kCountRows * words * sizeof(Word)),
      row_buffer(width.lanes * sizeof(std::uint16_t));
  auto* planes = reinterpret_cast<Word*>(planes_buffer.data());
  auto* least_planes = reinterpret_cast<Word*>(least_buffer.data());
  auto* out = reinterpret_cast<Word*>(out_buffer.data());
  Word* inverted = out + positions * words;
  for (std::size_t i = 0; i < depth * words; ++i) planes[i] = random.next();
  std::fill_n(planes + depth * words, words, Word{0});
  for (std::size_t i = 0; i < words; ++i) inverted[i] = random.next();

  std::vector<std::size_t> patterns(depth);
  std::vector<std::uint32_t> begins(patterns_of(positions), 0), lengths(patterns_of(positions), 0);
  std::vector<std::uint16_t> lists(patterns_of(positions) * stride, static_cast<std::uint16_t>(depth));
  const auto only = static_cast<std::size_t>(random.between(0, most));
  for (std::size_t k = 0; k < depth; ++k) {
    patterns[k] = one_list ? only : static_cast<std::size_t>(random.between(0, most));
    lists[patterns[k] * stride + lengths[patterns[k]]++] = static_cast<std::uint16_t>(k);
  }
  MirrorCall call;
  std::vector<int> least(positions * width.lanes);
  std::fill_n(least_planes, positions * kLeastBits * words, Word{0});
  for (std::size_t j = 0; j < positions; ++j) {
    Word* table = least_planes + j * kLeastBits * words;
    for (std::size_t lane = 0; lane < width.lanes; ++lane) {
      const int extreme[] = {0, 1, all, all + 1};
      int& value = least[j * width.lanes + lane];
      value = random.between(0, 2) > 0 ? std::clamp(all / 2 + random.between(-9, 9), 0, all + 1)
                                       : extreme[random.between(0, 3)];
      for (std::size_t bit = 0; bit < kLeastBits; ++bit)
        set_bit(table + bit * words, lane, (~value >> bit & 1) != 0);
    }
    std::size_t negative = 0;
    for (std::size_t p = 0; p < patterns_of(positions); ++p)
      if ((p >> j & 1) != 0) negative += lengths[p];
    const std::size_t top = std::size_t{1} << (bits + positions - 1);
    const auto signed_sum = [](std::size_t bit, std::size_t from) {
      return (4u >> bit) * ((std::size_t{1} << (from + bit)) - 1);
    };
    std::size_t origin = 8 * signed_sum(j, bits);
    if (positions == 4) origin = signed_sum(j, bits);
    if (positions == 7 && j >= 3) origin = signed_sum(j - 3, bits + 3);
    if (j + 1 == positions) origin = (patterns_of(positions) / 2) * ((std::size_t{1} << (bits - 1)) - 1);
    call.starts[j] = static_cast<std::uint32_t>(top - 1 - origin + negative);
    call.least[j] = table;
    call.out[j] = out + j * words;
  }
  for (std::uint32_t& length : lengths) length = static_cast<std::uint32_t>(round_up(length, 8));
  call.planes = planes;
  call.lists = lists.data();
  call.stride = stride;
  call.begins = begins.data();
  call.lengths = lengths.data();
  call.least_bits = kLeastBits;
  call.inverted = inverted;
  call.count_bits = 0;
  width.mirrored(positions, bits)(call);
  auto* counts = reinterpret_cast<Word*>(counts_buffer.data());
  call.count_bits = static_cast<std::size_t>(std::bit_width(depth));
  for (std::size_t j = 0; j < positions; ++j) call.out[j] = counts + j * kCountRows * words;
  width.mirrored(positions, bits)(call);
  auto* row = reinterpret_cast<std::uint16_t*>(row_buffer.data());
  for (std::size_t j = 0; j < positions; ++j) {
    const Word* count_planes = counts + j * kCountRows * words;
    if (width.spread_row != nullptr)
      width.spread_row(count_planes, call.count_bits, reinterpret_cast<Word*>(row));
    for (std::size_t lane = 0; lane < width.lanes; ++lane) {
      int differing = 0, counted = 0;
      for (std::size_t k = 0; k < depth; ++k)
        differing += get_bit(planes + k * words, lane) != ((patterns[k] >> j & 1) != 0);
      for (std::size_t bit = 0; bit < call.count_bits; ++bit)
        counted += get_bit(count_planes + bit * words, lane) << bit;
      CHECK(counted == differing);
      const std::size_t streams = count_streams(width.lanes);
      const std::size_t place = (lane / 8 % 16 * streams + lane / 128) * 8 + lane % 8;
      CHECK(width.spread_row == nullptr || row[place] == differing);
      const bool reached = differing >= least[j * width.lanes + lane];
      CHECK(get_bit(out + j * words, lane) == (reached != get_bit(inverted, lane)));
    }
  }
}

}  // namespace
}  // namespace sb

int main() {
  for (const sb::KernelTable* kernels : sb::usable_kernels()) {
    const sb::PlaneTable& table = kernels->planes;
    for (std::size_t positions : {sb::kFewPositions, sb::kManyPositions}) {
      for (std::size_t channels : {1, 63, 64, 65, 130})
        for (int density : {0, 1, 2, 4})
          sb::test_sort(table.mirror, positions, 1 + channels % 3, channels, density);
      for (std::size_t i = 0; i < table.count; ++i) {
        for (std::size_t depth : {1, 7, 8, 64, 65, 127}) {
          sb::test_products(table.widths[i], positions, 8, depth, true);
          sb::test_products(table.widths[i], positions, 10, depth, false);
        }
        if (positions == sb::kManyPositions) sb::test_products(table.widths[i], positions, 8, 4608, false);
        sb::test_products(table.widths[i], positions, 10, 511, true);
        sb::test_products(table.widths[i], positions, 14, 4608, true);
        sb::test_products(table.widths[i], positions, 10, 4608, false);
      }
    }
  }
  return sb::test::finish();
}
