// Thresholds of filters of two levels: what the rules say at every total against the float operations.
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "check.h"
#include "ops/sparse_filters.h"

namespace sb {
namespace {

using test::Random;

constexpr float kShifts[] = {1, 0, 0.5f};

// Whether the bit is 1 where `listed` of the filter's rare inputs are -1 and `total` of all.
bool negative(const TwoLevelRule& levels, std::size_t f, std::int64_t depth, std::int64_t rare, bool ones,
              std::int64_t listed, std::int64_t total) {
  const std::int64_t shared = depth - 2 * total, own = shared - 2 * (rare - 2 * listed);
  const float product = levels.half[f] * static_cast<float>(ones ? own : -own);
  const float common = levels.middle[f] * static_cast<float>(shared);
  const float sum = product + common;
  return sum + levels.shift[f] < 0;
}

std::int64_t reached_by(const std::vector<std::uint16_t>& steps, std::size_t total) {
  return std::count_if(steps.begin(), steps.end(), [total](std::size_t step) { return step <= total; });
}

void check(const SignRows& signs, const TwoLevelRule& levels, bool shares_line) {
  const std::optional<SparseRules> rules = sparse_rules(signs, levels);
  CHECK(rules.has_value());
  if (!rules.has_value()) return;
  const bool line = rules->moving == Moving::kLine;
  CHECK(line || !shares_line);
  const std::size_t depth = signs.depth();
  for (std::size_t f = 0; f < signs.filters(); ++f) {
    const SparseRule& rule = rules->filters[f];
    const auto rare = static_cast<std::int64_t>(rule.added.size());
    const bool ones = 2 * signs.ones(f) <= depth;
    CHECK(rule.added == signs.list(f, ones));
    std::int64_t expected = 0;
    bool equal = std::is_sorted(rule.rises.begin(), rule.rises.end()) &&
                 std::is_sorted(rule.falls.begin(), rule.falls.end());
    for (std::size_t n = 0; n <= depth; ++n) {
      const auto reached = [&](std::int64_t listed) {
        return negative(levels, f, static_cast<std::int64_t>(depth), rare, ones, listed,
                        static_cast<std::int64_t>(n)) != rule.inverted;
      };
      while (expected > 0 && reached(expected - 1)) --expected;
      while (expected <= rare && !reached(expected)) ++expected;
      std::int64_t least = rule.least[0] + reached_by(rule.rises, n) - reached_by(rule.falls, n);
      if (line) least += rules->line.values[n] + (rules->line.rests[n] >= rule.cut ? 1 : 0);
      equal = equal && std::clamp<std::int64_t>(least, 0, rare + 1) == expected;
    }
    CHECK(equal);
  }
}

SignRows random_signs(Random& random, std::size_t filters, std::size_t depth, int one_in, bool ones) {
  SignRows signs(filters, depth);
  for (std::size_t f = 0; f < filters; ++f)
    for (std::size_t k = 0; k < depth; ++k)
      set_bit(signs.row(f), k, (random.between(1, one_in) == 1) == ones);
  return signs;
}

float real(Random& random, int reach) { return static_cast<float>(random.between(-reach, reach)) / 1024; }

// `low` and `high` stand for the bits 1 and 0.
void set_levels(TwoLevelRule& levels, std::size_t f, float low, float high, float shift) {
  levels.half[f] = (high - low) / 2.0f;
  levels.middle[f] = (high + low) / 2.0f;
  levels.shift[f] = shift;
}

TwoLevelRule empty_levels(std::size_t filters) {
  return {std::vector<float>(filters), std::vector<float>(filters), std::vector<float>(filters)};
}

void test_levels(std::size_t depth) {
  Random random(depth);
  const std::size_t filters = 24;
  for (int one_in : {2, 5, 20})
    for (bool ones : {false, true}) {
      const SignRows signs = random_signs(random, filters, depth, one_in, ones);
      const auto all = static_cast<float>(depth);
      for (int kind = 0; kind < 6; ++kind) {
        TwoLevelRule levels = empty_levels(filters);
        const float rest = kind == 1 ? -0.37281f : -1.0f / static_cast<float>(one_in);
        for (std::size_t f = 0; f < filters; ++f) {
          float shift = real(random, 1024) * std::sqrt(all) / 4;
          if (kind == 2) shift = 0;   // many ties
          if (f == 0) shift = 1e29f;  // all or nothing
          if (f == 1) shift = -1e29f;
          if (kind < 3) set_levels(levels, f, ones ? 1 : rest, ones ? rest : 1, shift);
          if (kind == 3) set_levels(levels, f, ones ? 1.0f : 0, ones ? 0 : 1.0f, kShifts[f % 3] * shift);
          if (kind == 4) set_levels(levels, f, real(random, 1024), real(random, 1024), shift);
          if (kind == 5) set_levels(levels, f, 3e-40f * static_cast<float>(f), 1e-40f, shift * 1e-40f);
        }
        // A layer of the same levels has steps of the same slope: those of the weight that is not rare.
        const double slope = -double{rest} / (1 - double{rest});
        check(signs, levels,
              kind < 3 && one_in > 2 && depth > 100 && slope * static_cast<double>(depth) > 40);
      }
    }
}

}  // namespace
}  // namespace sb

int main() {
  for (std::size_t depth : {1u, 9u, 64u, 577u, 2304u, 4608u}) sb::test_levels(depth);
  return sb::test::finish();
}
