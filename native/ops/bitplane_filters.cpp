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

// The planes that a bucket subtracts and adds.
struct Bucket {
  std::vector<std::uint16_t> subtracted, added;
};

void append(std::vector<std::uint16_t> planes, std::size_t zeros, std::vector<std::uint16_t>& lists) {
  planes.resize(round_up(planes.size(), kListStep), static_cast<std::uint16_t>(zeros));
  lists.insert(lists.end(), planes.begin(), planes.end());
}

// Sums all inputs of one group into its buckets: a pattern whose last filter has -1 counts in the
// complementary bucket.
std::vector<Bucket> buckets_of(const std::vector<std::uint8_t>& signs, std::size_t filters, std::size_t depth,
                               std::size_t group, std::size_t first) {
  const std::size_t mask = (std::size_t{1} << group) - 1;
  std::vector<Bucket> buckets((mask + 1) / 2);
  for (std::size_t k = 0; k < depth; ++k) {
    // Filters that fill the last group up are noise, which keeps the buckets even.
    std::size_t pattern = (k * 0x9e3779b97f4a7c15u) >> (64 - group);
    for (std::size_t j = 0; j < group && first + j < filters; ++j) {
      const std::size_t sign = signs[(first + j) * depth + k];
      pattern = (pattern & ~(std::size_t{1} << j)) | sign << j;
    }
    const auto plane = static_cast<std::uint16_t>(k);
    if (pattern >> (group - 1))
      buckets[~pattern & mask].subtracted.push_back(plane);
    else
      buckets[pattern].added.push_back(plane);
  }
  return buckets;
}

// The value of filter j's counter when no input differs: each bucket C(q) = added - subtracted + 2^(bits-1) -
// 1 enters plainly or as the complement in its width (`bits` + j where the network subtracts filter j).
std::int64_t origin(std::size_t j, std::size_t group, std::size_t bits, std::int64_t negative) {
  const std::int64_t buckets = std::int64_t{1} << (group - 1);
  if (j == group - 1) return buckets * ((std::int64_t{1} << (bits - 1)) - 1) - negative;
  return (buckets >> (j + 1)) * ((std::int64_t{1} << (bits + j)) - 1) - negative;
}

}  // namespace

std::optional<PlaneFilters> plane_filters(const std::vector<std::uint8_t>& signs, std::size_t filters,
                                          std::size_t depth, std::size_t group, const PlaneOutputs& outputs) {
  if (depth >= UINT16_MAX) return {};
  PlaneFilters result;
  result.group = group;
  result.groups = divide_up(filters, group);
  std::size_t longest = 0;
  std::vector<std::array<std::int64_t, kMostGroup>> negative(result.groups);
  for (std::size_t g = 0; g < result.groups; ++g) {
    const std::vector<Bucket> buckets = buckets_of(signs, filters, depth, group, g * group);
    result.offsets.push_back(result.lists.size());
    for (std::size_t q = 0; q < buckets.size(); ++q) {
      const Bucket& bucket = buckets[q];
      longest = std::max({longest, bucket.subtracted.size() + 1, bucket.added.size()});
      result.lists.push_back(static_cast<std::uint16_t>(round_up(bucket.subtracted.size(), kListStep)));
      result.lists.push_back(static_cast<std::uint16_t>(round_up(bucket.added.size(), kListStep)));
      append(bucket.subtracted, depth, result.lists);
      append(bucket.added, depth, result.lists);
      for (std::size_t j = 0; j < group; ++j)
        negative[g][j] +=
            static_cast<std::int64_t>((q >> j & 1) != 0 ? bucket.added.size() : bucket.subtracted.size());
    }
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
