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
  // The same for 16 positions at a time, (part, beside_planes); then those of the tile may not be made.
  void make_narrow(const PlaneTile& tile, const BesideKernels& kernels, std::uint16_t* out,
                   std::size_t stride) const;
  // How many inputs of each position are 1, of a tile whose planes are made: (bits, lanes). `work` holds
  // bits * total_stride words.
  void sum(const PlaneTile& tile, std::size_t bits, Word* out, Word* work) const;
  std::size_t total_stride(const PlaneWidth& width) const;
  // The cost of the totals of a tile.
  double sum_cost(const PlaneWidth& width, std::size_t bits) const;
  // The bits of `lanes` positions of a tile, of a row with one bit a position.
  void copy_lanes(const PlaneTile& tile, const Word* row, Word* out) const;

  bool shifts() const { return shifts_; }
  // Whether planes of 16 positions are made of the map, not of planes.
  bool narrows_map() const { return shifts_ && static_cast<std::size_t>(farthest_ - nearest_) < kWordBits; }

 private:
  void find_sources(const PlaneTile& tile) const;
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
  std::vector<std::uint64_t> offsets_;         // per tap, where it begins in the sources
};

}  // namespace sb
