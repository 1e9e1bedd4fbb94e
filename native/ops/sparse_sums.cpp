#include "ops/sparse_sums.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/memory.h"

namespace sb {
namespace {

std::size_t bits_of(const SparseRun& run) {
  const auto needed = static_cast<std::size_t>(std::bit_width(std::max(run.subtracted, run.added)));
  return sparse_bits(needed + (run.subtracted > 0 ? 1 : 0));
}

}  // namespace

CountBases::CountBases(const SumBases& sums, std::size_t filters, std::size_t depth, bool pair)
    : bases_(sums.sums), outside_(sums.outside), all_(static_cast<std::int32_t>((pair ? 2 : 1) * depth)) {
  if (!pair) signs_.assign(round_up(filters, kChainPadding), 0.0f);
}

// With A of r listed inputs -1 the sum is S - 2 r + 4 A where ones are rare, and the opposite where zeros
// are. That of two products is 2 (r2 - r1) + 4 (A1 - A2), r1 ones of the first and r2 zeros of the second.
// Inputs of padding 0 are +1 in S and in the lists; the bases given know what a filter must not count of
// them.
void CountBases::add(std::size_t f, const SparseRule& rule, std::size_t bits, bool is_subtracted) {
  const auto added = static_cast<std::int32_t>(rule.added.size()),
             subtracted = static_cast<std::int32_t>(rule.subtracted.size());
  const std::int32_t origin = is_subtracted ? (1 << (bits - 1)) - 1 : 0;
  std::int32_t constant = 2 * (added - subtracted) + 4 * origin, sign = signs_.empty() ? 0 : -1;
  if (rule.inverted) constant = 4 * ((1 << bits) - 1) - 2 * added, sign = 1;
  if (!signs_.empty()) signs_[f] = static_cast<float>(sign);
  const std::size_t padded = bases_.size() / outside_.size();
  for (std::size_t place = 0; place < outside_.size(); ++place)
    bases_[place * padded + f] += static_cast<float>(constant + sign * outside_[place] - all_);
}

SparseSums::SparseSums(const KernelTable& kernels, const SparseRules& rules, std::size_t depth,
                       CountBases bases)
    : table_(sparse_table(kernels)),
      planes_(kernels.planes),
      filters_(arrange(rules, depth, kBlock)),
      depth_(depth),
      bases_(std::move(bases)) {
  blocks_.assign(divide_up(rules.filters.size(), kBlock), {0, 0, 0});
  for (std::size_t i = 0; i < filters_.runs.size(); ++i) {
    const SparseRun& run = filters_.runs[i];
    Block& block = blocks_[filters_.places[run.first] / kBlock];
    if (block.runs++ == 0) block.run = i;
    block.bits = std::max(block.bits, bits_of(run));
    for (std::size_t entry = run.first; entry < run.first + run.count; ++entry) {
      const std::size_t f = filters_.places[entry];
      bases_.add(f, rules.filters[f], bits_of(run), run.subtracted > 0);
      slots_.push_back(static_cast<std::uint16_t>(f % kBlock));
    }
  }
}

double SparseSums::listed_cost(const PlaneWidth& width) const {
  return list_cost(table_, width, filters_, depth_);
}

double SparseSums::cost(const PlaneWidth& width) const {
  const float filter = table_.filter_cost[&width - planes_.widths];
  return listed_cost(width) + static_cast<double>(filters_.places.size()) * static_cast<double>(filter);
}

void SparseSums::count(const PlaneTile& tile, std::size_t begin, Word* out) const {
  const SparseWidth& width = table_.widths[&tile.width - planes_.widths];
  const Block& block = blocks_[begin / kBlock];
  SparseCall call{};
  call.planes = tile.planes;
  call.out = out;
  call.counts = true;
  call.count_bits = block.bits;
  for (std::size_t i = block.run; i < block.run + block.runs; ++i) {
    const SparseRun& run = filters_.runs[i];
    call.lists = filters_.lists.data() + run.lists;
    call.subtracted = run.subtracted;
    call.added = run.added;
    call.filters = run.count;
    call.places = slots_.data() + run.first;
    call.inverted = filters_.inverted.data() + run.first;
    width.select(bits_of(run))(call);
  }
}

}  // namespace sb
