#include "ops/sparse_filters.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/bits.h"

namespace sb {
namespace {

constexpr std::size_t kMostDepth = (std::size_t{1} << kMostTotalBits) - 2;
constexpr std::size_t kLeastGranule = 8, kGranules = 128;
constexpr double kLeastLine = 40;    // steps over all totals from which on a line costs less
constexpr float kMostLevel = 1e30f;  // larger values might overflow

std::int64_t floor_half(std::int64_t x) { return x >= 0 ? x / 2 : -((1 - x) / 2); }

// Whether -1 is the rarer sign of a filter.
bool ones_are_rare(const SignRows& signs, std::size_t filter) {
  return 2 * signs.ones(filter) <= signs.depth();
}

// The real sum of a filter of two levels, and on which side of the cut it lies.
struct RealCut {
  float half, middle, shift;
  std::int64_t depth, rare;
  bool ones;  // the rare weights are those of bit 1

  // `listed` rare inputs are -1, `total` of all.
  bool negative(std::int64_t listed, std::int64_t total) const {
    const std::int64_t shared = depth - 2 * total, own = shared - 2 * (rare - 2 * listed);
    const float product = half * static_cast<float>(ones ? own : -own);
    const float common = middle * static_cast<float>(shared);
    const float sum = product + common;
    return sum + shift < 0;
  }
};

// The least count of listed inputs from which on `reached` holds, searched from `guess` on; rare + 1: none.
template <class Reached>
std::int64_t least_from(std::int64_t guess, std::int64_t rare, Reached reached) {
  while (guess > 0 && reached(guess - 1)) --guess;
  while (guess <= rare && !reached(guess)) ++guess;
  return guess;
}

void add_steps(std::int64_t by, std::size_t at, SparseRule& rule) {
  for (; by > 0; --by) rule.rises.push_back(static_cast<std::uint16_t>(at));
  for (; by < 0; ++by) rule.falls.push_back(static_cast<std::uint16_t>(at));
}

// Thresholds of a filter at every total: 0 or rare + 1 where no more can be told.
using Leasts = std::vector<std::int32_t>;

SharedLine shared_line(double slope, std::size_t depth) {
  SharedLine line;
  std::vector<double> rests;
  for (std::size_t total = 0; total <= depth; ++total) {
    const double value = slope * static_cast<double>(total), whole = std::floor(value);
    line.values.push_back(static_cast<std::uint32_t>(whole));
    rests.push_back(value - whole);
  }
  std::vector<std::uint32_t> order(depth + 1);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return rests[a] < rests[b]; });
  line.rests.resize(depth + 1);
  for (std::size_t place = 0; place <= depth; ++place)
    line.rests[order[place]] = static_cast<std::uint32_t>(place);
  return line;
}

// Writes thresholds as a constant, the line, a cut of its rest, and steps where these are not the whole
// truth.
void fit_line(const Leasts& leasts, std::int32_t rare, const SharedLine& line, SparseRule& rule) {
  const std::size_t totals = leasts.size();
  const auto told = [&](std::size_t n) { return leasts[n] > 0 && leasts[n] <= rare; };
  const auto above = [&](std::size_t n) { return leasts[n] - static_cast<std::int32_t>(line.values[n]); };
  std::int32_t lowest = leasts.front() == 0 ? -static_cast<std::int32_t>(line.values.back()) - 1 : rare + 1;
  bool any = false;
  for (std::size_t n = 0; n < totals; ++n)
    if (told(n)) lowest = any ? std::min(lowest, above(n)) : above(n), any = true;
  // Rests from the cut on are to be those of the totals that need one more.
  std::vector<std::int8_t> more(totals, 0);
  for (std::size_t n = 0; n < totals; ++n)
    if (told(n)) more[line.rests[n]] = above(n) == lowest ? -1 : 1;
  std::ptrdiff_t wrong = 0, least = 0;
  rule.cut = totals;
  for (std::size_t place = totals; place-- > 0;) {
    wrong -= more[place];
    if (wrong < least) least = wrong, rule.cut = place;
  }
  rule.least = {lowest};
  std::int32_t before = 0;
  for (std::size_t n = 0; n < totals; ++n) {
    const std::int32_t fitted =
        lowest + static_cast<std::int32_t>(line.values[n]) + (line.rests[n] >= rule.cut ? 1 : 0);
    std::int32_t left = leasts[n] - fitted;
    if (leasts[n] == 0) left = std::min(-fitted, 0);
    if (leasts[n] == rare + 1) left = std::max(left, 0);
    if (n == 0)
      rule.least[0] += left;
    else
      add_steps(left - before, n, rule);
    before = left;
  }
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

// The steps that the threshold of every filter makes for one input more that is -1, as a real number; 0 if
// they differ.
double shared_slope(const SignRows& signs, const TwoLevelRule& levels) {
  double slope = 0;
  for (std::size_t f = 0; f < signs.filters(); ++f) {
    if (levels.half[f] == 0) return 0;
    const double ratio = double{levels.middle[f]} / double{levels.half[f]};
    const double own = (ones_are_rare(signs, f) ? 1 + ratio : 1 - ratio) / 2;
    if (f > 0 && std::abs(own - slope) > 1e-9) return 0;
    slope = own;
  }
  return slope > 1 ? 0 : slope;
}

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
    table.entries.push_back(rules.line.values[n] << table.rest_bits |
                            static_cast<std::uint32_t>(place(rules.line.rests[n])));
  for (std::uint16_t f : order)
    table.cut_of.push_back(static_cast<std::uint16_t>(place(rules.filters[f].cut) - 1));
  return table;
}

void append(std::vector<std::uint16_t> planes, std::size_t zeros, std::vector<std::uint16_t>& lists) {
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

std::optional<SparseRules> sparse_rules(const SignRows& signs, const TwoLevelRule& levels) {
  const std::size_t filters = signs.filters(), depth = signs.depth();
  if (depth > kMostDepth) return {};
  SparseRules rules;
  const double slope = shared_slope(signs, levels);
  if (slope * static_cast<double>(depth) > kLeastLine) rules.line = shared_line(slope, depth);
  for (std::size_t f = 0; f < filters; ++f) {
    const bool ones = ones_are_rare(signs, f);
    SparseRule rule;
    rule.added = signs.list(f, ones);
    const RealCut cut{levels.half[f],
                      levels.middle[f],
                      levels.shift[f],
                      static_cast<std::int64_t>(depth),
                      static_cast<std::int64_t>(rule.added.size()),
                      ones};
    for (float value : {cut.half, cut.middle, cut.shift})
      if (std::abs(value) > kMostLevel) return {};
    // The real sum rises or falls with A, and rounding keeps the order.
    rule.inverted = (cut.half > 0) == cut.ones;
    Leasts leasts;
    std::int64_t least = 0;
    for (std::size_t total = 0; total <= depth; ++total) {
      least = least_from(least, cut.rare, [&](std::int64_t listed) {
        return cut.negative(listed, static_cast<std::int64_t>(total)) != rule.inverted;
      });
      leasts.push_back(static_cast<std::int32_t>(least));
    }
    if (rules.line.values.empty()) {
      rule.least.push_back(leasts.front());
      for (std::size_t total = 1; total <= depth; ++total)
        add_steps(leasts[total] - leasts[total - 1], total, rule);
    } else {
      fit_line(leasts, static_cast<std::int32_t>(cut.rare), rules.line, rule);
    }
    if (rule.rises.size() > UINT16_MAX || rule.falls.size() > UINT16_MAX) return {};
    if (!rule.rises.empty() || !rule.falls.empty()) rules.moving = Moving::kSteps;
    rules.filters.push_back(std::move(rule));
  }
  if (!rules.line.values.empty()) rules.moving = Moving::kLine;
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
    append(rule.subtracted, depth, result.lists);
    append(rule.added, depth, result.lists);
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

}  // namespace sb
