#include "ops/bitplane_outputs.h"

#include <algorithm>
#include <functional>
#include <map>

namespace sb {
namespace {

std::ptrdiff_t place(std::size_t index, std::size_t stride, std::size_t tap, std::size_t dilation,
                     std::size_t padding) {
  return static_cast<std::ptrdiff_t>(index * stride + tap * dilation) - static_cast<std::ptrdiff_t>(padding);
}

bool inside(std::ptrdiff_t at, std::size_t size) { return at >= 0 && at < static_cast<std::ptrdiff_t>(size); }

std::int64_t floor_half(std::int64_t x) { return x >= 0 ? x / 2 : -((1 - x) / 2); }

using Positions = std::vector<std::size_t>;

std::vector<Positions> find_classes(const ConvolutionShape& shape, const std::vector<std::uint8_t>& border,
                                    std::size_t taps) {
  const std::size_t positions = shape.window.out_height * shape.window.out_width;
  std::map<std::vector<bool>, Positions> found;
  for (std::size_t p = 0; p < positions && found.size() <= kMostClasses; ++p) {
    std::vector<bool> key;
    for (std::size_t t = 0; t < taps; ++t) key.push_back(input_position(shape, p, t) < 0);
    for (int bit = 0; !border.empty() && bit < 8; ++bit) key.push_back((border[p] >> bit & 1) != 0);
    found[key].push_back(p);
  }
  std::vector<Positions> classes;
  for (auto& [key, members] : found) classes.push_back(std::move(members));
  std::stable_sort(classes.begin(), classes.end(), [](auto& a, auto& b) { return a.size() > b.size(); });
  return classes;
}

// What each tap of a filter adds up to: (filter, tap).
std::vector<std::int64_t> tap_sums(const ConvolutionShape& shape, const SignRows& signs) {
  const std::size_t channels = shape.in.channels, taps = shape.window.taps();
  std::vector<std::int64_t> sums;
  for (std::size_t f = 0; f < shape.filters; ++f)
    for (std::size_t t = 0; t < taps; ++t)
      sums.push_back(static_cast<std::int64_t>(channels) -
                     2 * static_cast<std::int64_t>(signs.ones(f, t * channels, channels)));
  return sums;
}

// Of all products together; nothing where no tap is left out.
std::vector<std::int64_t> all_tap_sums(const ConvolutionShape& shape,
                                       const std::vector<const SignRows*>& products) {
  if (!skips_taps(shape)) return {};
  std::vector<std::int64_t> sums(shape.filters * shape.window.taps(), 0);
  for (const SignRows* signs : products)
    std::ranges::transform(sums, tap_sums(shape, *signs), sums.begin(), std::plus());
  return sums;
}

}  // namespace

bool skips_taps(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  return shape.pad_value == 0 && w.top + w.left + w.bottom + w.right > 0;
}

std::optional<SumBases> sum_bases(const ConvolutionShape& shape,
                                  const std::vector<const SignRows*>& products) {
  const Window& w = shape.window;
  const std::size_t width = round_up(shape.filters, kChainPadding);
  const bool zeros = skips_taps(shape);
  std::vector<Positions> classes = {{0}};
  if (zeros) classes = find_classes(shape, {}, w.taps());
  if (classes.size() > kMostClasses) return {};
  const std::vector<std::int64_t> sums = all_tap_sums(shape, products);
  SumBases result;
  if (classes.size() > 1) result.places.assign(w.out_height * w.out_width, 0);
  result.sums.assign(classes.size() * width, 0);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    std::vector<std::size_t> outside;
    for (std::size_t t = 0; zeros && t < w.taps(); ++t)
      if (input_position(shape, classes[c].front(), t) < 0) outside.push_back(t);
    result.outside.push_back(static_cast<std::int32_t>(outside.size() * shape.in.channels));
    for (std::size_t f = 0; f < shape.filters; ++f) {
      auto sum = static_cast<std::int64_t>(products.size() * shape.depth());
      for (std::size_t t : outside) sum -= sums[f * w.taps() + t];
      result.sums[c * width + f] = static_cast<float>(sum);
    }
    if (classes.size() > 1)
      for (std::size_t p : classes[c]) result.places[p] = static_cast<std::uint8_t>(c);
  }
  return result;
}

std::ptrdiff_t input_position(const ConvolutionShape& shape, std::size_t position, std::size_t tap) {
  const Window& w = shape.window;
  const std::ptrdiff_t y = place(position / w.out_width, w.stride_y, tap / w.kernel_x, w.dilation_y, w.top);
  const std::ptrdiff_t x = place(position % w.out_width, w.stride_x, tap % w.kernel_x, w.dilation_x, w.left);
  if (!inside(y, shape.in.height) || !inside(x, shape.in.width)) return -1;
  return y * static_cast<std::ptrdiff_t>(shape.in.width) + x;
}

std::optional<OutputClasses> output_classes(const ConvolutionShape& shape,
                                            const std::vector<const SignRows*>& products, const Cuts& cuts) {
  const Window& w = shape.window;
  const bool zeros = skips_taps(shape);
  const std::size_t taps = zeros ? w.taps() : 0;
  std::vector<Positions> classes = {{0}};
  if (zeros || !cuts.border.empty()) classes = find_classes(shape, cuts.border, taps);
  if (classes.size() > kMostClasses) return {};

  const auto depth = static_cast<std::int64_t>(products.size() * shape.depth());
  const std::vector<std::int64_t> sums = all_tap_sums(shape, products);
  OutputClasses result;
  result.outputs.classes = classes.size();
  result.outputs.inverted = cuts.inverted;
  const std::size_t row_words = words_for(w.out_height * w.out_width);
  if (classes.size() > 1) result.members.assign(classes.size() * row_words, 0);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const std::size_t position = classes[c].front();
    const std::size_t row = cuts.border.empty() ? 0 : cuts.border[position];
    for (std::size_t f = 0; f < shape.filters; ++f) {
      // sum = depth - 2 differing - what the taps outside count although their padding is 0.
      std::int64_t counted = 0;
      for (std::size_t t = 0; t < taps; ++t)
        if (input_position(shape, position, t) < 0) counted += sums[f * taps + t];
      // sum > cut is not (sum < cut + 1).
      const std::int64_t cut = cuts.cuts[row * shape.filters + f] + cuts.inverted[f];
      result.outputs.least.push_back(
          std::clamp<std::int64_t>(floor_half(depth - counted - cut) + 1, 0, depth + 1));
    }
    if (classes.size() > 1)
      for (std::size_t p : classes[c]) set_bit(result.members.data() + c * row_words, p, true);
  }
  return result;
}

}  // namespace sb
