#include "ops/plane_inputs.h"

#include <algorithm>
#include <bit>

#include "base/memory.h"
#include "ops/bitplane_outputs.h"
#include "ops/sparse_filters.h"

namespace sb {
namespace {

constexpr std::ptrdiff_t kMostShift = 4096;  // farther taps are too much to transpose for a tile

bool is_shift(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  return w.stride_y == 1 && w.stride_x == 1 && w.out_height == shape.in.height &&
         w.out_width == shape.in.width;
}

std::ptrdiff_t shift_of(const ConvolutionShape& shape, std::size_t tap) {
  const Window& w = shape.window;
  const auto from_left = static_cast<std::ptrdiff_t>(tap % w.kernel_x * w.dilation_x +
                                                     tap / w.kernel_x * w.dilation_y * shape.in.width);
  return from_left - static_cast<std::ptrdiff_t>(w.left + w.top * shape.in.width);
}

// The positions of a line, of as many inputs, whose tap lies on it.
struct Reach {
  std::size_t begin, end;
  Reach(std::size_t tap, std::size_t padding, std::size_t size)
      : begin(std::min(size, padding - std::min(padding, tap))),
        end(std::max(begin, size - std::min(size, tap - std::min(padding, tap)))) {}
};

void set_bits(Word* row, std::size_t begin, std::size_t end) {
  while (begin < end) {
    const std::size_t place = begin % kWordBits, count = std::min(kWordBits - place, end - begin);
    row[begin / kWordBits] |= low_bits(count) << place;
    begin += count;
  }
}

}  // namespace

PlaneInputs::PlaneInputs(const KernelTable& kernels, const ConvolutionShape& shape)
    : planes_(kernels.planes),
      table_(sparse_table(kernels)),
      shape_(shape),
      positions_(shape.window.out_height * shape.window.out_width),
      words_(words_for(shape.in.channels)),
      depth_(shape.depth()) {
  const std::ptrdiff_t nearest = shift_of(shape, 0), farthest = shift_of(shape, shape.window.taps() - 1);
  shifts_ = is_shift(shape) && farthest - nearest <= kMostShift;
  if (shifts_) nearest_ = nearest, farthest_ = farthest;
}

void PlaneInputs::find_valid_taps() {
  if (!shifts_) return;
  const std::size_t taps = shape_.window.taps(), row = words_for(positions_);
  valid_.assign(taps * row, 0);
  offsets_.clear();
  const Window& w = shape_.window;
  for (std::size_t t = 0; t < taps; ++t) {
    offsets_.push_back(static_cast<std::uint64_t>(shift_of(shape_, t) - nearest_));
    const Reach down(t / w.kernel_x * w.dilation_y, w.top, shape_.in.height);
    const Reach right(t % w.kernel_x * w.dilation_x, w.left, shape_.in.width);
    for (std::size_t y = down.begin; y < down.end; ++y)
      set_bits(valid_.data() + t * row, y * w.out_width + right.begin, y * w.out_width + right.end);
  }
}

std::size_t PlaneInputs::source_words(const PlaneWidth& width) const {
  return static_cast<std::size_t>(farthest_ - nearest_) / kWordBits + width.lanes / kWordBits + 1;
}

std::size_t PlaneInputs::total_stride(const PlaneWidth& width) const {
  return round_up(source_words(width), width.lanes / kWordBits);
}

std::size_t PlaneInputs::plane_words(const PlaneWidth& width) const {
  return (depth_ + 1) * (width.lanes / kWordBits);
}

// Summing reads registers past the last source.
std::size_t PlaneInputs::other_words(const PlaneWidth& width) const {
  const std::size_t lane_words = width.lanes / kWordBits;
  return (shape_.window.taps() + 1) * lane_words + (shifts_ ? words_ * kWordBits * source_words(width) : 0);
}

PlaneTile PlaneInputs::tile(const PlaneWidth& width, const Call& call, std::size_t done, std::size_t rows,
                            Word* planes, Word* others) const {
  const std::size_t lane_words = width.lanes / kWordBits;
  Word* sources = others + shape_.window.taps() * lane_words;
  return {width, call, done, rows, lane_words, source_words(width), planes, sources, others};
}

void PlaneInputs::make(const PlaneTile& tile) const {
  shifts_ ? shift(tile) : gather(tile);
  std::fill_n(tile.planes + depth_ * tile.lane_words, tile.lane_words, Word{0});
}

void PlaneInputs::make_narrow(const PlaneTile& tile, const BesideKernels& kernels, std::uint16_t* out,
                              std::size_t stride) const {
  const std::size_t parts = divide_up(tile.rows, kBesideLanes);
  if (!narrows_map()) {
    make(tile);
    for (std::size_t part = 0; part < parts; ++part)
      kernels.narrow({tile.planes, depth_, part, out + part * stride});
    return;
  }
  find_sources(tile);
  NarrowTapsCall call;
  call.sources = tile.sources;
  call.channels = shape_.in.channels;
  call.taps = shape_.window.taps();
  call.offsets = offsets_.data();
  call.valid = tile.valid;
  call.fill = shape_.pad_value < 0 ? ~Word{0} : 0;
  call.parts = parts;
  call.work = reinterpret_cast<std::uint16_t*>(tile.planes);
  call.out = out;
  call.out_stride = stride;
  kernels.narrow_taps(call);
}

// A sum over the channels moves to the taps as an input does.
void PlaneInputs::sum(const PlaneTile& tile, std::size_t bits, Word* out, Word* work) const {
  const std::size_t channels = shape_.in.channels, words = tile.lane_words;
  if (!shifts_) {
    kernels(tile.width).sum_rows({tile.planes, words, depth_, words, bits, out, words});
    return;
  }
  const std::size_t stride = total_stride(tile.width),
                    few = static_cast<std::size_t>(std::bit_width(channels));
  kernels(tile.width)
      .sum_rows({tile.sources, tile.source_words, channels, tile.source_words, few, work, stride});
  std::fill_n(out, bits * words, Word{0});
  for (std::size_t t = 0; t < shape_.window.taps(); ++t) {
    TapCall tap;
    tap.source = work;
    tap.source_stride = stride;
    tap.bits = few;
    tap.offset = static_cast<std::size_t>(shift_of(shape_, t) - nearest_);
    tap.valid = tile.valid + t * words;
    tap.fill = shape_.pad_value < 0 ? static_cast<std::uint32_t>(channels) : 0;
    tap.out = out;
    tap.out_bits = bits;
    kernels(tile.width).add_tap(tap);
  }
}

double PlaneInputs::sum_cost(const PlaneWidth& width, std::size_t bits) const {
  const auto plane = static_cast<double>(width.plane_cost);
  if (!shifts_) return plane * static_cast<double>(depth_);
  const std::size_t registers = total_stride(width) / (width.lanes / kWordBits);
  return plane * static_cast<double>(shape_.in.channels * registers + 4 * shape_.window.taps() * bits);
}

void PlaneInputs::copy_lanes(const PlaneTile& tile, const Word* row, Word* out) const {
  std::size_t lanes = tile.width.lanes;
  const std::size_t first = tile.first() % positions_;
  if (first % kWordBits == 0 && first + lanes <= positions_) {
    std::copy_n(row + first / kWordBits, tile.lane_words, out);
    return;
  }
  BitWriter writer(out);
  for (std::size_t p = first; lanes > 0; p = 0) {
    const std::size_t count = std::min(lanes, positions_ - p);
    writer.copy(row, p, count);
    lanes -= count;
  }
}

void PlaneInputs::find_sources(const PlaneTile& tile) const {
  const std::size_t taps = shape_.window.taps();
  const std::size_t last = tile.first() + tile.rows - 1;
  // Rows of the samples that the tile lies in; what is asked for outside them is not valid.
  const auto begin = static_cast<std::ptrdiff_t>(tile.first() / positions_ * positions_);
  const auto end = static_cast<std::ptrdiff_t>((last / positions_ + 1) * positions_);
  const Word* rows = tile.call.in<Word>(0);
  for (std::size_t b = 0; b < tile.source_words; ++b) {
    const std::ptrdiff_t from = static_cast<std::ptrdiff_t>(tile.first() + b * kWordBits) + nearest_;
    const std::ptrdiff_t to = from + static_cast<std::ptrdiff_t>(kWordBits);
    for (std::size_t w = 0; w < words_; ++w) {
      Word* out = tile.sources + w * kWordBits * tile.source_words + b;
      if (from >= begin && to <= end) {
        planes_.transpose(rows + from * static_cast<std::ptrdiff_t>(words_) + w, words_, out,
                          tile.source_words);
        continue;
      }
      if (to <= begin || from >= end) {
        for (std::size_t i = 0; i < kWordBits; ++i) out[i * tile.source_words] = 0;
        continue;
      }
      Word block[kWordBits] = {};
      for (std::ptrdiff_t i = std::max(from, begin); i < std::min(to, end); ++i)
        block[i - from] = rows[i * static_cast<std::ptrdiff_t>(words_) + static_cast<std::ptrdiff_t>(w)];
      planes_.transpose(block, 1, out, tile.source_words);
    }
  }
  for (std::size_t t = 0; t < taps; ++t)
    copy_lanes(tile, valid_.data() + t * words_for(positions_), tile.valid + t * tile.lane_words);
}

void PlaneInputs::shift(const PlaneTile& tile) const {
  find_sources(tile);
  const Window& window = shape_.window;
  const std::size_t channels = shape_.in.channels, taps = window.taps();
  for (std::size_t t = 0; t < taps; t += window.kernel_x) {
    ShiftCall shift;
    shift.source = tile.sources;
    shift.source_stride = tile.source_words;
    shift.channels = channels;
    shift.taps = window.kernel_x;
    shift.offset = static_cast<std::size_t>(shift_of(shape_, t) - nearest_);
    shift.step = window.dilation_x;
    shift.valid = tile.valid + t * tile.lane_words;
    shift.fill = shape_.pad_value < 0 ? ~Word{0} : 0;
    shift.out = tile.planes + t * channels * tile.lane_words;
    kernels(tile.width).shift(shift);
  }
}

void PlaneInputs::gather(const PlaneTile& tile) const {
  const Window& window = shape_.window;
  const std::size_t channels = shape_.in.channels;
  const auto width = static_cast<std::ptrdiff_t>(shape_.in.width);
  const auto height = static_cast<std::ptrdiff_t>(shape_.in.height);
  const Word fill = shape_.pad_value < 0 ? ~Word{0} : 0;
  const Word *samples[kWordBits], *rows[kWordBits];
  std::ptrdiff_t tops[kWordBits], lefts[kWordBits];
  for (std::size_t b = 0; b < tile.lane_words; ++b) {
    const std::size_t first = std::min(tile.rows, b * kWordBits);
    const std::size_t lanes = std::min(kWordBits, tile.rows - first);
    for (std::size_t i = 0; i < lanes; ++i) {
      const std::size_t row = tile.first() + first + i, position = row % positions_;
      samples[i] = tile.call.in<Word>(0) + row / positions_ * shape_.in.positions() * words_;
      tops[i] = static_cast<std::ptrdiff_t>(position / window.out_width * window.stride_y) -
                static_cast<std::ptrdiff_t>(window.top);
      lefts[i] = static_cast<std::ptrdiff_t>(position % window.out_width * window.stride_x) -
                 static_cast<std::ptrdiff_t>(window.left);
    }
    for (std::size_t t = 0; t < window.taps(); ++t) {
      const auto down = static_cast<std::ptrdiff_t>(t / window.kernel_x * window.dilation_y);
      const auto right = static_cast<std::ptrdiff_t>(t % window.kernel_x * window.dilation_x);
      for (std::size_t i = 0; i < lanes; ++i) {
        const std::ptrdiff_t y = tops[i] + down, x = lefts[i] + right;
        const bool there = y >= 0 && y < height && x >= 0 && x < width;
        rows[i] = there ? samples[i] + (y * width + x) * static_cast<std::ptrdiff_t>(words_) : nullptr;
      }
      for (std::size_t w = 0; w < words_; ++w) {
        Word block[kWordBits] = {}, turned[kWordBits];
        for (std::size_t i = 0; i < lanes; ++i) block[i] = rows[i] == nullptr ? fill : rows[i][w];
        Word* out = tile.planes + (t * channels + w * kWordBits) * tile.lane_words + b;
        const std::size_t count = std::min(kWordBits, channels - w * kWordBits);
        if (count == kWordBits) {
          planes_.transpose(block, 1, out, tile.lane_words);
          continue;
        }
        planes_.transpose(block, 1, turned, 1);
        for (std::size_t c = 0; c < count; ++c) out[c * tile.lane_words] = turned[c];
      }
    }
  }
}

}  // namespace sb
