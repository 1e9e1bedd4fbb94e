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
        const int sign = filters.signs.sign(f, t * channels + c), offset = offsets[first + c];
        start_[f] += sign * offset;
        tap_sums_[t * shape_.filters + f] += sign * (shape_.pad_value - offset);
      }
  }
}

int Convolution::weight(const Filters& filters, std::size_t filter, std::size_t k, std::size_t depth) {
  return filters.bytes.empty() ? filters.signs.sign(filter, k) : filters.bytes[filter * depth + k];
}

void Convolution::pack(const Filters& filters) {
  const std::size_t depth = shape_.depth(), rows = shape_.group_filters();
  const bool as_they_are = depth_units_ == depth && lines_ == nullptr;
  std::vector<std::size_t> places(depth);
  for (std::size_t k = 0; k < depth; ++k) places[k] = lines_ == nullptr ? k : lines_->element(k);
  std::vector<std::int8_t> bytes;
  std::vector<float> floats;
  const auto order = [&](auto& ordered, std::size_t first, auto at) {
    using T = typename std::decay_t<decltype(ordered)>::value_type;
    ordered.assign(rows * depth_units_, 0);
    for (std::size_t f = 0; f < rows; ++f)
      for (std::size_t k = 0; k < depth; ++k)
        ordered[f * depth_units_ + places[k]] = static_cast<T>(at(first + f, k));
    return static_cast<const void*>(ordered.data());
  };
  const auto whole = [&](std::size_t f, std::size_t k) { return weight(filters, f, k, depth); };
  for (std::size_t g = 0; g < shape_.groups; ++g) {
    const std::size_t first = g * rows;
    const void* canonical = nullptr;
    if (shape_.storage == Storage::kBits)
      canonical = filters.signs.row(first);
    else if (as_they_are && !filters.floats.empty())
      canonical = filters.floats.data() + first * depth;
    else if (as_they_are && !filters.bytes.empty() && shape_.storage != Storage::kFloats)
      canonical = filters.bytes.data() + first * depth;
    else if (!filters.floats.empty())
      canonical =
          order(floats, first, [&](std::size_t f, std::size_t k) { return filters.floats[f * depth + k]; });
    else
      canonical =
          shape_.storage == Storage::kFloats ? order(floats, first, whole) : order(bytes, first, whole);
    gemm_.pack(canonical, rows, depth_units_, packed_.data() + g * group_bytes_);
  }
  for (std::size_t f = 0; f < shape_.filters; ++f) {
    if (shape_.storage == Storage::kBits) start_[f] = static_cast<std::int32_t>(depth);
    if (shape_.storage == Storage::kSigned) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < depth; ++k) sum += weight(filters, f, k, depth);
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
        tap_sums_[t * shape_.filters + f] += weight(filters, f, t * channels + c, taps * channels);
}

}  // namespace sb
