// Bits of integers: of which side of a number they lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/bitplane_outputs.h"
#include "ops/operator.h"

namespace sb {

// The bit is x < threshold for direction 1, and x > threshold, that is ~x < ~threshold, for direction -1.
class Threshold final : public Operator {
 public:
  // `cuts` (rows, channels); a row is chosen by border class, by the second input's entry, or is the only
  // one.
  Threshold(const KernelTable& kernels, const Edge& in, std::vector<std::int32_t> cuts,
            std::vector<std::int32_t> invert, std::vector<std::uint8_t> border)
      : kernels_(kernels),
        in_(in),
        cuts_(std::move(cuts)),
        invert_(std::move(invert)),
        border_(std::move(border)) {}

  void read_table(std::size_t groups, std::int64_t low, std::int64_t step) {
    groups_ = groups, low_ = low, step_ = step;
  }
  bool reads_table() const { return groups_ > 0; }
  // The cuts as the file states them: `inverted` ones are compared by sum > cut. Not of a table.
  Cuts plain_cuts() const;

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return true; }
  std::size_t scratch(std::size_t) const override {
    return groups_ > 0 ? in_.channels * sizeof(std::int32_t) : 0;
  }

 private:
  const KernelTable& kernels_;
  Edge in_;
  std::vector<std::int32_t> cuts_, invert_;
  std::vector<std::uint8_t> border_;
  std::size_t groups_ = 0;  // of the second input; 0: there is none
  std::int64_t low_ = 0, step_ = 1;
};

// Reals of integers, and as the second output their bits.
class ThresholdedChain final : public Operator {
 public:
  ThresholdedChain(std::unique_ptr<Operator> chain, std::unique_ptr<Operator> threshold)
      : chain_(std::move(chain)), threshold_(std::move(threshold)) {}

  void run(const Call& call) const noexcept override {
    chain_->run(call);
    threshold_->run({call.first, call.rows, call.inputs, call.second, call.scratch});
  }
  bool by_rows(std::size_t) const override { return true; }

 private:
  std::unique_ptr<Operator> chain_, threshold_;
};

// Integer sums of two inputs or more.
class AddInts final : public Operator {
 public:
  AddInts(const KernelTable& kernels, std::size_t inputs, std::size_t channels)
      : kernels_(kernels), inputs_(inputs), channels_(channels) {}

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return true; }

 private:
  const KernelTable& kernels_;
  std::size_t inputs_, channels_;
};

}  // namespace sb
