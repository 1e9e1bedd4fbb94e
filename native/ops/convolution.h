// Convolutions and matrix products of every kind, as patches times packed filters.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "ops/node.h"
#include "ops/operator.h"
#include "ops/sign_rows.h"

namespace sb {

// Weights in canonical order, one of the three filled: (filters, depth), depth running over (kernel row,
// kernel column, channel of the group).
struct Filters {
  SignRows signs;
  std::vector<std::int8_t> bytes;
  std::vector<float> floats;
};

// What a convolution computes, apart from its weights.
struct ConvolutionShape {
  Edge in;
  Storage storage = Storage::kFloats;  // how the input is held; decides the kind of product
  Window window;
  std::size_t groups = 1, filters = 1;
  int pad_value = 0;

  std::size_t group_channels() const { return in.channels / groups; }
  std::size_t group_filters() const { return filters / groups; }
  std::size_t depth() const { return group_channels() * window.taps(); }
};

// The bytes of a patch already lie behind one another in the input: one position each, or a whole map.
bool patches_are_rows(const ConvolutionShape& shape);

// A product of bits with ±1 weights, for a reader that may compute it together with its own part.
struct BinaryProduct {
  ConvolutionShape shape;
  Filters filters;
  Value input = kNoValue;
};

class PatchLines;

// The output holds int32, or floats for float storage.
class Convolution final : public Operator {
 public:
  // Bytes that the packed weights of `shape` take; to be checked before construction.
  static std::size_t packed_bytes(const KernelTable& kernels, const ConvolutionShape& shape);

  // `bias` per filter, or empty; only for floats. `offsets` per channel, or empty; only for bytes: the input
  // is a line of them, whose scale `filters.bytes` have and `filters.signs` have not.
  Convolution(const KernelTable& kernels, const ConvolutionShape& shape, const Filters& filters,
              const std::vector<float>& bias, const std::vector<int>& offsets = {});
  ~Convolution() override;

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override {
    return rows_are_patches_ && shape_.in.positions() == positions_;
  }
  bool begins_step() const override { return true; }
  std::size_t granule() const override { return lines_ == nullptr ? 1 : shape_.window.out_width; }
  std::size_t scratch(std::size_t rows) const override;
  std::size_t filter_granule() const override { return shape_.groups == 1 ? kWordBits : 0; }
  const char* kernel() const override;

 private:
  static const Gemm& select(const KernelTable& kernels, Storage storage);
  void pack(const Filters& filters);
  void sum_taps(const Filters& filters);
  void add_offsets(const Filters& filters, const std::vector<int>& offsets, bool padded);
  static int weight(const Filters& filters, std::size_t filter, std::size_t k, std::size_t depth);
  std::size_t patches_bytes(std::size_t rows) const;
  void multiply(const Call& call, std::size_t group, int plane, std::byte* out) const;
  void multiply_lines(const Call& call) const;
  GemmCall product(const Call& call, std::size_t group) const;
  const std::byte* gather(const Call& call, std::size_t group, int plane) const;
  void gather_bits(const Call& call, std::size_t group, int plane) const;
  // Patches of `count` elements a place, from element `skip` of rows of `row` elements on.
  template <class T>
  void gather_elements(const Call& call, std::size_t count, std::size_t skip, std::size_t row, T fill) const;
  void correct_border(const Call& call) const;

  const Gemm& gemm_;
  ConvolutionShape shape_;
  bool rows_are_patches_;              // the input needs no gathering
  std::unique_ptr<PatchLines> lines_;  // where patches are not copied out
  std::size_t positions_;              // of the output
  std::size_t depth_units_;            // depth in words for bits, else in elements
  std::size_t patch_stride_;           // bytes of a gathered patch
  std::size_t group_bytes_;            // packed weights of one group
  int border_factor_ = 0;              // pad value minus the value that gathering puts there
  Buffer packed_;
  std::vector<std::uint32_t> places_;   // of every four bytes of a patch; not for bits
  std::vector<std::int32_t> start_;     // per filter
  std::vector<float> bias_;             // per filter, floats only
  std::vector<std::int32_t> tap_sums_;  // (taps, filters), only where the border needs it
};

}  // namespace sb
