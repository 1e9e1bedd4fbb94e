#include "ops/convolution.h"

#include <algorithm>
#include <cstring>

namespace sb {
namespace {

constexpr std::uint8_t kSignedBias = 128;

std::size_t element_bytes(Storage storage) {
  return storage == Storage::kBytes || storage == Storage::kSigned ? 1 : 4;
}

std::size_t depth_units(const ConvolutionShape& shape) {
  return shape.storage == Storage::kBits ? words_for(shape.depth()) : shape.depth();
}

std::size_t patch_bytes(const ConvolutionShape& shape) {
  return depth_units(shape) * (shape.storage == Storage::kBits ? sizeof(Word) : element_bytes(shape.storage));
}

// The bytes of a patch already lie behind one another in the input: one position each, or a whole map.
bool patches_are_rows(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  if (shape.groups > 1 || w.top + w.left + w.bottom + w.right > 0) return false;
  if (w.taps() == 1) return w.stride_y == 1 && w.stride_x == 1;
  const bool whole = w.kernel_y == shape.in.height && w.kernel_x == shape.in.width;
  const bool spare =
      shape.storage == Storage::kBits && (shape.in.channels % kWordBits != 0 || shape.in.planes > 1);
  return whole && !spare && w.dilation_y == 1 && w.dilation_x == 1;
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
  return saturating_product({shape.groups, gemm.packed_bytes(shape.group_filters(), depth_units(shape))});
}

Convolution::Convolution(const KernelTable& kernels, const ConvolutionShape& shape, const Filters& filters,
                         const std::vector<float>& bias, const std::vector<int>& offsets)
    : gemm_(select(kernels, shape.storage)),
      shape_(shape),
      positions_(shape.window.out_height * shape.window.out_width),
      depth_units_(depth_units(shape)),
      patch_stride_(round_up(patch_bytes(shape), kAlignment)),
      group_bytes_(gemm_.packed_bytes(shape.group_filters(), depth_units_)),
      rows_are_patches_(patches_are_rows(shape)),
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
  pack(filters);
  if (!offsets.empty())
    add_offsets(filters, offsets, padded);
  else if (border_factor_ != 0)
    sum_taps(filters);
}

// Every tap adds the offset of its channel; outside the map the padding takes its place.
void Convolution::add_offsets(const Filters& filters, const std::vector<int>& offsets, bool padded) {
  const std::size_t taps = shape_.window.taps(), channels = shape_.group_channels();
  tap_sums_.assign(taps * shape_.filters, 0);
  border_factor_ = padded ? 1 : 0;
  for (std::size_t f = 0; f < shape_.filters; ++f) {
    const std::size_t first = f / shape_.group_filters() * channels;
    for (std::size_t t = 0; t < taps; ++t)
      for (std::size_t c = 0; c < channels; ++c) {
        const int sign = 1 - 2 * filters.signs[(f * taps + t) * channels + c], offset = offsets[first + c];
        start_[f] += sign * offset;
        tap_sums_[t * shape_.filters + f] += sign * (shape_.pad_value - offset);
      }
  }
}

int Convolution::weight(const Filters& filters, std::size_t index) const {
  return filters.bytes.empty() ? 1 - 2 * filters.signs[index] : filters.bytes[index];
}

void Convolution::pack(const Filters& filters) {
  const std::size_t depth = shape_.depth(), rows = shape_.group_filters();
  std::vector<Word> words;
  std::vector<std::int8_t> bytes;
  std::vector<float> floats;
  for (std::size_t g = 0; g < shape_.groups; ++g) {
    const std::size_t begin = g * rows * depth, count = rows * depth;
    const void* canonical = nullptr;
    if (shape_.storage == Storage::kBits) {
      words.assign(rows * depth_units_, 0);
      for (std::size_t f = 0; f < rows; ++f)
        for (std::size_t w = 0; w < depth_units_; ++w)
          words[f * depth_units_ + w] = pack_bytes(&filters.signs[begin + f * depth + w * kWordBits],
                                                   std::min(kWordBits, depth - w * kWordBits));
      canonical = words.data();
    } else if (shape_.storage == Storage::kFloats) {
      floats.resize(count);
      for (std::size_t i = 0; i < count; ++i)
        floats[i] = filters.floats.empty() ? static_cast<float>(weight(filters, begin + i))
                                           : filters.floats[begin + i];
      canonical = floats.data();
    } else {
      bytes.resize(count);
      for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::int8_t>(weight(filters, begin + i));
      canonical = bytes.data();
    }
    gemm_.pack(canonical, rows, depth_units_, packed_.data() + g * group_bytes_);
  }
  for (std::size_t f = 0; f < shape_.filters; ++f) {
    if (shape_.storage == Storage::kBits) start_[f] = static_cast<std::int32_t>(depth);
    if (shape_.storage == Storage::kSigned) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < depth; ++k) sum += weight(filters, f * depth + k);
      start_[f] = static_cast<std::int32_t>(static_cast<std::uint32_t>(-sum * kSignedBias));
    }
  }
}

void Convolution::sum_taps(const Filters& filters) {
  const std::size_t taps = shape_.window.taps(), channels = shape_.group_channels();
  tap_sums_.assign(taps * shape_.filters, 0);
  for (std::size_t f = 0; f < shape_.filters; ++f)
    for (std::size_t t = 0; t < taps; ++t)
      for (std::size_t c = 0; c < channels; ++c)
        tap_sums_[t * shape_.filters + f] += weight(filters, (f * taps + t) * channels + c);
}

const char* Convolution::kernel() const {
  switch (shape_.storage) {
    case Storage::kBits:
      return shape_.in.planes == 1 ? "xor-popcount" : "xor-popcount, two planes";
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
  const bool two = shape_.storage == Storage::kBits && shape_.in.planes == 2;
  return patches_bytes(rows) + (two ? rows * shape_.filters * sizeof(std::int32_t) : 0);
}

void Convolution::run(const Call& call) const noexcept {
  const bool two = shape_.storage == Storage::kBits && shape_.in.planes == 2;
  std::byte* low = call.scratch + patches_bytes(call.rows);
  for (std::size_t g = 0; g < shape_.groups; ++g) {
    multiply(call, g, 0, call.output);
    if (two) multiply(call, g, 1, low);
  }
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

void Convolution::multiply(const Call& call, std::size_t group, int plane, std::byte* out) const {
  const std::size_t filters = shape_.group_filters();
  const std::size_t begin = std::min(call.filter_begin, filters), end = std::min(call.filter_end, filters);
  if (begin >= end) return;
  GemmCall product;
  product.rows = gather(call, group, plane);
  product.row_stride = patch_stride_;
  if (rows_are_patches_) {
    const std::size_t taps = shape_.window.taps();
    product.row_stride = taps * row_bytes(shape_.in, shape_.storage);
  }
  product.count = call.rows;
  product.packed = packed_.data() + group * group_bytes_ + gemm_.packed_bytes(begin, depth_units_);
  product.depth = depth_units_;
  product.filters = end - begin;
  const std::size_t first = group * filters + begin;
  product.start = bias_.empty() ? static_cast<const void*>(start_.data() + first) : bias_.data() + first;
  product.out = out + first * sizeof(std::int32_t);
  product.out_stride = shape_.filters;
  gemm_.run(product);
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
