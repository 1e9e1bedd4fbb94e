#include "ops/depthwise.h"

#include <algorithm>

namespace sb {
namespace {

constexpr std::size_t kMostTaps = 64;
constexpr std::size_t kSpare = 16;  // kernels load whole registers of weights

}  // namespace

bool Depthwise::fits(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  const bool padded = w.top + w.left + w.bottom + w.right > 0;
  const bool known = shape.storage != Storage::kBits && shape.storage != Storage::kInts;
  return known && shape.groups > 1 && shape.groups == shape.in.channels && shape.filters == shape.groups &&
         w.taps() <= kMostTaps && (!padded || shape.pad_value == 0);
}

Depthwise::Depthwise(const KernelTable& kernels, const ConvolutionShape& shape, const Filters& filters,
                     const std::vector<float>& bias)
    : kernels_(kernels), shape_(shape), start_(bias) {
  const std::size_t taps = shape.window.taps(), channels = shape.filters;
  const auto turn = [&](auto& out, auto at) {
    out.assign(taps * channels + kSpare, 0);
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t t = 0; t < taps; ++t)
        out[t * channels + c] = static_cast<typename std::decay_t<decltype(out)>::value_type>(at(c, t));
  };
  const auto weight = [&](std::size_t c, std::size_t t) {
    return filters.signs.empty() ? static_cast<int>(filters.bytes[c * taps + t]) : filters.signs.sign(c, t);
  };
  if (shape.storage != Storage::kFloats)
    turn(bytes_, weight);
  else if (filters.floats.empty())
    turn(floats_, weight);
  else
    turn(floats_, [&](std::size_t c, std::size_t t) { return filters.floats[c * taps + t]; });
  start_.resize(channels + kSpare, 0.0f);
}

std::size_t Depthwise::scratch(std::size_t) const { return 2 * kMostTaps * sizeof(void*); }

void Depthwise::run(const Call& call) const noexcept {
  const std::size_t n = shape_.filters;
  if (shape_.storage == Storage::kFloats)
    return each_row<float>(call, floats_, [&](auto rows, auto weights, std::size_t count, std::size_t r) {
      kernels_.rows.multiply(rows, weights, count, start_.data(), n, call.out<float>() + r * n);
    });
  const std::int32_t bias = shape_.storage == Storage::kSigned ? kSignedBias : 0;
  each_row<std::uint8_t>(call, bytes_, [&](auto rows, auto weights, std::size_t count, std::size_t r) {
    kernels_.rows.multiply_bytes(rows, weights, count, bias, n, call.out<std::int32_t>() + r * n);
  });
}

// Calls multiply(inputs, weights, count, r) with the taps of every row that lie on the map.
template <class T, class W, class Multiply>
void Depthwise::each_row(const Call& call, const std::vector<W>& weights, Multiply multiply) const {
  const Window& w = shape_.window;
  const std::size_t channels = shape_.filters, positions = w.out_height * w.out_width;
  const auto** rows = reinterpret_cast<const T**>(call.scratch);
  const auto** factors = reinterpret_cast<const W**>(rows + kMostTaps);
  for (std::size_t r = 0; r < call.rows; ++r) {
    const std::size_t at = (call.first + r) % positions, y0 = at / w.out_width * w.stride_y,
                      x0 = at % w.out_width * w.stride_x;
    const T* map = call.in<T>(0) + (call.first + r) / positions * shape_.in.elements();
    std::size_t count = 0;
    for (std::size_t ky = 0; ky < w.kernel_y; ++ky) {
      const std::size_t y = y0 + ky * w.dilation_y - w.top;  // wraps round above the map
      if (y >= shape_.in.height) continue;
      for (std::size_t kx = 0; kx < w.kernel_x; ++kx) {
        const std::size_t x = x0 + kx * w.dilation_x - w.left;
        if (x >= shape_.in.width) continue;
        rows[count] = map + (y * shape_.in.width + x) * channels;
        factors[count++] = weights.data() + (ky * w.kernel_x + kx) * channels;
      }
    }
    multiply(rows, factors, count, r);
  }
}

}  // namespace sb
