// The numbers that a layer compares with, where they are the same, and where they are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bits.h"
#include "ops/bitplane_filters.h"
#include "ops/convolution.h"

namespace sb {

inline constexpr std::size_t kMostClasses = 32;

// bit = sum < cut, or for a filter that is inverted, sum > cut. A position takes the row of cuts that
// `border` gives.
struct Cuts {
  std::vector<std::int64_t> cuts;      // (row, filter)
  std::vector<std::uint8_t> inverted;  // per filter
  std::vector<std::uint8_t> border;    // per output position; empty: row 0
};

// Positions of a class compare with the same numbers: they have the same row of cuts and, where padding is 0,
// the same taps outside. The first class is the largest.
struct OutputClasses {
  PlaneOutputs outputs;
  std::vector<Word> members;  // (class, position), a bit each; empty if there is one class
};

// Whether a tap may lie outside and count nothing.
bool skips_taps(const ConvolutionShape& shape);

// Of the sum of one product or several, whose differing inputs are counted together. Nothing if there are
// more than kMostClasses.
std::optional<OutputClasses> output_classes(const ConvolutionShape& shape,
                                            const std::vector<const SignRows*>& products, const Cuts& cuts);

// The sum of one product or several where no input differs, which positions of the same place share: what
// padding 0 does not count.
struct SumBases {
  std::vector<float> sums;            // (place, filter), rows filled up to a multiple of kChainPadding
  std::vector<std::uint8_t> places;   // per output position; empty: place 0
  std::vector<std::int32_t> outside;  // per place: inputs of padding 0
};

std::optional<SumBases> sum_bases(const ConvolutionShape& shape,
                                  const std::vector<const SignRows*>& products);

// Where a tap of the window at an output position falls on the map, or -1 outside it.
std::ptrdiff_t input_position(const ConvolutionShape& shape, std::size_t position, std::size_t tap);

}  // namespace sb
