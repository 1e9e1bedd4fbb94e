#include "ops/bitplane_filters.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bits.h"

namespace sb {
namespace {

// Rows in the place of those that fill the last group up: noise, which keeps the buckets even.
SignRows noise_rows(std::size_t depth, std::size_t group, std::size_t there) {
  SignRows rows(group, depth);
  for (std::size_t k = 0; k < depth; ++k)
    for (std::size_t j = there; j < group; ++j)
      set_bit(rows.row(j), k, ((k * 0x9e3779b97f4a7c15u) >> (kWordBits - group + j) & 1) != 0);
  return rows;
}

// The value of filter j's counter when no input differs: each bucket C(q) = added - subtracted + 2^(bits-1) -
// 1 enters plainly or as the complement in its width (`bits` + j where the network subtracts filter j).
std::int64_t origin(std::size_t j, std::size_t group, std::size_t bits, std::int64_t negative) {
  const std::int64_t buckets = std::int64_t{1} << (group - 1);
  if (j == group - 1) return buckets * ((std::int64_t{1} << (bits - 1)) - 1) - negative;
  return (buckets >> (j + 1)) * ((std::int64_t{1} << (bits + j)) - 1) - negative;
}

}  // namespace

std::optional<PlaneFilters> plane_filters(const PlaneTable& table, const SignRows& signs, std::size_t group,
                                          const PlaneOutputs& outputs) {
  const std::size_t filters = signs.filters(), depth = signs.depth();
  if (depth >= UINT16_MAX) return {};
  PlaneFilters result;
  result.group = group;
  result.groups = divide_up(filters, group);
  const std::size_t lists = std::size_t{1} << group, most = depth + lists * (kPlaneStep + 1);
  const SignRows noise = filters % group == 0 ? SignRows() : noise_rows(depth, group, filters % group);
  std::size_t longest = 0;
  std::vector<std::array<std::int64_t, kMostGroup>> negative(result.groups);
  std::vector<std::uint16_t> own(most + kListSlack);
  result.lists.reserve(result.groups * most);
  for (std::size_t g = 0; g < result.groups; ++g) {
    std::size_t counts[2 * kMostBuckets];
    ListCall call;
    for (std::size_t j = 0; j < group; ++j)
      call.rows[j] = g * group + j < filters ? signs.row(g * group + j) : noise.row(j);
    call.filters = group;
    call.inputs = depth;
    call.out = own.data();
    call.counts = counts;
    const std::size_t written = table.list(call);
    result.offsets.push_back(result.lists.size());
    result.lists.insert(result.lists.end(), own.data(), own.data() + written);
    for (std::size_t i = 0; i < lists; ++i) {
      longest = std::max(longest, counts[i] + (i % 2 == 0 ? 1 : 0));
      for (std::size_t j = 0; j < group; ++j)
        negative[g][j] += static_cast<std::int64_t>((i / 2 >> j & 1) == i % 2 ? counts[i] : 0);
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
