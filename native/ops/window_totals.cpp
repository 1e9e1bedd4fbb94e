#include "ops/window_totals.h"

#include <algorithm>
#include <bit>

namespace sb {
namespace {

constexpr double kLaneCost = 1.0;  // nanoseconds to make a lane's planes a number

}  // namespace

WindowTotals::WindowTotals(const KernelTable& kernels, const ConvolutionShape& shape)
    : planes_(kernels.planes),
      depth_(shape.depth()),
      positions_(shape.window.out_height * shape.window.out_width),
      bits_(static_cast<std::size_t>(std::bit_width(shape.depth()))) {}

double WindowTotals::cost(const PlaneWidth& width, const PlaneInputs& inputs) const {
  return inputs.sum_cost(width, bits_) + static_cast<double>(width.lanes) * kLaneCost;
}

// The numbers, their planes, and what these are made in.
std::size_t WindowTotals::scratch_words(const PlaneWidth& width, const PlaneInputs& inputs) const {
  return width.lanes * sizeof(float) / sizeof(Word) + bits_ * (width.lanes / kWordBits) +
         bits_ * inputs.total_stride(width);
}

// The inputs less twice those that are -1.
const float* WindowTotals::make(const PlaneTile& tile, const PlaneInputs& inputs, const SumBases& bases,
                                Word* work) const {
  auto* numbers = reinterpret_cast<float*>(work);
  Word* planes = work + tile.width.lanes * sizeof(float) / sizeof(Word);
  inputs.sum(tile, bits_, planes, planes + bits_ * tile.lane_words);
  const int most = static_cast<int>(depth_) - bases.outside[0];
  for (std::size_t b = 0; b * kWordBits < tile.rows; ++b) {
    Word block[kWordBits] = {}, negative[kWordBits];
    for (std::size_t bit = 0; bit < bits_; ++bit) block[bit] = planes[bit * tile.lane_words + b];
    planes_.transpose(block, 1, negative, 1);
    for (std::size_t i = 0; i < kWordBits; ++i)
      numbers[b * kWordBits + i] = static_cast<float>(most - 2 * static_cast<int>(negative[i]));
  }
  for (std::size_t i = 0; !bases.places.empty() && i < tile.rows; ++i) {
    const std::size_t place = bases.places[(tile.first() + i) % positions_];
    numbers[i] -= static_cast<float>(bases.outside[place] - bases.outside[0]);
  }
  return numbers;
}

}  // namespace sb
