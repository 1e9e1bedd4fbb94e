#include "ops/bitplane.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

namespace sb {
namespace {

constexpr std::size_t kPackedRows = 32;
constexpr std::size_t kMostClasses = 32;
constexpr std::size_t kUsualBatch = 32;

std::ptrdiff_t place(std::size_t index, std::size_t stride, std::size_t tap, std::size_t dilation,
                     std::size_t padding) {
  return static_cast<std::ptrdiff_t>(index * stride + tap * dilation) - static_cast<std::ptrdiff_t>(padding);
}

bool inside(std::ptrdiff_t at, std::size_t size) { return at >= 0 && at < static_cast<std::ptrdiff_t>(size); }

// The input position under a tap of a window, or -1 outside the map.
std::ptrdiff_t input_position(const ConvolutionShape& shape, std::size_t position, std::size_t tap) {
  const Window& w = shape.window;
  const std::ptrdiff_t y = place(position / w.out_width, w.stride_y, tap / w.kernel_x, w.dilation_y, w.top);
  const std::ptrdiff_t x = place(position % w.out_width, w.stride_x, tap % w.kernel_x, w.dilation_x, w.left);
  if (!inside(y, shape.in.height) || !inside(x, shape.in.width)) return -1;
  return y * static_cast<std::ptrdiff_t>(shape.in.width) + x;
}

bool is_shift(const ConvolutionShape& shape) {
  const Window& w = shape.window;
  return w.stride_y == 1 && w.stride_x == 1 && w.out_height == shape.in.height &&
         w.out_width == shape.in.width;
}

std::ptrdiff_t shift_of(const ConvolutionShape& shape, std::size_t tap) {
  const Window& w = shape.window;
  return place(0, 1, tap / w.kernel_x, w.dilation_y, w.top) * static_cast<std::ptrdiff_t>(shape.in.width) +
         place(0, 1, tap % w.kernel_x, w.dilation_x, w.left);
}

std::int64_t floor_half(std::int64_t x) { return x >= 0 ? x / 2 : -((1 - x) / 2); }

// Positions that compare with the same numbers: the same row of cuts and, where padding is 0, the same taps
// outside. Class 0 is the largest.
struct Classes {
  std::vector<std::uint8_t> of;  // per position; empty: one class
  std::vector<std::size_t> example;

  static std::optional<Classes> find(const ConvolutionShape& shape, const std::vector<std::uint8_t>& border,
                                     bool taps) {
    Classes classes;
    const std::size_t positions = shape.window.out_height * shape.window.out_width;
    if (border.empty() && !taps) {
      classes.example = {0};
      return classes;
    }
    std::map<std::vector<bool>, std::vector<std::size_t>> members;
    for (std::size_t p = 0; p < positions; ++p) {
      std::vector<bool> key;
      for (std::size_t t = 0; taps && t < shape.window.taps(); ++t)
        key.push_back(input_position(shape, p, t) < 0);
      for (int bit = 0; !border.empty() && bit < 8; ++bit) key.push_back((border[p] >> bit & 1) != 0);
      std::vector<std::size_t>& list = members[key];
      list.push_back(p);
      if (members.size() > kMostClasses) return {};
    }
    std::vector<const std::vector<std::size_t>*> sorted;
    for (const auto& [key, list] : members) sorted.push_back(&list);
    std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->size() > b->size(); });
    classes.of.resize(sorted.size() == 1 ? 0 : positions);
    for (std::size_t c = 0; c < sorted.size(); ++c) {
      classes.example.push_back(sorted[c]->front());
      for (std::size_t p : *sorted[c])
        if (!classes.of.empty()) classes.of[p] = static_cast<std::uint8_t>(c);
    }
    return classes;
  }
};

// sum = depth - 2 differing - what the taps outside count although their padding is 0.
PlaneOutputs outputs_of(const ConvolutionShape& shape, const std::vector<std::uint8_t>& signs,
                        const Cuts& cuts, const Classes& classes, bool taps) {
  const std::size_t depth = shape.depth(), channels = shape.in.channels;
  PlaneOutputs outputs;
  outputs.classes = classes.example.size();
  outputs.inverted = cuts.inverted;
  for (std::size_t position : classes.example)
    for (std::size_t f = 0; f < shape.filters; ++f) {
      std::int64_t counted = 0;
      for (std::size_t t = 0; taps && t < shape.window.taps(); ++t)
        if (input_position(shape, position, t) < 0)
          for (std::size_t c = 0; c < channels; ++c) counted += 1 - 2 * signs[f * depth + t * channels + c];
      const std::size_t row = cuts.border.empty() ? 0 : cuts.border[position];
      // sum > cut is not (sum < cut + 1).
      const std::int64_t cut = cuts.cuts[row * shape.filters + f] + cuts.inverted[f];
      const std::int64_t least = floor_half(static_cast<std::int64_t>(depth) - counted - cut) + 1;
      outputs.least.push_back(std::clamp<std::int64_t>(least, 0, static_cast<std::int64_t>(depth) + 1));
    }
  return outputs;
}

}  // namespace

struct BitplaneConvolution::Tile {
  const PlaneWidth& width;
  const Call& call;
  std::size_t done, rows;  // of the call
  std::size_t lane_words;
  std::size_t source_words;
  Word *planes, *sources, *out, *masks, *valid;

  std::size_t first() const { return call.first + done; }
};

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product, const Cuts& cuts,
                                                               bool always) {
  const ConvolutionShape& shape = product.shape;
  if (shape.groups > 1 || shape.in.planes > 1) return nullptr;
  const Window& w = shape.window;
  const bool taps = shape.pad_value == 0 && w.top + w.left + w.bottom + w.right > 0;
  const std::optional<Classes> classes = Classes::find(shape, cuts.border, taps);
  if (!classes.has_value()) return nullptr;
  const std::vector<std::uint8_t>& signs = product.filters.signs;
  const std::size_t group = shape.depth() < kernels.planes.five_from ? 4 : 5;
  std::optional<PlaneFilters> filters = plane_filters(signs, shape.filters, shape.depth(), group,
                                                      outputs_of(shape, signs, cuts, *classes, taps));
  if (!filters.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op(new BitplaneConvolution(kernels, shape, std::move(*filters)));
  if (always) op->packed_cost_ = HUGE_VAL;
  if (!op->pays()) return nullptr;
  op->classes_ = classes->example.size();
  op->class_of_ = classes->of;
  if (op->shifts_) op->find_valid_taps();
  return op;
}

BitplaneConvolution::BitplaneConvolution(const KernelTable& kernels, const ConvolutionShape& shape,
                                         PlaneFilters filters)
    : table_(kernels.planes),
      shape_(shape),
      filters_(std::move(filters)),
      positions_(shape.window.out_height * shape.window.out_width),
      words_(words_for(shape.in.channels)),
      depth_(shape.depth()),
      shifts_(is_shift(shape)) {
  const std::size_t buckets = std::size_t{1} << (filters_.group - 1);
  const auto listed = static_cast<double>(filters_.lists.size() - 2 * buckets * filters_.groups);
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    costs_[i] = listed * width.plane_cost + static_cast<double>(depth_) * width.input_cost +
                static_cast<double>(filters_.groups) * width.group_cost[filters_.group - 4];
  }
  packed_cost_ = static_cast<double>(shape.filters) *
                 (table_.popcount_cost[0] + static_cast<double>(words_for(depth_)) * table_.popcount_cost[1]);
}

void BitplaneConvolution::keep_packed(std::unique_ptr<Operator> product,
                                      std::unique_ptr<Operator> threshold) {
  product_ = std::move(product);
  threshold_ = std::move(threshold);
}

// Planes win in some register that a batch of kUsualBatch fills.
bool BitplaneConvolution::pays() const {
  for (std::size_t i = 0; i < table_.count; ++i) {
    const std::size_t lanes = table_.widths[i].lanes;
    const bool filled = lanes <= kUsualBatch * positions_ || std::isinf(packed_cost_);
    if (filled && costs_[i] < packed_cost_ * static_cast<double>(lanes)) return true;
  }
  return false;
}

void BitplaneConvolution::find_valid_taps() {
  const std::size_t taps = shape_.window.taps(), row = words_for(positions_);
  valid_.assign(taps * row, 0);
  nearest_ = shift_of(shape_, 0);
  farthest_ = shift_of(shape_, taps - 1);
  for (std::size_t t = 0; t < taps; ++t)
    for (std::size_t p = 0; p < positions_; ++p)
      set_bit(valid_.data() + t * row, p, input_position(shape_, p, t) >= 0);
}

void BitplaneConvolution::run(const Call& call) const noexcept {
  for (std::size_t done = 0; done < call.rows;) {
    const std::size_t left = call.rows - done;
    const PlaneWidth* best = nullptr;
    std::size_t rows = std::min(left, kPackedRows);
    double least = packed_cost_;
    for (std::size_t i = 0; i < table_.count; ++i) {
      const std::size_t covered = std::min(left, table_.widths[i].lanes);
      const double cost = costs_[i] / static_cast<double>(covered);
      if (cost < least) least = cost, best = &table_.widths[i], rows = covered;
    }
    if (best == nullptr)
      run_packed(call, done, rows);
    else
      run_tile(*best, call, done, rows);
    done += rows;
  }
}

std::size_t BitplaneConvolution::scratch(std::size_t) const {
  const std::size_t sums = round_up(kPackedRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::size_t packed =
      sums + round_up(product_->scratch(kPackedRows), kAlignment) + threshold_->scratch(kPackedRows);
  return std::max(packed, tile_scratch());
}

void BitplaneConvolution::run_packed(const Call& call, std::size_t done, std::size_t rows) const {
  std::byte* sums = call.scratch;
  std::byte* own = sums + round_up(kPackedRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::byte* input = call.inputs[0];
  if (product_->by_rows(0)) input += (call.first + done) * row_bytes(shape_.in, Storage::kBits);
  product_->run({call.first + done, rows, &input, sums, own});
  const std::byte* product = sums;
  own += round_up(product_->scratch(kPackedRows), kAlignment);
  threshold_->run({call.first + done, rows, &product,
                   call.output + done * words_for(shape_.filters) * sizeof(Word), own});
}

std::size_t BitplaneConvolution::tile_scratch() const {
  const std::size_t lane_words = table_.widths[0].lanes / kWordBits;
  const std::size_t source_words =
      static_cast<std::size_t>(farthest_ - nearest_) / kWordBits + lane_words + 1;
  const std::size_t planes = depth_ + 1 + round_up(filters_.padded(), kWordBits) + (classes_ - 1);
  return (planes * lane_words + (shifts_ ? words_ * kWordBits * source_words : 0) +
          shape_.window.taps() * lane_words) *
             sizeof(Word) +
         kAlignment;
}

void BitplaneConvolution::run_tile(const PlaneWidth& width, const Call& call, std::size_t done,
                                   std::size_t rows) const {
  Tile tile{width, call, done, rows, width.lanes / kWordBits, 0, nullptr, nullptr, nullptr, nullptr, nullptr};
  const std::size_t lane_words = tile.lane_words;
  tile.source_words = static_cast<std::size_t>(farthest_ - nearest_) / kWordBits + lane_words + 1;
  tile.planes = reinterpret_cast<Word*>(call.scratch);
  tile.out = tile.planes + (depth_ + 1) * lane_words;
  tile.masks = tile.out + round_up(filters_.padded(), kWordBits) * lane_words;
  tile.valid = tile.masks + (classes_ - 1) * lane_words;
  tile.sources = tile.valid + shape_.window.taps() * lane_words;
  shifts_ ? shift_inputs(tile) : gather_inputs(tile);
  std::fill_n(tile.planes + depth_ * lane_words, lane_words, Word{0});

  const Word* differing[kMostClasses];
  PlaneCall planes;
  planes.planes = tile.planes;
  planes.lists = filters_.lists.data();
  planes.groups = filters_.groups;
  planes.starts = filters_.starts.data();
  planes.inverted = filters_.inverted.data();
  planes.out = tile.out;
  planes.classes = classes_ == 1 ? 0 : mask_classes(tile, differing);
  planes.masks = tile.masks;
  planes.differing = differing;
  width.select(filters_.group, filters_.bits)(planes);
  store(tile);
}

void BitplaneConvolution::shift_inputs(const Tile& tile) const {
  const std::size_t channels = shape_.in.channels, taps = shape_.window.taps();
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
        table_.transpose(rows + from * static_cast<std::ptrdiff_t>(words_) + w, words_, out,
                         tile.source_words);
        continue;
      }
      Word block[kWordBits];
      for (std::ptrdiff_t i = from; i < to; ++i)
        block[i - from] = i >= begin && i < end ? rows[i * static_cast<std::ptrdiff_t>(words_) + w] : 0;
      table_.transpose(block, 1, out, tile.source_words);
    }
  }
  for (std::size_t t = 0; t < taps; ++t) {
    const Word* valid = valid_.data() + t * words_for(positions_);
    BitWriter writer(tile.valid + t * tile.lane_words);
    for (std::size_t lanes = tile.width.lanes, p = tile.first() % positions_; lanes > 0; p = 0) {
      const std::size_t count = std::min(lanes, positions_ - p);
      writer.copy(valid, p, count);
      lanes -= count;
    }
    ShiftCall shift;
    shift.source = tile.sources;
    shift.source_stride = tile.source_words;
    shift.channels = channels;
    shift.offset = static_cast<std::size_t>(shift_of(shape_, t) - nearest_);
    shift.valid = tile.valid + t * tile.lane_words;
    shift.fill = shape_.pad_value < 0 ? ~Word{0} : 0;
    shift.out = tile.planes + t * channels * tile.lane_words;
    tile.width.shift(shift);
  }
}

void BitplaneConvolution::gather_inputs(const Tile& tile) const {
  const std::size_t channels = shape_.in.channels;
  const Word fill = shape_.pad_value < 0 ? ~Word{0} : 0;
  for (std::size_t b = 0; b < tile.lane_words; ++b) {
    for (std::size_t t = 0; t < shape_.window.taps(); ++t) {
      const Word* rows[kWordBits];
      for (std::size_t i = 0; i < kWordBits; ++i) {
        const std::size_t lane = b * kWordBits + i, row = tile.first() + lane;
        const std::ptrdiff_t at = lane < tile.rows ? input_position(shape_, row % positions_, t) : -1;
        const std::size_t sample = row / positions_ * shape_.in.positions();
        rows[i] = at < 0 ? nullptr : tile.call.in<Word>(0) + (sample + static_cast<std::size_t>(at)) * words_;
      }
      for (std::size_t w = 0; w < words_; ++w) {
        Word block[kWordBits], turned[kWordBits];
        for (std::size_t i = 0; i < kWordBits; ++i) block[i] = rows[i] == nullptr ? fill : rows[i][w];
        table_.transpose(block, 1, turned, 1);
        Word* out = tile.planes + (t * channels + w * kWordBits) * tile.lane_words + b;
        const std::size_t count = std::min(kWordBits, channels - w * kWordBits);
        for (std::size_t c = 0; c < count; ++c) out[c * tile.lane_words] = turned[c];
      }
    }
  }
}

std::size_t BitplaneConvolution::mask_classes(const Tile& tile, const Word** differing) const {
  Word masks[kMostClasses][8] = {};
  for (std::size_t lane = 0; lane < tile.rows; ++lane) {
    const std::size_t c = class_of_[(tile.first() + lane) % positions_];
    masks[c][lane / kWordBits] |= Word{1} << (lane % kWordBits);
  }
  std::size_t count = 0;
  for (std::size_t c = 1; c < classes_; ++c) {
    if (std::all_of(masks[c], masks[c] + tile.lane_words, [](Word word) { return word == 0; })) continue;
    std::copy_n(masks[c], tile.lane_words, tile.masks + count * tile.lane_words);
    differing[count++] = filters_.starts.data() + c * filters_.class_stride();
  }
  return count;
}

void BitplaneConvolution::store(const Tile& tile) const {
  const std::size_t filters = shape_.filters, words = words_for(filters);
  std::fill_n(tile.out + filters * tile.lane_words, (words * kWordBits - filters) * tile.lane_words, Word{0});
  auto* rows = tile.call.out<Word>() + tile.done * words;
  for (std::size_t b = 0; b * kWordBits < tile.rows; ++b)
    for (std::size_t w = 0; w < words; ++w) {
      const Word* planes = tile.out + w * kWordBits * tile.lane_words + b;
      Word* out = rows + b * kWordBits * words + w;
      const std::size_t count = std::min(kWordBits, tile.rows - b * kWordBits);
      if (count == kWordBits) {
        table_.transpose(planes, tile.lane_words, out, words);
        continue;
      }
      Word turned[kWordBits];
      table_.transpose(planes, tile.lane_words, turned, 1);
      for (std::size_t i = 0; i < count; ++i) out[i * words] = turned[i];
    }
}

}  // namespace sb
