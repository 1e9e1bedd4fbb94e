#include "ops/beside_sums.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sb {
namespace {

constexpr std::size_t kParts = kWordBits / kBesideLanes;  // of a tile

}  // namespace

std::unique_ptr<BesideSums> BesideSums::make(const KernelTable& kernels, const SparseRules& rules,
                                             std::size_t depth, CountBases bases) {
  const BesideKernels* beside = sparse_table(kernels).beside;
  if (beside == nullptr) return nullptr;
  return std::unique_ptr<BesideSums>(new BesideSums(*beside, rules, depth, std::move(bases)));
}

BesideSums::BesideSums(const BesideKernels& kernels, const SparseRules& rules, std::size_t depth,
                       CountBases bases)
    : kernels_(kernels), depth_(depth), bases_(std::move(bases)) {
  const std::size_t filters = rules.filters.size();
  std::size_t rare = 0;
  for (std::size_t begin = 0; begin < filters; begin += SparseSums::kBlock) {
    const std::size_t end = std::min(begin + SparseSums::kBlock, filters);
    std::size_t most = 0;
    bool is_subtracted = false;
    for (std::size_t f = begin; f < end; ++f) {
      const SparseRule& rule = rules.filters[f];
      most = std::max({most, rule.subtracted.size(), rule.added.size()});
      is_subtracted = is_subtracted || !rule.subtracted.empty();
      rare += rule.subtracted.size() + rule.added.size();
    }
    const std::size_t bits =
        sparse_bits(static_cast<std::size_t>(std::bit_width(most)) + (is_subtracted ? 1 : 0));
    blocks_.push_back({bits});
    for (std::size_t first = begin; first < end; first += kBesideFilters) {
      Lists subtracted, added;
      Group group = {begins_.size(), 0, 0, 0};
      for (std::size_t f = first; f < std::min(first + kBesideFilters, end); ++f) {
        const SparseRule& rule = rules.filters[f];
        subtracted.push_back(&rule.subtracted), added.push_back(&rule.added);
        if (rule.inverted) group.inverted |= std::uint32_t{1} << (f - first);
      }
      group.subtracted = add_windows(subtracted);
      group.added = add_windows(added);
      for (std::size_t f = first; f < first + added.size(); ++f)
        bases_.add(f, rules.filters[f], bits, group.subtracted > 0);
      groups_.push_back(group);
    }
  }
  density_ = static_cast<double>(rare) / static_cast<double>(filters * depth);
  picks_ = Buffer(picked_.size());
  std::copy(picked_.begin(), picked_.end(), reinterpret_cast<std::uint8_t*>(picks_.data()));
  picked_ = {};
}

// A window begins at the first input that is left of any list, and takes what it can of each.
std::size_t BesideSums::add_windows(const Lists& lists) {
  std::vector<std::size_t> done(lists.size(), 0);
  for (std::size_t count = 0;; ++count) {
    std::size_t begin = depth_;
    for (std::size_t i = 0; i < lists.size(); ++i)
      if (done[i] < lists[i]->size()) begin = std::min<std::size_t>(begin, (*lists[i])[done[i]]);
    if (begin == depth_) return count;
    begin = beside_plane(begin);
    begins_.push_back(static_cast<std::uint16_t>(begin));
    const auto zeros = static_cast<std::uint8_t>(kWindowPlanes - 1 - begin % kWindowPlanes);
    picked_.resize(picked_.size() + kWindowBytes, zeros);
    std::uint8_t* picks = picked_.data() + picked_.size() - kWindowBytes;
    for (std::size_t i = 0; i < lists.size(); ++i)
      for (std::size_t step = 0; step < kWindowSteps && done[i] < lists[i]->size(); ++step, ++done[i]) {
        const std::size_t place = beside_plane((*lists[i])[done[i]]) - begin;
        if (place >= kWindowPlanes) break;
        picks[(step / 2 * kBesideFilters + i) * 2 + step % 2] = static_cast<std::uint8_t>(place);
      }
  }
}

double BesideSums::listed_cost(std::size_t rows) const {
  return static_cast<double>(divide_up(rows, kBesideLanes) * begins_.size()) * kernels_.window_cost;
}

double BesideSums::cost(std::size_t rows) const {
  return listed_cost(rows) +
         static_cast<double>(divide_up(rows, kBesideLanes) * groups_.size()) * kernels_.group_cost;
}

double BesideSums::input_cost(std::size_t rows, bool made) const {
  const auto parts = static_cast<double>(divide_up(rows, kBesideLanes));
  return static_cast<double>(depth_) * (parts * kernels_.narrow_cost + (made ? 0 : kernels_.taps_cost));
}

std::size_t BesideSums::scratch_words() const { return kParts * part_words(); }

void BesideSums::make(const PlaneTile& tile, const PlaneInputs& inputs, Word* work) const {
  inputs.make_narrow(tile, kernels_, reinterpret_cast<std::uint16_t*>(work), beside_planes(depth_));
}

void BesideSums::count(const PlaneTile& tile, const Word* work, std::size_t begin, std::byte* out) const {
  const std::size_t bits = blocks_[begin / SparseSums::kBlock].bits, size = shorts(begin) ? 2 : 1;
  const std::size_t first = begin / kBesideFilters;
  BesideCall call;
  call.stride = SparseSums::kBlock * size;
  call.shorts = shorts(begin);
  for (std::size_t g = first; g < std::min(first + SparseSums::kBlock / kBesideFilters, groups_.size());
       ++g) {
    const Group& group = groups_[g];
    call.begins = begins_.data() + group.window;
    call.picks = reinterpret_cast<const std::uint8_t*>(picks_.data()) + group.window * kWindowBytes;
    call.subtracted = group.subtracted;
    call.added = group.added;
    call.inverted = group.inverted;
    for (std::size_t part = 0; part * kBesideLanes < tile.rows; ++part) {
      call.planes = reinterpret_cast<const std::uint16_t*>(work + part * part_words());
      call.out = reinterpret_cast<std::uint8_t*>(out) + part * kBesideLanes * call.stride +
                 (g - first) * kBesideFilters * size;
      kernels_.select(bits)(call);
    }
  }
}

}  // namespace sb
