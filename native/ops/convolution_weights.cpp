// How a convolution holds its weights, and what it adds up of them beforehand.
#include <algorithm>
#include <type_traits>

#include "ops/convolution.h"
#include "ops/lines.h"

namespace sb {

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
  const auto order = [&](auto& packed, std::size_t begin, auto at) {
    packed.assign(rows * depth_units_, 0);
    for (std::size_t f = 0; f < rows; ++f)
      for (std::size_t k = 0; k < depth; ++k) {
        using T = typename std::decay_t<decltype(packed)>::value_type;
        const std::size_t place = lines_ == nullptr ? k : lines_->element(k);
        packed[f * depth_units_ + place] = static_cast<T>(at(begin + f * depth + k));
      }
  };
  for (std::size_t g = 0; g < shape_.groups; ++g) {
    const std::size_t begin = g * rows * depth;
    const void* canonical = nullptr;
    if (shape_.storage == Storage::kBits) {
      words.assign(rows * depth_units_, 0);
      for (std::size_t f = 0; f < rows; ++f)
        for (std::size_t w = 0; w < depth_units_; ++w)
          words[f * depth_units_ + w] = pack_bytes(&filters.signs[begin + f * depth + w * kWordBits],
                                                   std::min(kWordBits, depth - w * kWordBits));
      canonical = words.data();
    } else if (shape_.storage == Storage::kFloats && !filters.floats.empty()) {
      order(floats, begin, [&](std::size_t i) { return filters.floats[i]; });
      canonical = floats.data();
    } else if (shape_.storage == Storage::kFloats) {
      order(floats, begin, [&](std::size_t i) { return weight(filters, i); });
      canonical = floats.data();
    } else {
      order(bytes, begin, [&](std::size_t i) { return weight(filters, i); });
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

}  // namespace sb
