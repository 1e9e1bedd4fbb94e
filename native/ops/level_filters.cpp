// Sparse filters of two levels: at every total the least count of listed inputs from which on the bit turns.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/sparse_filters.h"

namespace sb {
namespace {

constexpr float kMostLevel = 1e30f;  // larger values might overflow
constexpr double kFarOff = 1e9;      // from where no line of a slope that is sure comes back

// The threshold of one filter. It lies within rounding errors of a line, so that the float operations
// themselves need evaluating only where the line passes an integer.
class LevelThreshold {
 public:
  // The `rare` listed weights are those of bit 1 if `ones`.
  LevelThreshold(float half, float middle, float shift, std::size_t depth, std::size_t rare, bool ones)
      : half_(half),
        middle_(middle),
        shift_(shift),
        depth_(static_cast<std::int64_t>(depth)),
        rare_(static_cast<std::int64_t>(rare)),
        ones_(ones) {
    // half * own + middle * shared + shift = 0 solved for the listed inputs; divided by 0 nothing is sure.
    const double own = ones ? double{half} : -double{half}, inputs = static_cast<double>(depth);
    slope_ = (1 + middle / own) / 2;
    start_ = static_cast<double>(rare) / 2 - shift / (4 * own) - slope_ * inputs / 2;
    start_ = std::clamp(start_, -kFarOff, kFarOff);
    // Three roundings to 24 bits, of terms up to 2 half * depth and middle * depth, doubled; and those of
    // this line.
    const double magnitude = inputs * (2 * std::abs(own) + std::abs(double{middle}));
    unsure_ = (std::ldexp(magnitude, -22) + 1e-44) / (4 * std::abs(own)) +
              1e-12 * (1 + std::abs(start_) + inputs * (1 + std::abs(slope_)));
  }

  bool inverted() const { return (half_ > 0) == ones_; }
  bool is_line() const { return unsure_ < 0.25; }
  double start() const { return start_; }
  double slope() const { return slope_; }
  double unsure() const { return unsure_; }
  std::int64_t rare() const { return rare_; }

  // Of 0..rare the least count that turns the bit, or rare + 1.
  std::int64_t at(std::size_t total) const {
    std::int64_t least = 0;
    if (is_line()) {
      const double value = start_ + slope_ * static_cast<double>(total);
      if (value < -unsure_) return 0;
      if (value > static_cast<double>(rare_) + unsure_) return rare_ + 1;
      const auto whole = static_cast<std::int64_t>(value);
      const double left = value - static_cast<double>(whole);
      least = whole + (left > 0 ? 1 : 0);
      if (std::abs(left) > unsure_ && 1 - left > unsure_) return least;
    }
    while (least > 0 && reached(least - 1, total)) --least;
    while (least <= rare_ && !reached(least, total)) ++least;
    return least;
  }

 private:
  // The real sum rises or falls with the listed inputs that are -1, and rounding keeps the order.
  bool reached(std::int64_t listed, std::size_t total) const {
    const std::int64_t shared = depth_ - 2 * static_cast<std::int64_t>(total);
    const std::int64_t own = shared - 2 * (rare_ - 2 * listed);
    const float product = half_ * static_cast<float>(ones_ ? own : -own);
    const float common = middle_ * static_cast<float>(shared);
    const float sum = product + common;
    return (sum + shift_ < 0) != inverted();
  }

  float half_, middle_, shift_;
  std::int64_t depth_, rare_;
  bool ones_;
  double start_, slope_, unsure_;
};

void add_steps(std::int64_t by, std::size_t at, SparseRule& rule) {
  for (; by > 0; --by) rule.rises.push_back(static_cast<std::uint16_t>(at));
  for (; by < 0; ++by) rule.falls.push_back(static_cast<std::uint16_t>(at));
}

// The totals at which the threshold is another one than at the total before.
void find_steps(const LevelThreshold& threshold, std::size_t depth, SparseRule& rule) {
  std::int64_t before = threshold.at(0);
  rule.least = {before};
  std::size_t next = 1;
  const auto visit = [&](double from, double to) {
    const double last = std::min(to, static_cast<double>(depth));
    if (from > static_cast<double>(next)) next = static_cast<std::size_t>(std::min(from, last + 1));
    for (; static_cast<double>(next) <= last; ++next) {
      const std::int64_t least = threshold.at(next);
      add_steps(least - before, next, rule);
      before = least;
    }
  };
  const double start = threshold.start(), slope = threshold.slope(), unsure = threshold.unsure();
  const bool flat = slope == 0 && std::abs(start - std::nearbyint(start)) > unsure;
  if (!threshold.is_line() || (slope == 0 && !flat)) return visit(1, static_cast<double>(depth));
  for (std::int64_t i = 0; !flat && i <= threshold.rare(); ++i) {
    const auto passed = static_cast<double>(slope > 0 ? i : threshold.rare() - i);
    const double a = (passed - unsure - start) / slope, b = (passed + unsure - start) / slope;
    visit(std::floor(std::min(a, b)), std::ceil(std::max(a, b)));
  }
}

SharedLine shared_line(double slope, std::size_t depth) {
  SharedLine line;
  line.slope = slope;
  line.order.resize(depth + 1);
  std::iota(line.order.begin(), line.order.end(), 0u);
  std::vector<double> left(depth + 1);
  for (std::size_t total = 0; total <= depth; ++total) {
    const double value = slope * static_cast<double>(total), whole = std::floor(value);
    line.values.push_back(static_cast<std::uint32_t>(whole));
    left[total] = value - whole;
  }
  std::stable_sort(line.order.begin(), line.order.end(), [&](auto a, auto b) { return left[a] < left[b]; });
  line.rests.resize(depth + 1);
  for (std::size_t place = 0; place <= depth; ++place) {
    line.rests[line.order[place]] = static_cast<std::uint32_t>(place);
    line.left.push_back(left[line.order[place]]);
  }
  return line;
}

// Writes a threshold as a constant, the line, a cut of its rest, and steps where these are not the whole
// truth: only totals whose rest lies near the cut, or as near to it round the end, are in doubt.
void fit_line(const LevelThreshold& threshold, const SharedLine& line, SparseRule& rule) {
  const std::size_t totals = line.values.size();
  const auto most = static_cast<double>(line.values.back());
  const double first = std::ceil(threshold.start()), cut = first - threshold.start();
  const auto lowest =
      static_cast<std::int64_t>(std::clamp(first, -most - 1, static_cast<double>(threshold.rare() + 1)));
  const double radius =
      threshold.unsure() + std::abs(threshold.slope() - line.slope) * static_cast<double>(totals);
  const auto place = [&](double rest) {
    return static_cast<std::size_t>(std::lower_bound(line.left.begin(), line.left.end(), rest) -
                                    line.left.begin());
  };
  const auto told = [&](std::int64_t least) { return least > 0 && least <= threshold.rare(); };
  const std::size_t begin = place(cut - radius), end = place(std::nextafter(cut + radius, 2.0));
  std::vector<std::uint32_t> doubtful(line.order.begin() + static_cast<std::ptrdiff_t>(begin),
                                      line.order.begin() + static_cast<std::ptrdiff_t>(end));
  // Rests from the cut on are to be those of the totals that need one more.
  std::ptrdiff_t wrong = 0, fewest = 0;
  rule.cut = end;
  for (std::size_t i = end; i-- > begin;) {
    const std::size_t total = line.order[i];
    const std::int64_t least = threshold.at(total);
    if (told(least)) wrong += least - line.values[total] > lowest ? -1 : 1;
    if (wrong < fewest) fewest = wrong, rule.cut = i;
  }
  doubtful.insert(doubtful.end(), line.order.begin() + static_cast<std::ptrdiff_t>(place(1 + cut - radius)),
                  line.order.end());
  doubtful.insert(doubtful.end(), line.order.begin(),
                  line.order.begin() + static_cast<std::ptrdiff_t>(place(cut + radius - 1)));
  std::sort(doubtful.begin(), doubtful.end());
  rule.least = {lowest};
  std::int64_t before = 0;
  for (std::size_t i = 0; i < doubtful.size(); ++i) {
    const std::size_t total = doubtful[i];
    const std::int64_t least = threshold.at(total);
    const std::int64_t fitted = lowest + line.values[total] + (line.rests[total] >= rule.cut ? 1 : 0);
    std::int64_t left = least - fitted;
    if (least == 0) left = std::min<std::int64_t>(-fitted, 0);
    if (least == threshold.rare() + 1) left = std::max<std::int64_t>(left, 0);
    if (total == 0)
      rule.least[0] += left;
    else
      add_steps(left - before, total, rule);
    const bool alone = i + 1 == doubtful.size() || doubtful[i + 1] > total + 1;
    if (alone && total + 1 < totals) add_steps(-left, total + 1, rule);
    before = alone ? 0 : left;
  }
}

// The slope that all thresholds have, or 0 if they differ or it is none of a line.
double shared_slope(const std::vector<LevelThreshold>& thresholds) {
  const double slope = thresholds.front().slope();
  for (const LevelThreshold& threshold : thresholds)
    if (!threshold.is_line() || !(std::abs(threshold.slope() - slope) <= 1e-9)) return 0;
  return slope > 1 ? 0 : slope;
}

}  // namespace

std::optional<SparseRules> sparse_rules(const SignRows& signs, const TwoLevelRule& levels) {
  const std::size_t filters = signs.filters(), depth = signs.depth();
  if (depth > kMostDepth) return {};
  for (const std::vector<float>* values : {&levels.half, &levels.middle, &levels.shift})
    if (std::any_of(values->begin(), values->end(), [](float x) { return std::abs(x) > kMostLevel; }))
      return {};
  SparseRules rules;
  std::vector<LevelThreshold> thresholds;
  for (std::size_t f = 0; f < filters; ++f) {
    const std::size_t count = signs.ones(f);
    const bool ones = 2 * count <= depth;
    SparseRule rule;
    rule.added = signs.list(f, ones);
    thresholds.emplace_back(levels.half[f], levels.middle[f], levels.shift[f], depth, rule.added.size(),
                            ones);
    rule.inverted = thresholds.back().inverted();
    rules.filters.push_back(std::move(rule));
  }
  const double slope = shared_slope(thresholds);
  const bool line = slope * static_cast<double>(depth) > kLeastLine;
  if (line) rules.line = shared_line(slope, depth);
  if (line) rules.moving = Moving::kLine;
  for (std::size_t f = 0; f < filters; ++f) {
    SparseRule& rule = rules.filters[f];
    line ? fit_line(thresholds[f], rules.line, rule) : find_steps(thresholds[f], depth, rule);
    if (rule.rises.size() > UINT16_MAX || rule.falls.size() > UINT16_MAX) return {};
    if (!line && !(rule.rises.empty() && rule.falls.empty())) rules.moving = Moving::kSteps;
  }
  return rules;
}

}  // namespace sb
