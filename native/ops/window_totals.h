// The sum of the inputs of every window, which filters of two levels and lists of rare inputs share.
#pragma once

#include <cstddef>

#include "ops/bitplane_outputs.h"
#include "ops/plane_inputs.h"

namespace sb {

class WindowTotals {
 public:
  WindowTotals(const KernelTable& kernels, const ConvolutionShape& shape);

  // Nanoseconds for a tile whose inputs are made, and words to work in.
  double cost(const PlaneWidth& width, const PlaneInputs& inputs) const;
  std::size_t scratch_words(const PlaneWidth& width, const PlaneInputs& inputs) const;
  // A number for each row of the tile; padding 0 counts nothing.
  const float* make(const PlaneTile& tile, const PlaneInputs& inputs, const SumBases& bases,
                    Word* work) const;

 private:
  const SparseTable& table_;
  std::size_t depth_, positions_, bits_;
};

}  // namespace sb
