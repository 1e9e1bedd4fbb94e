// The mirrored form of a binary convolution with its threshold, or with the chain behind it: filters in the
// lanes, for few positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "kernels/bitplane.h"
#include "ops/bitplane_outputs.h"
#include "ops/chain.h"
#include "ops/convolution.h"
#include "ops/operator.h"

namespace sb {

// Four or seven positions of a row share a pass: the bits that they hold at an input name a pattern, the
// inputs of a pattern are listed at run time, and the weight planes of a list are added once for all of them.
// The columns of a group, evenly spread over the map, are done from top to bottom: each row of inputs goes to
// the ends of the lists, and an output row takes from them what its window sees. Window rows outside the map
// are left out.
class MirroredConvolution {
 public:
  // Null where the kernels cannot hold the layer, `sums` that a chain takes if not bits. It has a cost at
  // once, and runs when it has its weights.
  static std::unique_ptr<MirroredConvolution> make(const PlaneTable& table, const ConvolutionShape& shape,
                                                   bool sums);
  // False where it cannot hold them.
  bool take(const SignRows& signs, const OutputClasses& classes);
  bool take(const SignRows& signs, const SumBases& bases);

  // Nanoseconds for the output rows [first, first + rows).
  double cost(std::size_t first, std::size_t rows) const;
  std::size_t scratch() const;
  // Rows [done, done + rows) of the call; of sums, what `chain` makes of them.
  void run(const Call& call, std::size_t done, std::size_t rows, const Chain* chain) const;

 private:
  // A register of filters. Tables hold the complement of the least number of differing inputs.
  struct Column {
    const PlaneWidth* width;
    std::size_t first_filter;
    const Word* planes;    // (inputs + 1, lanes)
    const Word* tables;    // (table, bit, lanes)
    const Word* inverted;  // (lanes)
    std::size_t words() const { return width->lanes / kWordBits; }
  };
  struct Group;
  struct Lists;
  struct Work;
  struct Seen;
  // Positions share a table when they are of one type and leave out the same rows of the window.
  using Place = std::pair<std::size_t, std::vector<bool>>;

  MirroredConvolution(const PlaneTable& table, const ConvolutionShape& shape, bool sums);
  void divide_filters();
  void choose_group();
  void pack_weights(const SignRows& signs);
  void choose_tables(const SignRows& signs, const OutputClasses& classes);
  // By the type of every position; false if there are too many.
  bool find_places(const std::vector<std::size_t>& types);
  // How many inputs differ where a row of the window is padding.
  std::vector<std::int64_t> padded_rows(const SignRows& signs) const;
  // Of sums that wait for the chain.
  std::size_t count_rows() const { return positions_ == 1 ? group_ : positions_; }
  void chain_counts(const Call& call, const Chain& chain, const std::uint16_t* counts, std::size_t done,
                    std::size_t rows) const;
  std::ptrdiff_t input_row(std::size_t y, std::size_t kernel_row) const;
  Seen collect(Work& work, const Call& call, const Group& group) const;
  void sort(Work& work, const Call& call, const Group& group, std::ptrdiff_t y) const;
  void take_shared(Work& work) const;
  std::size_t list_bytes() const;
  void multiply(const Work& work, const Group& group, const Seen& seen, Word* out) const;

  const PlaneTable& table_;
  ConvolutionShape shape_;
  std::size_t positions_, words_, depth_, out_words_;
  std::size_t group_, patterns_;  // positions that share a pass, and their patterns
  std::size_t row_inputs_;        // of a row of the window
  std::size_t line_groups_;       // groups of a row of output positions
  bool apart_;                    // windows share no rows, or do not see neighbouring ones
  bool shares_;                   // two groups side by side have all taps but one in common
  std::size_t sorts_;             // of a row of inputs
  std::size_t most_rows_;         // that the lists hold
  std::size_t list_stride_;
  std::size_t least_bits_ = 0;
  std::size_t count_bits_;      // of sums, or 0
  std::size_t row_counts_ = 0;  // that a row of sums takes, spare filters included
  std::vector<float> bases_;    // (place, padded filter)
  std::vector<Column> columns_;
  Buffer planes_, tables_;
  std::vector<Place> places_;
  std::vector<std::uint8_t> table_of_;  // per output position: its table, or its row of bases
  std::vector<Word> padding_;           // (channels)
  double pass_cost_ = 0, sort_cost_ = 0;
};

}  // namespace sb
