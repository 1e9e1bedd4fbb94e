#include "ops/lines.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"

namespace sb {
namespace {

constexpr std::size_t kLeastWidth = 16;                   // shorter lines leave the kernels remainders
constexpr std::size_t kMostBytes = std::size_t{1} << 28;  // of all places
constexpr double kMostSpare = 1.1;                        // places, of those that a copy would need

std::size_t bytes_of(Storage storage) {
  return storage == Storage::kBytes || storage == Storage::kSigned ? 1 : 4;
}

// A position takes this many bytes of the next one's at most.
std::size_t held(const ConvolutionShape& shape) {
  return std::min<std::size_t>(4, shape.window.stride_x * shape.in.channels);
}

}  // namespace

std::size_t PatchLines::spare_places(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  const std::size_t spare = bytes_of(shape.storage) == 1 ? w.kernel_x * shape.in.channels % kTogether : 0;
  return divide_up(w.kernel_y * spare, held(shape));
}

bool PatchLines::fits(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  if (shape.storage == Storage::kBits || shape.groups > 1 || w.taps() == 1) return false;
  if (w.out_width < kLeastWidth) return false;
  if (bytes_of(shape.storage) == 1) {
    if (w.dilation_x > 1) return false;
    const std::size_t places =
        w.kernel_y * (w.kernel_x * shape.in.channels / kTogether) + spare_places(shape);
    const auto needed = static_cast<double>(divide_up(shape.depth(), kTogether));
    if (static_cast<double>(places) > kMostSpare * needed) return false;
  }
  const std::size_t line =
      saturating_product({w.out_width * w.stride_x + w.kernel_x * w.dilation_x, shape.in.channels, 4});
  return saturating_product({line, 2, w.stride_y + w.kernel_y * w.dilation_y}) < kMostBytes;
}

PatchLines::PatchLines(const ConvolutionShape& shape)
    : shape_(shape), element_bytes_(bytes_of(shape.storage)), pixel_(shape.in.channels * element_bytes_) {
  const Window& w = shape.window;
  step_ = w.stride_x * pixel_;
  const std::size_t columns = (w.out_width - 1) * w.stride_x + (w.kernel_x - 1) * w.dilation_x + 1;
  line_bytes_ = round_up(columns * pixel_, kTogether);
  const std::size_t row = w.kernel_x * pixel_;
  spare_ = element_bytes_ == 1 ? row % kTogether : 0;
  spare_held_ = held(shape);
  spare_bytes_ = round_up(w.out_width * step_ + kTogether, kTogether);
  const std::size_t spares = spare_places(shape);
  pitch_ = spares * spare_bytes_ + w.stride_y * line_bytes_;
  picked_.assign(spare_held_ * spare_bytes_, 0);
  for (std::size_t i = 0; i < spare_held_; ++i)
    for (std::size_t x = 0; x < w.out_width; ++x) picked_[i * spare_bytes_ + x * step_ + i] = 0xff;
  const float real = static_cast<float>(shape.pad_value);
  fill_ = static_cast<std::uint32_t>(shape.pad_value);
  if (shape.storage == Storage::kFloats) std::memcpy(&fill_, &real, sizeof fill_);
  if (element_bytes_ == 1) fill_ = shape.storage == Storage::kSigned ? 0x80808080u : 0;
  for (std::size_t y = 0; y < w.kernel_y; ++y) {
    const std::size_t line = line_place(y * w.dilation_y);
    if (element_bytes_ == 1)
      for (std::size_t i = 0; i + kTogether <= row; i += kTogether)
        places_.push_back(static_cast<std::uint32_t>(line + i));
    else
      for (std::size_t i = 0; i < w.kernel_x * shape.in.channels; ++i)
        places_.push_back(static_cast<std::uint32_t>(line + i / shape.in.channels * w.dilation_x * pixel_ +
                                                     i % shape.in.channels * element_bytes_));
  }
  for (std::size_t i = 0; i < spares; ++i) places_.push_back(static_cast<std::uint32_t>(i * spare_bytes_));
}

std::size_t PatchLines::element(std::size_t index) const {
  if (element_bytes_ > 1) return index;
  const std::size_t row = shape_.window.kernel_x * pixel_, whole = row - spare_;
  const std::size_t y = index / row, i = index % row;
  if (i < whole) return y * whole + i;
  const std::size_t spare = y * spare_ + i - whole;
  return shape_.window.kernel_y * whole + spare / spare_held_ * kTogether + spare % spare_held_;
}

// Where input line number `line` begins, counted from the first under an output line.
std::size_t PatchLines::line_place(std::size_t line) const {
  const std::size_t down = shape_.window.stride_y;
  return line / down * pitch_ + pitch_ - (down - line % down) * line_bytes_;
}

std::size_t PatchLines::input_lines(std::size_t lines) const {
  const Window& w = shape_.window;
  return (lines - 1) * w.stride_y + (w.kernel_y - 1) * w.dilation_y + 1;
}

std::size_t PatchLines::scratch(std::size_t lines) const {
  return lines == 0 ? 0 : divide_up(input_lines(lines), shape_.window.stride_y) * pitch_ + kSlack;
}

void PatchLines::fill(std::byte* out, std::size_t bytes) const {
  for (std::size_t i = 0; i < bytes; i += sizeof fill_)
    std::memcpy(out + i, &fill_, std::min(bytes - i, sizeof fill_));
}

void PatchLines::copy_line(const std::byte* map, std::ptrdiff_t y, std::byte* out) const {
  if (y < 0 || y >= static_cast<std::ptrdiff_t>(shape_.in.height)) return fill(out, line_bytes_);
  const std::size_t before = std::min(shape_.window.left * pixel_, line_bytes_);
  const std::size_t row = shape_.in.width * pixel_, there = std::min(row, line_bytes_ - before);
  fill(out, before);
  std::memcpy(out + before, map + static_cast<std::size_t>(y) * row, there);
  fill(out + before + there, line_bytes_ - before - there);
}

void PatchLines::copy(const std::byte* map, std::size_t first, std::size_t lines, std::byte* out) const {
  const Window& w = shape_.window;
  const auto top = static_cast<std::ptrdiff_t>(first * w.stride_y) - static_cast<std::ptrdiff_t>(w.top);
  for (std::size_t i = 0; i < input_lines(lines); ++i)
    copy_line(map, top + static_cast<std::ptrdiff_t>(i), out + line_place(i));
  const std::size_t whole = w.kernel_x * pixel_ - spare_, used = (w.out_width - 1) * step_ + spare_held_;
  auto* bytes = reinterpret_cast<std::uint8_t*>(out);
  for (std::size_t y = 0; y < lines; ++y)
    for (std::size_t i = 0; i < w.kernel_y * spare_; ++i) {
      const std::size_t place = i % spare_held_;
      const std::uint8_t* from =
          bytes + y * pitch_ + line_place(i / spare_ * w.dilation_y) + whole + i % spare_ - place;
      const std::uint8_t* picked = picked_.data() + place * spare_bytes_;
      std::uint8_t* to = bytes + y * pitch_ + i / spare_held_ * spare_bytes_;
      if (place == 0) std::fill_n(to, used, std::uint8_t{0});
      for (std::size_t k = 0; k < used; ++k) to[k] |= from[k] & picked[k];
    }
}

}  // namespace sb
