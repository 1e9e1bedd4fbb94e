// Patches of a real or 8-bit convolution, read from lines of the map instead of being copied out one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/convolution.h"

namespace sb {

// The lines under the windows of some output lines lie behind one another, padded. A patch of four-byte
// elements is found there by constant places. Of bytes, four neighbours of a kernel row make a place; what is
// left of every kernel row after whole fours is gathered for each position, so that little more is multiplied
// than there is.
class PatchLines {
 public:
  // Whether the patches can be found so, and it pays.
  static bool fits(const ConvolutionShape& shape);
  explicit PatchLines(const ConvolutionShape& shape);

  std::size_t depth() const { return places_.size() * kTogether / element_bytes_; }
  // The element of a packed filter that holds its weight number `index`; the rest is 0.
  std::size_t element(std::size_t index) const;
  const std::vector<std::uint32_t>& places() const { return places_; }
  std::size_t row_stride() const { return step_; }
  std::size_t line_stride() const { return pitch_; }
  std::size_t scratch(std::size_t lines) const;
  // Prepares output lines [first, first + lines) of one sample.
  void copy(const std::byte* map, std::size_t first, std::size_t lines, std::byte* out) const;

 private:
  static constexpr std::size_t kTogether = 4;
  static std::size_t spare_places(const ConvolutionShape& shape);

  std::size_t input_lines(std::size_t lines) const;
  std::size_t line_place(std::size_t line) const;
  void copy_line(const std::byte* map, std::ptrdiff_t y, std::byte* out) const;
  void fill(std::byte* out, std::size_t bytes) const;

  ConvolutionShape shape_;
  std::size_t element_bytes_;
  std::size_t pixel_;        // bytes of a position
  std::size_t step_;         // from one output position to the next
  std::size_t line_bytes_;   // of a padded line
  std::size_t spare_;        // bytes of a kernel row after whole fours
  std::size_t spare_held_;   // how many of them a place holds
  std::size_t spare_bytes_;  // of the places of an output line, all of one kind
  std::size_t pitch_;        // of an output line: its spare places, then the lines that it moves down by
  std::uint32_t fill_;       // of a four-byte element, or four times that of a byte
  std::vector<std::uint32_t> places_;
  std::vector<std::uint8_t>
      picked_;  // (byte of a place, bytes of a line): all ones in the byte of every position
};

}  // namespace sb
