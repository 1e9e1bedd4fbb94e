// A convolution of bits on planes of output positions, with its threshold or with the chain behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ops/bitplane_outputs.h"
#include "ops/chain.h"
#include "ops/convolution.h"
#include "ops/operator.h"

namespace sb {

// Few positions, and the rest that fills no register, stay in the channel-packed layout. Whichever costs less
// is taken, tile by tile.
class BitplaneConvolution final : public Operator {
 public:
  // Null where the kernels cannot hold the layer, or planes never pay; `always` takes planes at any cost.
  // Before it runs it is given the same computation in the channel-packed layout.
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& product,
                                                   const Cuts& cuts, bool always);
  // The same with sums, of which `chain` is given the counts of a few rows and channels at a time.
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& product,
                                                   bool always);
  void keep_packed(std::unique_ptr<Operator> product, std::unique_ptr<Operator> rest,
                   const Chain* chain = nullptr);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t input) const override { return input > 0; }
  bool begins_step() const override { return true; }
  std::size_t tile_rows() const override { return table_.widths[0].lanes; }
  std::size_t scratch(std::size_t rows) const override;
  const char* kernel() const override { return "bit-planes"; }

 private:
  struct Tile;

  BitplaneConvolution(const KernelTable& kernels, const ConvolutionShape& shape, PlaneFilters filters,
                      bool counts);
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& product,
                                                   const PlaneOutputs& outputs, bool counts, bool always);
  void find_valid_taps();
  bool pays() const;
  std::size_t out_planes() const;
  std::size_t tile_scratch() const;
  void run_packed(const Call& call, std::size_t done, std::size_t rows) const;
  void run_tile(const PlaneWidth& width, const Call& call, std::size_t done, std::size_t rows) const;
  void shift_inputs(const Tile& tile) const;
  void gather_inputs(const Tile& tile) const;
  std::size_t mask_classes(const Tile& tile, const Word** differing) const;
  void store(const Tile& tile) const;
  void run_counts(const Tile& tile, PlaneCall planes) const;

  const PlaneTable& table_;
  ConvolutionShape shape_;
  PlaneFilters filters_;
  std::size_t positions_, words_, depth_;
  bool shifts_ = false;  // every tap is the input map moved by a fixed number of positions
  std::ptrdiff_t nearest_ = 0, farthest_ = 0;  // the least and the largest of these numbers
  std::vector<Word> valid_;                    // (tap, position): the tap falls on the map
  std::size_t classes_ = 1;
  std::vector<Word> members_;  // (class, position)
  double costs_[3] = {};       // of a tile of each width
  double packed_cost_ = 0;     // of a position in the channel-packed layout
  std::unique_ptr<Operator> product_, rest_;
  const Chain* chain_ = nullptr;
  bool counts_;
  std::vector<std::size_t> list_begins_;  // per group, for counts
  SumBases bases_;
};

}  // namespace sb
