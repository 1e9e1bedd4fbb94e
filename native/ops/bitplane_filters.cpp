#include "ops/bitplane_filters.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bits.h"

namespace sb {
namespace {

constexpr std::size_t kListStep = 8;
constexpr std::size_t kMostGroup = 5;
constexpr std::size_t kMostBuckets = std::size_t{1} << (kMostGroup - 1);

// Per input, the signs of the filters of one group as a number, bit j of filter `first` + j.
void patterns_of(const SignRows& signs, std::size_t group, std::size_t first,
                 std::vector<std::uint8_t>& patterns) {
  const std::size_t there = std::min(group, signs.filters() - first), depth = signs.depth();
  std::fill(patterns.begin(), patterns.end(), std::uint8_t{0});
  // Filters that fill the last group up are noise, which keeps the buckets even.
  for (std::size_t k = 0; there < group && k < depth; ++k)
    patterns[k] = static_cast<std::uint8_t>((k * 0x9e3779b97f4a7c15u) >> (64 - group) >> there << there);
  for (std::size_t j = 0; j < there; ++j) {
    const Word* row = signs.row(first + j);
    for (std::size_t k = 0; k < depth; k += 8)
      store_bytes(load_bytes(&patterns[k]) | unpack_byte(row[k / kWordBits] >> (k % kWordBits)) << j,
                  &patterns[k]);
  }
}

// The value of filter j's counter when no input differs: each bucket C(q) = added - subtracted + 2^(bits-1) -
// 1 enters plainly or as the complement in its width (`bits` + j where the network subtracts filter j).
std::int64_t origin(std::size_t j, std::size_t group, std::size_t bits, std::int64_t negative) {
  const std::int64_t buckets = std::int64_t{1} << (group - 1);
  if (j == group - 1) return buckets * ((std::int64_t{1} << (bits - 1)) - 1) - negative;
  return (buckets >> (j + 1)) * ((std::int64_t{1} << (bits + j)) - 1) - negative;
}

}  // namespace

std::optional<PlaneFilters> plane_filters(const SignRows& signs, std::size_t group,
                                          const PlaneOutputs& outputs) {
  const std::size_t filters = signs.filters(), depth = signs.depth();
  if (depth >= UINT16_MAX) return {};
  PlaneFilters result;
  result.group = group;
  result.groups = divide_up(filters, group);
  // A pattern whose last filter has -1 is subtracted from the complementary bucket. List 2q holds what
  // bucket q subtracts, list 2q + 1 what it adds.
  const std::size_t lists = std::size_t{1} << group;
  std::array<std::uint8_t, 2 * kMostBuckets> list_of{};
  for (std::size_t p = 0; p < lists; ++p)
    list_of[p] = static_cast<std::uint8_t>((p >> (group - 1)) != 0 ? 2 * (~p & (lists - 1)) : 2 * p + 1);
  std::size_t longest = 0;
  std::vector<std::array<std::int64_t, kMostGroup>> negative(result.groups);
  std::vector<std::uint8_t> patterns(round_up(depth, 8));
  result.lists.reserve(result.groups * (depth + lists * (kListStep + 1)));
  for (std::size_t g = 0; g < result.groups; ++g) {
    patterns_of(signs, group, g * group, patterns);
    std::array<std::size_t, 2 * kMostBuckets> counts{}, ends{};
    for (std::size_t k = 0; k < depth; ++k) ++counts[list_of[patterns[k]]];
    std::size_t at = result.lists.size();
    result.offsets.push_back(at);
    for (std::size_t i = 0; i < lists; ++i) {
      if (i % 2 == 0) at += 2;
      ends[i] = at;
      at += round_up(counts[i], kListStep);
      longest = std::max(longest, counts[i] + (i % 2 == 0 ? 1 : 0));
      for (std::size_t j = 0; j < group; ++j)
        negative[g][j] += static_cast<std::int64_t>((i / 2 >> j & 1) == i % 2 ? counts[i] : 0);
    }
    result.lists.resize(at, static_cast<std::uint16_t>(depth));  // the plane of zeros fills lists up
    for (std::size_t i = 0; i < lists; i += 2) {
      std::uint16_t* head = result.lists.data() + ends[i] - 2;
      head[0] = static_cast<std::uint16_t>(round_up(counts[i], kListStep));
      head[1] = static_cast<std::uint16_t>(round_up(counts[i + 1], kListStep));
    }
    for (std::size_t k = 0; k < depth; ++k)
      result.lists[ends[list_of[patterns[k]]]++] = static_cast<std::uint16_t>(k);
  }
  result.bits = std::max(kLeastPlaneBits, static_cast<std::size_t>(std::bit_width(longest - 1)) + 1);
  if (result.bits > kMostPlaneBits) return {};

  const std::size_t width = result.bits + group - 1;
  result.starts.assign(outputs.classes * result.class_stride(), 0);
  result.inverted.assign(result.padded(), 0);
  for (std::size_t f = 0; f < filters; ++f) {
    const std::size_t g = f / group, j = f % group;
    const std::int64_t from = origin(j, group, result.bits, negative[g][j]);
    if (outputs.inverted[f] != 0) result.inverted[f] = ~Word{0};
    for (std::size_t c = 0; c < outputs.classes; ++c) {
      const std::int64_t start = (std::int64_t{1} << width) - 1 - from - outputs.least[c * filters + f];
      for (std::size_t bit = 0; bit < width; ++bit) {
        const std::size_t index = (g * width + bit) * group + j;
        const Word word = (start >> bit & 1) != 0 ? ~Word{0} : 0;
        result.starts[c * result.class_stride() + index] = c == 0 ? word : word ^ result.starts[index];
      }
    }
  }
  return result;
}

}  // namespace sb
