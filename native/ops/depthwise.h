// A convolution that gives every channel one filter of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/convolution.h"

namespace sb {

class Depthwise final : public Operator {
 public:
  // Bytes or floats, as many groups and filters as channels, and nothing or zeros around the map.
  static bool fits(const ConvolutionShape& shape);

  Depthwise(const KernelTable& kernels, const ConvolutionShape& shape, const Filters& filters,
            const std::vector<float>& bias);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return false; }
  bool begins_step() const override { return true; }
  std::size_t scratch(std::size_t rows) const override;
  const char* kernel() const override { return "one filter a channel"; }

 private:
  template <class T, class W, class Multiply>
  void each_row(const Call& call, const std::vector<W>& weights, Multiply multiply) const;

  const KernelTable& kernels_;
  ConvolutionShape shape_;
  std::vector<std::int8_t> bytes_;  // (tap, channel)
  std::vector<float> floats_;       // likewise, filled up
  std::vector<float> start_;
};

}  // namespace sb
