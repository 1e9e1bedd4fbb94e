// The sums of filters with few rare weights: how many of the listed inputs are -1, block by block of
// channels.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/bitplane_outputs.h"
#include "ops/plane_inputs.h"
#include "ops/sparse_filters.h"

namespace sb {

// With count d a filter's sum is base - 4 d + sign * S, where S is the sum of all inputs of the window.
class CountBases {
 public:
  // Of one product, or of the sum of two with the same inputs.
  CountBases(const SumBases& sums, std::size_t filters, std::size_t depth, bool pair);
  // Filter f is counted in so many bits, beginning with what it subtracts if anything `is_subtracted`.
  void add(std::size_t f, const SparseRule& rule, std::size_t bits, bool is_subtracted);

  const float* bases() const { return bases_.data(); }                             // (place, padded channels)
  const float* signs() const { return signs_.empty() ? nullptr : signs_.data(); }  // per padded channel

 private:
  std::vector<float> bases_, signs_;
  std::vector<std::int32_t> outside_;
  std::int32_t all_;
};

class SparseSums {
 public:
  static constexpr std::size_t kBlock = kWordBits;  // channels

  SparseSums(const KernelTable& kernels, const SparseRules& rules, std::size_t depth, CountBases bases);

  // Nanoseconds for the counts of a tile, as planes, and what of it grows with the rare weights.
  double cost(const PlaneWidth& width) const;
  double listed_cost(const PlaneWidth& width) const;
  double density() const { return filters_.density; }

  // Counts of the channels from `begin` on: (channel - begin, kCountRows, lanes), of each the first bits().
  void count(const PlaneTile& tile, std::size_t begin, Word* out) const;
  std::size_t bits(std::size_t begin) const { return blocks_[begin / kBlock].bits; }
  const CountBases& bases() const { return bases_; }

 private:
  struct Block {
    std::size_t run, runs;  // of the filters
    std::size_t bits;
  };

  const SparseTable& table_;
  const PlaneTable& planes_;
  SparseFilters filters_;
  std::size_t depth_;
  std::vector<Block> blocks_;
  std::vector<std::uint16_t> slots_;  // per entry of the filters: its channel within the block
  CountBases bases_;
};

}  // namespace sb
