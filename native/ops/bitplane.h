// A convolution of bits on planes of output positions, with its threshold or with the chain behind it.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ops/beside_sums.h"
#include "ops/bitplane_outputs.h"
#include "ops/chain.h"
#include "ops/convolution.h"
#include "ops/mirror.h"
#include "ops/operator.h"
#include "ops/plane_inputs.h"
#include "ops/sparse.h"
#include "ops/sparse_sums.h"
#include "ops/two_levels.h"
#include "ops/window_totals.h"

namespace sb {

// Of few positions the mirrored form, or popcount, costs less; so it is with the rest that fills no register.
// Whichever costs least is taken, tile by tile.
class BitplaneConvolution final : public Operator {
 public:
  // Null where the kernels cannot hold the layer, or neither form of planes ever pays; a layout that is asked
  // for is taken at any cost. Before it runs it is given the same computation by popcount.
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& product,
                                                   const Cuts& cuts, Layout layout);
  // The same with sums, of which `chain` is given the counts of a few rows and channels at a time; of weights
  // of two levels unless `levels` is null.
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& product,
                                                   const TwoLevels* levels, Layout layout);
  // Sums of two products, by the sparse form alone.
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& first,
                                                   const BinaryProduct& second, Layout layout);
  // The sparse form alone: of filters of two levels, or of the sum of two products.
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& product,
                                                   const TwoLevelRule& levels, Layout layout);
  static std::unique_ptr<BitplaneConvolution> make(const KernelTable& kernels, const BinaryProduct& first,
                                                   const BinaryProduct& second, const Cuts& cuts,
                                                   Layout layout);
  // `rest` may be null where `product` gives the bits. A chain begins with what the product gives.
  void keep_popcount(std::unique_ptr<Operator> product, std::unique_ptr<Operator> rest,
                     const Chain* chain = nullptr, ChainSource source = kChainInts);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t input) const override { return input > 0; }
  bool in_place(std::size_t input) const override { return chain_ != nullptr && chain_->in_place(input); }
  bool begins_step() const override { return true; }
  std::size_t tile_rows() const override { return table_.widths[0].lanes; }
  std::size_t scratch(std::size_t rows) const override;
  std::size_t divide(std::size_t rows, std::size_t threads, bool by_filters, Share* shares) const override;
  std::vector<Choice> choices(std::size_t rows) const override;
  const char* kernel() const override;

 private:
  static constexpr std::size_t kMostFilters = std::size_t{1} << 16;
  static constexpr double kDensest = 0.35;          // denser filters are never cheaper as lists
  static constexpr std::size_t kPopcountRows = 32;  // that go through popcount at a time
  struct Tile : PlaneTile {
    std::size_t filter_begin, filter_end, group;
    Word *out, *masks;

    std::size_t first_group() const { return filter_begin / group; }
    std::size_t end_group() const { return divide_up(filter_end, group); }
  };
  enum class Form { kPopcount, kPlanes, kMirrored, kSparse, kBeside };
  // Rows that are computed in one way; planes are of `width`.
  struct Piece {
    Form form;
    const PlaneWidth* width;
    std::size_t rows;
    double cost;  // of a row
  };

  BitplaneConvolution(const KernelTable& kernels, const ConvolutionShape& shape, bool counts);
  static bool fits(const ConvolutionShape& shape);
  static std::unique_ptr<BitplaneConvolution> make_sparse(const KernelTable& kernels,
                                                          const ConvolutionShape& shape,
                                                          const std::optional<SparseRules>& rules,
                                                          Layout layout);
  std::size_t dense_group() const { return depth_ < table_.five_from ? 4 : 5; }
  // What dense lists of so many planes cost.
  void price_dense(std::size_t listed);
  // Dense lists are expected before sparse ones are made, and made where they still pay after these.
  void expect_dense();
  void take_dense(const SignRows& signs, const PlaneOutputs& outputs);
  void add_sparse(const SparseRules& rules);
  void add_sparse_sums(const std::vector<const SignRows*>& products);
  // Whether the sparse form of these costs pays; it is then offered, and the dense one only if that pays too.
  bool keep_sparse(const double* costs);
  void add_beside_sums(const SparseRules& rules, const CountBases& bases);
  bool sparse() const { return sparse_ != nullptr || sparse_sums_ != nullptr || beside_ != nullptr; }
  double sparse_density() const;
  double listed_cost(const PlaneWidth& width) const {
    return sparse_ != nullptr ? sparse_->listed_cost(width) : sparse_sums_->listed_cost(width);
  }
  double popcount_cost(std::size_t filters) const;
  double sum_cost(const PlaneWidth& width, bool totals) const;
  bool dense() const { return !filters_.lists.empty(); }
  // `share` of all filters; with less than all there are neither popcount nor mirrored forms.
  Piece next_piece(std::size_t first, std::size_t left, double share = 1) const;
  double cost(std::size_t first, std::size_t rows, double share) const;
  double tile_cost(std::size_t width, double share) const;
  double sparse_cost(std::size_t width, double share) const;
  // Lists of sums are apart for every 64 filters, those of bits are not.
  bool divides_filters() const { return sparse_ == nullptr && (dense() || sparse()); }
  double filter_share(std::size_t begin, std::size_t end) const;
  std::size_t cut(std::size_t rows, std::size_t down, std::size_t across, Share* parts) const;
  const char* name(const Piece& piece) const;
  double break_even(std::size_t rows) const;
  // Of few rows that 32 filters share a register for.
  double beside_cost(std::size_t rows, double share = 1) const;
  // Whether a form for few positions is ever the cheapest.
  bool pays_for_few(Form form) const;
  // Whether a form of these costs is the cheapest for some register that a usual batch fills.
  bool pays(const double* costs) const;
  std::size_t out_planes() const;
  std::size_t tile_scratch() const;
  void run_popcount(const Call& call, std::size_t done, std::size_t rows) const;
  void run_tile(const Piece& piece, const Call& call, std::size_t done) const;
  void run_dense(const Tile& tile) const;
  bool run_sparse(const Tile& tile) const;
  std::size_t mask_classes(const Tile& tile, const Word** differing) const;
  void store(const Tile& tile) const;
  void run_sums(const Tile& tile, Form form) const;
  void count_groups(const Tile& tile, std::size_t end, std::size_t& done) const;

  const KernelTable& kernels_;
  const PlaneTable& table_;
  ConvolutionShape shape_;
  PlaneInputs inputs_;
  PlaneFilters filters_;
  std::unique_ptr<SparseForm> sparse_;
  std::size_t positions_, depth_;
  std::size_t classes_ = 1;
  std::vector<Word> members_;  // (class, position)
  // Of a tile of each width, and what of it is spent on the inputs.
  double costs_[kMostWidths], sparse_costs_[kMostWidths];
  double input_costs_[kMostWidths] = {};
  double dense_costs_[kMostWidths];  // also where they never pay
  double popcount_cost_ = 0;         // of a position
  std::unique_ptr<MirroredConvolution> mirrored_;
  std::unique_ptr<Operator> product_, rest_;
  const Chain* chain_ = nullptr;
  ChainSource popcount_source_ = kChainInts;
  // Of sums, with the values of two levels per padded channel, or none.
  bool counts_;
  SumBases bases_;
  WindowTotals totals_;
  std::vector<float> half_, middle_;
  std::unique_ptr<SparseSums> sparse_sums_;
  std::unique_ptr<BesideSums> beside_;
};

}  // namespace sb
