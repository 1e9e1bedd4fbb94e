#include "ops/sparse_filters.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/bits.h"

namespace sb {
namespace {

constexpr std::size_t kLeastGranule = 8, kGranules = 128;
// Planes of more bytes than a first cache holds take longer to read.
constexpr std::size_t kNearBytes = std::size_t{32} << 10;
constexpr double kFar = 1.3;

std::int64_t floor_half(std::int64_t x) { return x >= 0 ? x / 2 : -((1 - x) / 2); }

// Whether -1 is the rarer sign of a filter.
bool ones_are_rare(const SignRows& signs, std::size_t filter) {
  return 2 * signs.ones(filter) <= signs.depth();
}

// How many steps a filter has made at each row of the table.
void count_steps(const std::vector<std::uint16_t>& steps, std::size_t entry, std::size_t entries,
                 std::size_t rows, std::size_t granule, StepTable& table) {
  table.offsets.push_back(static_cast<std::uint32_t>(table.steps.size()));
  table.steps.insert(table.steps.end(), steps.begin(), steps.end());
  std::size_t done = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    while (done < steps.size() && steps[done] <= row * granule) ++done;
    table.counts[row * entries + entry] = static_cast<std::uint16_t>(done);
  }
}

std::size_t padded(const std::vector<std::uint16_t>& list) { return round_up(list.size(), kSparseStep); }

// The cuts that filters make, in order, and which of them each total reaches.
LineTable line_table(const SparseRules& rules, const std::vector<std::uint16_t>& order) {
  LineTable table;
  std::vector<std::size_t> cuts;
  for (const SparseRule& rule : rules.filters) cuts.push_back(rule.cut);
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  const auto place = [&](std::size_t rest) {
    return std::upper_bound(cuts.begin(), cuts.end(), rest) - cuts.begin();
  };
  table.cuts = cuts.size();
  table.rest_bits = std::max<std::size_t>(3, static_cast<std::size_t>(std::bit_width(cuts.size())));
  for (std::size_t n = 0; n < rules.line.values.size(); ++n)
    table.entries.push_back(rules.line.values[n] << 16 |
                            static_cast<std::uint32_t>(place(rules.line.rests[n])));
  table.entries.resize(std::bit_ceil(table.entries.size()));
  for (std::uint16_t f : order)
    table.cut_of.push_back(static_cast<std::uint16_t>(place(rules.filters[f].cut) - 1));
  return table;
}

// Lists run through the planes to and fro, so that each begins where the cache still holds them.
void append(std::vector<std::uint16_t> planes, bool turned, std::size_t zeros,
            std::vector<std::uint16_t>& lists) {
  if (turned) std::reverse(planes.begin(), planes.end());
  planes.resize(padded(planes), static_cast<std::uint16_t>(zeros));
  lists.insert(lists.end(), planes.begin(), planes.end());
}

}  // namespace

double density(const SignRows& signs) {
  std::size_t rare = 0;
  for (std::size_t f = 0; f < signs.filters(); ++f) {
    const std::size_t ones = signs.ones(f);
    rare += std::min(ones, signs.depth() - ones);
  }
  return static_cast<double>(rare) / static_cast<double>(signs.filters() * signs.depth());
}

// With A of r listed inputs -1, differing = N + r - 2 A where ones are rare, else depth - N - r + 2 A.
std::optional<SparseRules> sparse_rules(const SignRows& signs, const PlaneOutputs& outputs) {
  const std::size_t filters = signs.filters(), depth = signs.depth();
  if (depth > kMostDepth) return {};
  SparseRules rules;
  rules.moving = Moving::kHalf;
  rules.classes = outputs.classes;
  for (std::size_t f = 0; f < filters; ++f) {
    const bool ones = ones_are_rare(signs, f);
    SparseRule rule;
    rule.added = signs.list(f, ones);
    rule.inverted = (outputs.inverted[f] != 0) != ones;
    const auto rare = static_cast<std::int64_t>(rule.added.size());
    for (std::size_t c = 0; c < outputs.classes; ++c) {
      const std::int64_t least = outputs.least[c * filters + f];
      const std::int64_t twice =
          ones ? rare - least + 2 : least - static_cast<std::int64_t>(depth) + rare + 1;
      const bool odd = twice % 2 != 0;
      if (c > 0 && odd != rule.odd) return {};
      rule.odd = odd;
      rule.least.push_back(floor_half(twice));
    }
    rules.filters.push_back(std::move(rule));
  }
  return rules;
}

// The total cancels: the list of the first are its ones, that of the second its zeros.
std::optional<SparseRules> sparse_rules(const SignRows& first, const SignRows& second,
                                        const PlaneOutputs& outputs) {
  const std::size_t filters = first.filters(), depth = first.depth();
  if (depth > kMostDepth) return {};
  SparseRules rules;
  rules.classes = outputs.classes;
  for (std::size_t f = 0; f < filters; ++f) {
    SparseRule rule;
    rule.added = first.list(f, true);
    rule.subtracted = second.list(f, false);
    rule.inverted = outputs.inverted[f] == 0;
    const auto constant = static_cast<std::int64_t>(depth + rule.added.size()) -
                          static_cast<std::int64_t>(rule.subtracted.size());
    for (std::size_t c = 0; c < outputs.classes; ++c)
      rule.least.push_back(floor_half(constant - outputs.least[c * filters + f]) + 1);
    rules.filters.push_back(std::move(rule));
  }
  return rules;
}

std::optional<SparseRules> count_rules(const SignRows& first, const SignRows* second) {
  if (first.depth() > kMostDepth) return {};
  SparseRules rules;
  for (std::size_t f = 0; f < first.filters(); ++f) {
    SparseRule rule;
    rule.least = {0};
    if (second != nullptr) {
      rule.added = second->list(f, false);
      rule.subtracted = first.list(f, true);
    } else {
      rule.inverted = ones_are_rare(first, f);
      rule.added = first.list(f, rule.inverted);
    }
    rules.filters.push_back(std::move(rule));
  }
  return rules;
}

SparseFilters arrange(const SparseRules& rules, std::size_t depth, std::size_t block) {
  const std::size_t filters = rules.filters.size();
  std::vector<std::uint16_t> order(filters);
  std::iota(order.begin(), order.end(), std::uint16_t{0});
  struct Key {
    std::size_t block, subtracted, added, falls, rises;
    bool odd;
    auto operator<=>(const Key&) const = default;
  };
  const auto key = [&](std::size_t f) {
    const SparseRule& rule = rules.filters[f];
    return Key{block == 0 ? 0 : f / block,
               padded(rule.subtracted),
               padded(rule.added),
               static_cast<std::size_t>(std::bit_width(rule.falls.size())),
               static_cast<std::size_t>(std::bit_width(rule.rises.size())),
               rule.odd};
  };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return key(a) < key(b); });

  SparseFilters result;
  result.moving = rules.moving;
  result.classes = rules.classes;
  result.granule = std::max(kLeastGranule, std::bit_floor(depth / kGranules));
  const bool steps_left = rules.moving == Moving::kSteps || rules.moving == Moving::kLine;
  result.rows = steps_left ? depth / result.granule + 2 : 0;
  if (rules.moving == Moving::kLine) result.line = line_table(rules, order);
  result.places = order;
  result.rises.counts.assign(result.rows * filters, 0);
  result.falls.counts.assign(result.rows * filters, 0);
  std::size_t steps = 0, rare = 0;
  for (std::size_t entry = 0; entry < filters; ++entry) {
    const SparseRule& rule = rules.filters[order[entry]];
    const bool same = entry > 0 && key(order[entry]) == key(order[entry - 1]);
    if (!same || result.runs.back().count == kMostRun)
      result.runs.push_back(
          {entry, 0, padded(rule.subtracted), padded(rule.added), result.lists.size(), rule.odd});
    ++result.runs.back().count;
    const bool turned = !rule.subtracted.empty() || (entry - result.runs.back().first) / 2 % 2 == 1;
    append(rule.subtracted, false, depth, result.lists);
    append(rule.added, turned, depth, result.lists);
    result.inverted.push_back(rule.inverted);
    count_steps(rule.rises, entry, filters, result.rows, result.granule, result.rises);
    count_steps(rule.falls, entry, filters, result.rows, result.granule, result.falls);
    rare += rule.subtracted.size() + rule.added.size();
    steps += rule.rises.size() + rule.falls.size();
  }
  for (std::size_t c = 0; c < rules.classes; ++c)
    for (std::uint16_t f : order)
      result.least.push_back(static_cast<std::int32_t>(rules.filters[f].least[c]));
  result.listed = result.lists.size();
  result.density = static_cast<double>(rare) / static_cast<double>(filters * depth);
  result.slope = static_cast<double>(steps) / static_cast<double>(filters * depth);
  return result;
}

const SparseTable& sparse_table(const KernelTable& kernels) {
#if defined(SIGNBIT_X86_64)
  if (&kernels == &kAvx512Kernels) return kAvx512Sparse;
  if (&kernels == &kAvx2Kernels) return kAvx2Sparse;
#endif
  (void)kernels;
  return kGenericSparse;
}

double list_cost(const SparseTable& table, const PlaneWidth& width, const SparseFilters& filters,
                 std::size_t depth) {
  const double plane = static_cast<double>(width.plane_cost * table.list_cost);
  return plane * (depth * width.lanes / 8 > kNearBytes ? kFar : 1) * static_cast<double>(filters.listed);
}

}  // namespace sb
