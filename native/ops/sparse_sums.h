// The sums of filters with few rare weights: how many of the listed inputs are -1, block by block of
// channels.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ops/bitplane_outputs.h"
#include "ops/plane_inputs.h"
#include "ops/sparse_filters.h"

namespace sb {

// With count d a filter's sum is base - 4 d + sign * S, where S is the sum of all inputs of the window.
class SparseSums {
 public:
  static constexpr std::size_t kBlock = kWordBits;  // channels

  // Of one product, or of the sum of two with the same inputs. Null where the kernels cannot hold the layer.
  static std::unique_ptr<SparseSums> make(const KernelTable& kernels, const ConvolutionShape& shape,
                                          const std::vector<const SignRows*>& products,
                                          const SumBases& bases);

  // Nanoseconds for the counts of a tile, as planes, and what of it grows with the rare weights.
  double cost(const PlaneWidth& width) const;
  double listed_cost(const PlaneWidth& width) const;
  double density() const { return filters_.density; }

  // Counts of the channels from `begin` on: (channel - begin, kCountRows, lanes), of each the first bits().
  void count(const PlaneTile& tile, std::size_t begin, Word* out) const;
  std::size_t bits(std::size_t begin) const { return blocks_[begin / kBlock].bits; }
  const float* bases() const { return bases_.data(); }                             // (place, padded channels)
  const float* signs() const { return signs_.empty() ? nullptr : signs_.data(); }  // per padded channel

 private:
  struct Block {
    std::size_t run, runs;  // of the filters
    std::size_t bits;
  };

  SparseSums(const KernelTable& kernels, const SparseRules& rules, std::size_t depth, bool pair,
             const SumBases& bases);

  const SparseTable& table_;
  const PlaneTable& planes_;
  SparseFilters filters_;
  std::size_t depth_;
  std::vector<Block> blocks_;
  std::vector<std::uint16_t> slots_;  // per entry of the filters: its channel within the block
  std::vector<float> bases_;
  std::vector<float> signs_;
};

}  // namespace sb
