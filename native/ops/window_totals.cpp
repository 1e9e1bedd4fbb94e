#include "ops/window_totals.h"

#include <algorithm>
#include <bit>

#include "ops/sparse_filters.h"

namespace sb {
namespace {

constexpr double kLaneCost = 0.4;  // nanoseconds to make a lane's planes a number

}  // namespace

WindowTotals::WindowTotals(const KernelTable& kernels, const ConvolutionShape& shape)
    : table_(sparse_table(kernels)),
      depth_(shape.depth()),
      positions_(shape.window.out_height * shape.window.out_width),
      bits_(static_cast<std::size_t>(std::bit_width(shape.depth()))) {}

double WindowTotals::cost(const PlaneWidth& width, const PlaneInputs& inputs) const {
  return inputs.sum_cost(width, bits_) + static_cast<double>(width.lanes) * kLaneCost;
}

// The numbers, their planes, and what these are made in, or else the numbers as integers.
std::size_t WindowTotals::scratch_words(const PlaneWidth& width, const PlaneInputs& inputs) const {
  const std::size_t integers = width.lanes * sizeof(std::uint16_t) / sizeof(Word);
  return width.lanes * sizeof(float) / sizeof(Word) + bits_ * (width.lanes / kWordBits) +
         std::max(bits_ * inputs.total_stride(width), integers);
}

// The inputs less twice those that are -1.
const float* WindowTotals::make(const PlaneTile& tile, const PlaneInputs& inputs, const SumBases& bases,
                                Word* work) const {
  auto* numbers = reinterpret_cast<float*>(work);
  Word* planes = work + tile.width.lanes * sizeof(float) / sizeof(Word);
  Word* spare = planes + bits_ * tile.lane_words;
  inputs.sum(tile, bits_, planes, spare);
  auto* negative = reinterpret_cast<std::uint16_t*>(spare);
  const std::size_t words = words_for(tile.rows);
  table_.number({planes, tile.lane_words, bits_, words, negative});
  const int most = static_cast<int>(depth_) - bases.outside[0];
  for (std::size_t i = 0; i < words * kWordBits; ++i) numbers[i] = static_cast<float>(most - 2 * negative[i]);
  for (std::size_t i = 0; !bases.places.empty() && i < tile.rows; ++i) {
    const std::size_t place = bases.places[(tile.first() + i) % positions_];
    numbers[i] -= static_cast<float>(bases.outside[place] - bases.outside[0]);
  }
  return numbers;
}

}  // namespace sb
