// Where the windows of a pool lie, and what a plan may know of one.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/bits.h"
#include "ops/node.h"
#include "ops/operator.h"

namespace sb {

// Where a window meets the map: `count` taps of one axis, the first at input `place`.
struct Span {
  std::size_t place, count;
};

inline Span span(std::size_t index, std::size_t size, std::size_t kernel, std::size_t stride,
                 std::size_t padding, std::size_t dilation) {
  const std::size_t start = index * stride;  // in padded coordinates
  const std::size_t first = start >= padding ? 0 : divide_up(padding - start, dilation);
  const std::size_t place = start + first * dilation - padding;
  if (first >= kernel || place >= size) return {0, 0};
  return {place, std::min(kernel - first, divide_up(size - place, dilation))};
}

inline Span rows_of(const Window& w, std::size_t height, std::size_t y) {
  return span(y, height, w.kernel_y, w.stride_y, w.top, w.dilation_y);
}

inline Span columns_of(const Window& w, std::size_t width, std::size_t x) {
  return span(x, width, w.kernel_x, w.stride_x, w.left, w.dilation_x);
}

// The window, if the operator gives the largest real value under it; else null.
const Window* real_maximum(const Operator* op);

}  // namespace sb
