// The inputs of a convolution as bit-planes: one for each channel and tap, for a tile of output positions.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/sparse.h"
#include "ops/convolution.h"
#include "ops/operator.h"

namespace sb {

// Rows [done, done + rows) of a call, and the memory that is needed for them.
struct PlaneTile {
  const PlaneWidth& width;
  const Call& call;
  std::size_t done, rows;
  std::size_t lane_words, source_words;
  Word *planes, *sources, *valid;

  std::size_t first() const { return call.first + done; }
};

class PlaneInputs {
 public:
  PlaneInputs(const KernelTable& kernels, const ConvolutionShape& shape);
  // Before the first tile is made.
  void find_valid_taps();

  // Words of planes, and those beside them, of a tile.
  std::size_t plane_words(const PlaneWidth& width) const;
  std::size_t other_words(const PlaneWidth& width) const;
  PlaneTile tile(const PlaneWidth& width, const Call& call, std::size_t done, std::size_t rows, Word* planes,
                 Word* others) const;
  // (inputs + 1, lanes): the inputs, then zeros.
  void make(const PlaneTile& tile) const;
  // How many inputs of each position are 1, of a tile whose planes are made: (bits, lanes). `work` holds
  // bits * total_stride words.
  void sum(const PlaneTile& tile, std::size_t bits, Word* out, Word* work) const;
  std::size_t total_stride(const PlaneWidth& width) const;
  // The cost of the totals of a tile.
  double sum_cost(const PlaneWidth& width, std::size_t bits) const;
  // The bits of `lanes` positions of a tile, of a row with one bit a position.
  void copy_lanes(const PlaneTile& tile, const Word* row, Word* out) const;

  bool shifts() const { return shifts_; }

 private:
  void shift(const PlaneTile& tile) const;
  void gather(const PlaneTile& tile) const;
  std::size_t source_words(const PlaneWidth& width) const;

  const SparseWidth& kernels(const PlaneWidth& width) const { return table_.widths[&width - planes_.widths]; }

  const PlaneTable& planes_;
  const SparseTable& table_;
  ConvolutionShape shape_;
  std::size_t positions_, words_, depth_;
  bool shifts_ = false;  // every tap is the input map moved by a fixed number of positions
  std::ptrdiff_t nearest_ = 0, farthest_ = 0;  // the least and the largest of these numbers
  std::vector<Word> valid_;                    // (tap, position): the tap falls on the map
};

}  // namespace sb
