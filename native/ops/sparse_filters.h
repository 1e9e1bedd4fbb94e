// Filters as lists of their rare inputs, and thresholds that move with the total of a position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/sparse.h"
#include "ops/bitplane_filters.h"
#include "ops/convolution.h"

namespace sb {

// More inputs make totals that counters cannot hold.
inline constexpr std::size_t kMostDepth = (std::size_t{1} << kMostTotalBits) - 2;
// Steps of a threshold over all totals from which on a line costs less than steps.
inline constexpr double kLeastLine = 20;

// How many inputs of a window are -1, N, enters the threshold of a filter: not at all, as its half, by steps
// of one, or as a line that all filters share and the steps that are left.
enum class Moving { kNot, kHalf, kSteps, kLine };

// One filter: bit = (added inputs that are -1, less subtracted ones, >= least) != inverted. With N, `least`
// is that at N = 0; it rises by N / 2, for an odd filter by (N + 1) / 2, or by one at each of `rises`, and
// falls by one at each of `falls`. Beside a line it also rises by the line's value at N, and by one where the
// line's rest is at least `cut`.
struct SparseRule {
  std::vector<std::uint16_t> subtracted, added;
  std::vector<std::int64_t> least;  // per class
  bool inverted = false, odd = false;
  std::vector<std::uint16_t> rises, falls;
  std::size_t cut = 0;
};

// floor(slope * N), and the place of what is left among those of all N.
struct SharedLine {
  double slope = 0;
  std::vector<std::uint32_t> values, rests;  // per N; empty: there is none
  std::vector<std::uint32_t> order;          // the N of each place
  std::vector<double> left;                  // what is left, in that order
};

struct SparseRules {
  Moving moving = Moving::kNot;
  std::size_t classes = 1;
  SharedLine line;
  std::vector<SparseRule> filters;
};

// The values that a filter's weights stand for, and the number that its real sum is compared with: bit =
// half * sum + middle * S + shift < 0, every operation rounded to float32.
struct TwoLevelRule {
  std::vector<float> half, middle, shift;  // per filter
};

// Each is nothing where the kernels cannot hold the layer.
std::optional<SparseRules> sparse_rules(const SignRows& signs, const PlaneOutputs& outputs);
// Of the sum of two products with the same inputs; `outputs` count the differing inputs of both.
std::optional<SparseRules> sparse_rules(const SignRows& first, const SignRows& second,
                                        const PlaneOutputs& outputs);
// Padding with 0 has none.
std::optional<SparseRules> sparse_rules(const SignRows& signs, const TwoLevelRule& levels);

// Of the counts alone: of one product the rarer inputs of each filter, `inverted` where these are ones; of
// two the ones of the first are subtracted from the zeros of the second, which may be null.
std::optional<SparseRules> count_rules(const SignRows& first, const SignRows* second);

// The share of rare inputs of all filters.
double density(const SignRows& signs);

// The value of a line at N, and how many of the filters' cuts its rest reaches: value << 16 | cuts.
struct LineTable {
  std::vector<std::uint32_t> entries;  // per N, and for every number of as many bits
  std::size_t rest_bits = 0, cuts = 0;
  std::vector<std::uint16_t> cut_of;  // per entry of the filters, counted from 0
};

// At the totals 0, granule, 2 granule, ... how many steps each filter has made.
struct StepTable {
  std::vector<std::uint16_t> steps;
  std::vector<std::uint32_t> offsets;  // per entry, its first step
  std::vector<std::uint16_t> counts;   // (row, entry)
};

// Filters of one length of lists, next to each other: entries [first, first + count).
struct SparseRun {
  std::size_t first, count;
  std::size_t subtracted, added;  // multiples of kSparseStep
  std::size_t lists;              // where they begin
  bool odd;
};

// Filters in the order in which they are computed: sorted by the length of their lists, so that branches on
// it are foreseen.
struct SparseFilters {
  Moving moving = Moving::kNot;
  std::size_t classes = 1, granule = 8, rows = 0;  // of the tables of steps
  std::vector<std::uint16_t> lists;
  std::vector<SparseRun> runs;
  std::vector<std::uint16_t> places;   // per entry, the number of the filter
  std::vector<std::uint8_t> inverted;  // per entry
  std::vector<std::int32_t> least;     // (class, entry)
  StepTable rises, falls;
  LineTable line;
  std::size_t listed = 0;  // planes of all lists
  double density = 0;      // rare inputs of all
  double slope = 0;        // steps of a filter for each input that is -1, the mean
};

inline constexpr std::size_t kMostRun = 32;  // filters

// Filters of different blocks of `block` stay apart; 0: all are one.
SparseFilters arrange(const SparseRules& rules, std::size_t depth, std::size_t block = 0);

const SparseTable& sparse_table(const KernelTable& kernels);

// Nanoseconds for the listed planes of a tile with `depth` inputs.
double list_cost(const SparseTable& table, const PlaneWidth& width, const SparseFilters& filters,
                 std::size_t depth);

}  // namespace sb
