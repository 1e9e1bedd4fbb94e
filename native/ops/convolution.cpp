#include "ops/convolution.h"

#include <algorithm>
#include <cstring>

#include "ops/lines.h"

namespace sb {
namespace {

std::size_t element_bytes(Storage storage) {
  return storage == Storage::kBytes || storage == Storage::kSigned ? 1 : 4;
}

std::size_t depth_units(const ConvolutionShape& shape) {
  return shape.storage == Storage::kBits ? words_for(shape.depth()) : shape.depth();
}

std::size_t patch_bytes(const ConvolutionShape& shape) {
  return depth_units(shape) * (shape.storage == Storage::kBits ? sizeof(Word) : element_bytes(shape.storage));
}

bool inside(std::ptrdiff_t place, std::size_t size) {
  return place >= 0 && place < static_cast<std::ptrdiff_t>(size);
}

// Walks over output rows: their sample, and the input row and column under the window's first tap.
class Cursor {
 public:
  Cursor(const Window& window, std::size_t row) : window_(window) {
    const std::size_t positions = window.out_height * window.out_width;
    sample_ = row / positions;
    y_ = row % positions / window.out_width;
    x_ = row % window.out_width;
  }

  std::size_t sample() const { return sample_; }
  std::ptrdiff_t y() const {
    return static_cast<std::ptrdiff_t>(y_ * window_.stride_y) - signed_size(window_.top);
  }
  std::ptrdiff_t x() const {
    return static_cast<std::ptrdiff_t>(x_ * window_.stride_x) - signed_size(window_.left);
  }

  void advance() {
    if (++x_ < window_.out_width) return;
    x_ = 0;
    if (++y_ < window_.out_height) return;
    y_ = 0;
    ++sample_;
  }

 private:
  static std::ptrdiff_t signed_size(std::size_t size) { return static_cast<std::ptrdiff_t>(size); }

  const Window& window_;
  std::size_t sample_, y_, x_;
};

// Copies whole blocks and so up to 31 bytes too many: what lies behind a patch is written after it, and every
// buffer has slack at its end.
void copy_run(std::byte* to, const std::byte* from, std::size_t bytes) {
  constexpr std::size_t kBlock = 32;
  for (std::size_t i = 0; i < bytes; i += kBlock) std::memcpy(to + i, from + i, kBlock);
}
static_assert(kSlack >= 32);

}  // namespace

bool patches_are_rows(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  if (shape.groups > 1 || w.top + w.left + w.bottom + w.right > 0) return false;
  if (w.taps() == 1) return w.stride_y == 1 && w.stride_x == 1;
  const bool whole = w.kernel_y == shape.in.height && w.kernel_x == shape.in.width;
  const bool spare =
      shape.storage == Storage::kBits && (shape.in.channels % kWordBits != 0 || shape.in.planes > 1);
  return whole && !spare && w.dilation_y == 1 && w.dilation_x == 1;
}

const Gemm& Convolution::select(const KernelTable& kernels, Storage storage) {
  switch (storage) {
    case Storage::kBits:
      return kernels.bits;
    case Storage::kBytes:
    case Storage::kSigned:
      return kernels.bytes;
    case Storage::kInts:
      return kernels.ints;
    case Storage::kFloats:
      break;
  }
  return kernels.float32;
}

std::size_t Convolution::packed_bytes(const KernelTable& kernels, const ConvolutionShape& shape) {
  const Gemm& gemm = select(kernels, shape.storage);
  const std::size_t widest =
      saturating_product({shape.group_filters() + gemm.columns, patch_bytes(shape) + 64, 4});
  if (widest > kMaxElements * 64) return widest;
  const std::size_t depth = PatchLines::fits(shape) ? PatchLines(shape).depth() : depth_units(shape);
  return saturating_product({shape.groups, gemm.packed_bytes(shape.group_filters(), depth)});
}

Convolution::Convolution(const KernelTable& kernels, const ConvolutionShape& shape, const Filters& filters,
                         const std::vector<float>& bias, const std::vector<int>& offsets)
    : gemm_(select(kernels, shape.storage)),
      shape_(shape),
      rows_are_patches_(patches_are_rows(shape)),
      lines_(!rows_are_patches_ && PatchLines::fits(shape) ? std::make_unique<PatchLines>(shape) : nullptr),
      positions_(shape.window.out_height * shape.window.out_width),
      depth_units_(lines_ == nullptr ? depth_units(shape) : lines_->depth()),
      patch_stride_(round_up(patch_bytes(shape), kAlignment)),
      group_bytes_(gemm_.packed_bytes(shape.group_filters(), depth_units_)),
      packed_(shape.groups * group_bytes_),
      start_(shape.filters, 0),
      bias_(bias) {
  if (shape.storage == Storage::kFloats) bias_.resize(shape.filters, 0.0f);
  const Window& w = shape.window;
  const bool padded = w.top + w.left + w.bottom + w.right > 0;
  if (padded) {
    if (shape.storage == Storage::kBytes || shape.storage == Storage::kSigned)
      border_factor_ = shape.pad_value;
    // Gathering puts zero bits where nothing is: +1, or +3 in two planes.
    if (shape.storage == Storage::kBits && shape.pad_value == 0)
      border_factor_ = shape.in.planes == 1 ? -1 : -3;
  }
  if (lines_ != nullptr) {
    places_ = lines_->places();
  } else if (shape.storage != Storage::kBits) {
    for (std::size_t place = 0; place < patch_bytes(shape); place += 4)
      places_.push_back(static_cast<std::uint32_t>(place));
  }
  pack(filters);
  if (!offsets.empty())
    add_offsets(filters, offsets, padded);
  else if (border_factor_ != 0)
    sum_taps(filters);
}

Convolution::~Convolution() = default;

const char* Convolution::kernel() const {
  switch (shape_.storage) {
    case Storage::kBits:
      return shape_.in.planes == 1 ? "popcount" : "popcount, two planes";
    case Storage::kBytes:
    case Storage::kSigned:
      return "int8";
    case Storage::kInts:
      return "int32";
    case Storage::kFloats:
      break;
  }
  return "float32";
}

std::size_t Convolution::patches_bytes(std::size_t rows) const {
  return rows_are_patches_ ? 0 : rows * patch_stride_ + kSlack;
}

std::size_t Convolution::scratch(std::size_t rows) const {
  if (lines_ != nullptr) return lines_->scratch(divide_up(rows, shape_.window.out_width));
  const bool two = shape_.storage == Storage::kBits && shape_.in.planes == 2;
  return patches_bytes(rows) + (two ? rows * shape_.filters * sizeof(std::int32_t) : 0);
}

void Convolution::run(const Call& call) const noexcept {
  const bool two = shape_.storage == Storage::kBits && shape_.in.planes == 2;
  std::byte* low = call.scratch + patches_bytes(call.rows);
  for (std::size_t g = 0; g < shape_.groups && lines_ == nullptr; ++g) {
    multiply(call, g, 0, call.output);
    if (two) multiply(call, g, 1, low);
  }
  if (lines_ != nullptr) multiply_lines(call);
  const std::size_t begin = std::min(call.filter_begin, shape_.filters),
                    end = std::min(call.filter_end, shape_.filters);
  if (two) {
    auto* sums = call.out<std::int32_t>();
    const auto* low_sums = reinterpret_cast<const std::int32_t*>(low);
    for (std::size_t r = 0; r < call.rows; ++r)
      for (std::size_t f = r * shape_.filters + begin; f < r * shape_.filters + end; ++f)
        sums[f] = 2 * sums[f] + low_sums[f];
  }
  if (border_factor_ != 0) correct_border(call);
}

// All but the rows, of which there are none yet, and where the sums go.
GemmCall Convolution::product(const Call& call, std::size_t group) const {
  const std::size_t filters = shape_.group_filters();
  const std::size_t begin = std::min(call.filter_begin, filters), end = std::min(call.filter_end, filters);
  GemmCall product = {};
  product.lines = 1;
  product.places = places_.data();
  product.packed = packed_.data() + group * group_bytes_ + gemm_.packed_bytes(begin, depth_units_);
  product.depth = depth_units_;
  product.filters = end - begin;
  const std::size_t first = group * filters + begin;
  product.start = bias_.empty() ? static_cast<const void*>(start_.data() + first) : bias_.data() + first;
  product.out_stride = shape_.filters;
  return product;
}

void Convolution::multiply(const Call& call, std::size_t group, int plane, std::byte* out) const {
  GemmCall product = this->product(call, group);
  if (product.filters == 0) return;
  product.rows = gather(call, group, plane);
  product.row_stride = patch_stride_;
  if (rows_are_patches_) product.row_stride = shape_.window.taps() * row_bytes(shape_.in, shape_.storage);
  product.count = call.rows;
  const std::size_t first = group * shape_.group_filters() + std::min(call.filter_begin, shape_.filters);
  product.out = out + first * sizeof(std::int32_t);
  gemm_.run(product);
}

// Whole lines of output, those of a sample together.
void Convolution::multiply_lines(const Call& call) const {
  const std::size_t width = shape_.window.out_width;
  GemmCall product = this->product(call, 0);
  if (product.filters == 0) return;
  product.rows = call.scratch;
  product.row_stride = lines_->row_stride();
  product.count = width;
  product.line_stride = lines_->line_stride();
  for (std::size_t done = 0; done < call.rows; done += product.lines * width) {
    const std::size_t sample = (call.first + done) / positions_, at = (call.first + done) % positions_;
    product.lines = std::min(call.rows - done, positions_ - at) / width;
    const std::byte* map = call.inputs[0] + sample * sample_bytes(shape_.in, shape_.storage);
    lines_->copy(map, at / width, product.lines, call.scratch);
    product.out = call.out<std::int32_t>() + done * shape_.filters + call.filter_begin;
    gemm_.run(product);
  }
}

const std::byte* Convolution::gather(const Call& call, std::size_t group, int plane) const {
  if (rows_are_patches_) {
    const std::size_t skipped =
        by_rows(0) ? 0 : call.first * shape_.window.taps() * row_bytes(shape_.in, shape_.storage);
    return call.inputs[0] + skipped + plane * words_for(shape_.in.channels) * sizeof(Word);
  }
  const std::size_t count = shape_.group_channels(), skip = group * count, row = shape_.in.channels;
  switch (shape_.storage) {
    case Storage::kBits:
      gather_bits(call, group, plane);
      break;
    case Storage::kBytes:
      gather_elements<std::uint8_t>(call, count, skip, row, 0);
      break;
    case Storage::kSigned:
      gather_elements<std::uint8_t>(call, count, skip, row, kSignedBias);
      break;
    case Storage::kInts:
      gather_elements<std::int32_t>(call, count, skip, row, shape_.pad_value);
      break;
    case Storage::kFloats:
      gather_elements<float>(call, count, skip, row, static_cast<float>(shape_.pad_value));
      break;
  }
  return call.scratch;
}

void Convolution::gather_bits(const Call& call, std::size_t group, int plane) const {
  const Window& w = shape_.window;
  const std::size_t channels = shape_.group_channels(), words = words_for(shape_.in.channels);
  const std::size_t row_words = shape_.in.planes * words, first_bit = group * channels;
  // -1 is a one; in two planes +1 is (0, 1) and -1 is (1, 0).
  const bool fill = shape_.in.planes == 1 ? shape_.pad_value < 0 : shape_.pad_value == (plane == 0 ? -1 : 1);
  if (channels % kWordBits == 0) {
    const Word fill_word = fill ? ~Word{0} : Word{0};
    return gather_elements<Word>(call, channels / kWordBits, first_bit / kWordBits + plane * words, row_words,
                                 fill_word);
  }
  Cursor cursor(w, call.first);
  for (std::size_t r = 0; r < call.rows; ++r, cursor.advance()) {
    const Word* map = call.in<Word>(0) + cursor.sample() * shape_.in.positions() * row_words + plane * words;
    BitWriter writer(reinterpret_cast<Word*>(call.scratch + r * patch_stride_));
    for (std::size_t ky = 0; ky < w.kernel_y; ++ky) {
      const std::ptrdiff_t y = cursor.y() + static_cast<std::ptrdiff_t>(ky * w.dilation_y);
      for (std::size_t kx = 0; kx < w.kernel_x; ++kx) {
        const std::ptrdiff_t x = cursor.x() + static_cast<std::ptrdiff_t>(kx * w.dilation_x);
        if (inside(y, shape_.in.height) && inside(x, shape_.in.width))
          writer.copy(map + (y * shape_.in.width + x) * row_words, first_bit, channels);
        else
          writer.fill(fill, channels);
      }
    }
    writer.flush();
  }
}

template <class T>
void Convolution::gather_elements(const Call& call, std::size_t count, std::size_t skip, std::size_t row,
                                  T fill) const {
  const Window& w = shape_.window;
  // Neighbouring columns lie behind one another when the window takes them all.
  const bool runs = w.dilation_x == 1 && count == row;
  const std::size_t bytes = count * sizeof(T);
  Cursor cursor(w, call.first);
  for (std::size_t r = 0; r < call.rows; ++r, cursor.advance()) {
    const T* map = call.in<T>(0) + cursor.sample() * shape_.in.positions() * row + skip;
    std::byte* patch = call.scratch + r * patch_stride_;
    const std::ptrdiff_t x0 = cursor.x();
    const bool whole_row = runs && x0 >= 0 && x0 + w.kernel_x <= shape_.in.width;
    for (std::size_t ky = 0; ky < w.kernel_y; ++ky) {
      const std::ptrdiff_t y = cursor.y() + static_cast<std::ptrdiff_t>(ky * w.dilation_y);
      const bool row_there = inside(y, shape_.in.height);
      if (whole_row && row_there) {
        const T* from = map + (y * shape_.in.width + x0) * row;
        copy_run(patch, reinterpret_cast<const std::byte*>(from), w.kernel_x * bytes);
        patch += w.kernel_x * bytes;
        continue;
      }
      for (std::size_t kx = 0; kx < w.kernel_x; ++kx, patch += bytes) {
        const std::ptrdiff_t x = x0 + static_cast<std::ptrdiff_t>(kx * w.dilation_x);
        if (row_there && inside(x, shape_.in.width))
          copy_run(patch, reinterpret_cast<const std::byte*>(map + (y * shape_.in.width + x) * row), bytes);
        else
          std::fill_n(reinterpret_cast<T*>(patch), count, fill);
      }
    }
  }
}

void Convolution::correct_border(const Call& call) const {
  const Window& w = shape_.window;
  const std::size_t begin = std::min(call.filter_begin, shape_.filters),
                    end = std::min(call.filter_end, shape_.filters);
  Cursor cursor(w, call.first);
  for (std::size_t r = 0; r < call.rows; ++r, cursor.advance()) {
    const std::ptrdiff_t y0 = cursor.y(), x0 = cursor.x();
    const auto y_end = y0 + static_cast<std::ptrdiff_t>((w.kernel_y - 1) * w.dilation_y);
    const auto x_end = x0 + static_cast<std::ptrdiff_t>((w.kernel_x - 1) * w.dilation_x);
    if (inside(y0, shape_.in.height) && inside(x0, shape_.in.width) && inside(y_end, shape_.in.height) &&
        inside(x_end, shape_.in.width))
      continue;
    std::int32_t* sums = call.out<std::int32_t>() + r * shape_.filters;
    for (std::size_t t = 0; t < w.taps(); ++t) {
      const auto y = y0 + static_cast<std::ptrdiff_t>(t / w.kernel_x * w.dilation_y);
      const auto x = x0 + static_cast<std::ptrdiff_t>(t % w.kernel_x * w.dilation_x);
      if (inside(y, shape_.in.height) && inside(x, shape_.in.width)) continue;
      const std::int32_t* taps = tap_sums_.data() + t * shape_.filters;
      for (std::size_t f = begin; f < end; ++f) sums[f] += border_factor_ * taps[f];
    }
  }
}

}  // namespace sb
