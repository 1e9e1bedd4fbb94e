// Operators that run one after another on the same rows, as one.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "ops/operator.h"

namespace sb {

class Sequence final : public Operator {
 public:
  explicit Sequence(std::size_t input_row) : input_row_(input_row) {}

  // `inputs`: 0 is the sequence's input, i the result of the i-th operator added. Rows of `row` bytes.
  void add(std::unique_ptr<Operator> op, std::vector<std::size_t> inputs, std::size_t row) {
    parts_.push_back({std::move(op), std::move(inputs), row});
  }

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return false; }
  std::size_t scratch(std::size_t rows) const override;

 private:
  static constexpr std::size_t kMostInputs = 4;
  struct Part {
    std::unique_ptr<Operator> op;
    std::vector<std::size_t> inputs;
    std::size_t row;

    std::size_t bytes(std::size_t rows) const { return round_up(rows * row + kSlack, kAlignment); }
  };

  std::size_t input_row_;
  std::vector<Part> parts_;
};

}  // namespace sb
