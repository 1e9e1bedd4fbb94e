#include "ops/bitplane.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace sb {
namespace {

// Filters whose counts are kept, a multiple of a group of 4 or 5; a block of so many channels goes to the
// chain.
constexpr std::size_t kCounted = 80, kCountedBlock = kWordBits;
constexpr std::size_t kCountWords = kCountColumns * kCountRows / kWordBits;
// Larger maps would make tables too large, farther taps too much to transpose for a tile.
constexpr std::size_t kMostPositions = std::size_t{1} << 20;
constexpr std::ptrdiff_t kMostShift = 4096;

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

// The bits of `lanes` positions from `first` on, counted through the samples, of a row with one bit a
// position.
void copy_lanes(const Word* row, std::size_t positions, std::size_t first, std::size_t lanes, Word* out) {
  BitWriter writer(out);
  for (std::size_t p = first % positions; lanes > 0; p = 0) {
    const std::size_t count = std::min(lanes, positions - p);
    writer.copy(row, p, count);
    lanes -= count;
  }
}

}  // namespace

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product, const Cuts& cuts,
                                                               Layout layout) {
  const ConvolutionShape& shape = product.shape;
  if (shape.window.out_height * shape.window.out_width > kMostPositions) return nullptr;
  std::optional<OutputClasses> classes = output_classes(shape, product.filters.signs, cuts);
  if (!classes.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op = make(kernels, product, classes->outputs, false, layout);
  if (op == nullptr) return nullptr;
  if (layout != Layout::kPlanes)
    op->mirrored_ = MirroredConvolution::make(kernels.planes, shape, product.filters.signs, *classes);
  if (!op->mirror_pays()) op->mirrored_ = nullptr;
  if (op->mirrored_ == nullptr && op->filters_.lists.empty()) return nullptr;
  op->classes_ = classes->outputs.classes;
  op->members_ = std::move(classes->members);
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product, bool always) {
  const ConvolutionShape& shape = product.shape;
  if (shape.window.out_height * shape.window.out_width > kMostPositions) return nullptr;
  std::optional<SumBases> bases = sum_bases(shape, product.filters.signs);
  if (!bases.has_value()) return nullptr;
  PlaneOutputs all;  // a counter that starts at its own origin
  all.least.assign(shape.filters, 0);
  all.inverted.assign(shape.filters, 0);
  const Layout layout = always ? Layout::kPlanes : Layout::kChosen;
  std::unique_ptr<BitplaneConvolution> op = make(kernels, product, all, true, layout);
  if (op == nullptr || op->filters_.lists.empty() || op->filters_.bits + op->filters_.group - 1 > kCountRows)
    return nullptr;
  op->bases_ = std::move(*bases);
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product,
                                                               const PlaneOutputs& outputs, bool counts,
                                                               Layout layout) {
  const ConvolutionShape& shape = product.shape;
  if (shape.groups > 1 || shape.in.planes > 1) return nullptr;
  const std::size_t group = shape.depth() < kernels.planes.five_from ? 4 : 5;
  std::optional<PlaneFilters> filters =
      plane_filters(product.filters.signs, shape.filters, shape.depth(), group, outputs);
  if (!filters.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op(
      new BitplaneConvolution(kernels, shape, std::move(*filters), counts));
  if (layout != Layout::kChosen) op->packed_cost_ = HUGE_VAL;
  if (layout == Layout::kMirrored || !op->pays()) {
    std::fill_n(op->costs_, kernels.planes.count, HUGE_VAL);
    op->filters_.lists = {};
  }
  if (op->shifts_) op->find_valid_taps();
  return op;
}

BitplaneConvolution::BitplaneConvolution(const KernelTable& kernels, const ConvolutionShape& shape,
                                         PlaneFilters filters, bool counts)
    : table_(kernels.planes),
      shape_(shape),
      filters_(std::move(filters)),
      positions_(shape.window.out_height * shape.window.out_width),
      words_(words_for(shape.in.channels)),
      depth_(shape.depth()),
      counts_(counts) {
  const std::ptrdiff_t nearest = shift_of(shape, 0), farthest = shift_of(shape, shape.window.taps() - 1);
  shifts_ = is_shift(shape) && farthest - nearest <= kMostShift;
  if (shifts_) nearest_ = nearest, farthest_ = farthest;
  const std::size_t buckets = std::size_t{1} << (filters_.group - 1);
  const auto listed = static_cast<double>(filters_.lists.size() - 2 * buckets * filters_.groups);
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    input_costs_[i] = static_cast<double>(depth_) * width.input_cost;
    costs_[i] = listed * width.plane_cost + input_costs_[i] +
                static_cast<double>(filters_.groups) * width.group_cost[filters_.group - 4];
    if (counts_)
      costs_[i] += static_cast<double>(shape.filters * width.lanes) * static_cast<double>(table_.count_cost);
  }
  packed_cost_ = static_cast<double>(shape.filters) *
                 (table_.popcount_cost[0] + static_cast<double>(words_for(depth_)) * table_.popcount_cost[1]);
}

void BitplaneConvolution::keep_packed(std::unique_ptr<Operator> product, std::unique_ptr<Operator> rest,
                                      const Chain* chain) {
  product_ = std::move(product);
  rest_ = std::move(rest);
  chain_ = chain;
}

void BitplaneConvolution::find_valid_taps() {
  const std::size_t taps = shape_.window.taps(), row = words_for(positions_);
  valid_.assign(taps * row, 0);
  for (std::size_t t = 0; t < taps; ++t)
    for (std::size_t p = 0; p < positions_; ++p)
      set_bit(valid_.data() + t * row, p, input_position(shape_, p, t) >= 0);
}

void BitplaneConvolution::run(const Call& call) const noexcept {
  const double share = filter_share(call.filter_begin, std::min(call.filter_end, shape_.filters));
  for (std::size_t done = 0; done < call.rows;) {
    const Piece piece = next_piece(call.first + done, call.rows - done, share);
    if (piece.mirrored)
      mirrored_->run(call, done, piece.rows);
    else if (piece.width != nullptr)
      run_tile(*piece.width, call, done, piece.rows);
    else
      run_packed(call, done, piece.rows);
    done += piece.rows;
  }
}

std::size_t BitplaneConvolution::scratch(std::size_t) const {
  const std::size_t sums = round_up(kPackedRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::size_t packed =
      sums + round_up(product_->scratch(kPackedRows), kAlignment) + rest_->scratch(kPackedRows);
  return std::max({packed, tile_scratch(), mirrored_ == nullptr ? 0 : mirrored_->scratch()});
}

void BitplaneConvolution::run_packed(const Call& call, std::size_t done, std::size_t rows) const {
  std::byte* sums = call.scratch;
  std::byte* own = sums + round_up(kPackedRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::byte* input = call.inputs[0];
  if (product_->by_rows(0)) input += (call.first + done) * row_bytes(shape_.in, Storage::kBits);
  product_->run({call.first + done, rows, &input, sums, own});
  if (chain_ != nullptr) {
    chain_->run_rows({kChainInts, sums, shape_.filters}, call, call.inputs + 1, done, rows, 0,
                     shape_.filters);
    return;
  }
  const std::byte* product = sums;
  own += round_up(product_->scratch(kPackedRows), kAlignment);
  rest_->run({call.first + done, rows, &product,
              call.output + done * words_for(shape_.filters) * sizeof(Word), own});
}

// Bits of the outputs; or the counts that are kept, and a block of them turned into rows.
std::size_t BitplaneConvolution::out_planes() const {
  return counts_ ? kCounted * kCountRows + kCountedBlock * kCountRows
                 : round_up(filters_.padded(), kWordBits);
}

std::size_t BitplaneConvolution::tile_scratch() const {
  const std::size_t lane_words = table_.widths[0].lanes / kWordBits;
  const std::size_t source_words =
      static_cast<std::size_t>(farthest_ - nearest_) / kWordBits + lane_words + 1;
  const std::size_t planes = depth_ + 1 + out_planes() + (classes_ - 1);
  return (planes * lane_words + (shifts_ ? words_ * kWordBits * source_words : 0) +
          shape_.window.taps() * lane_words) *
             sizeof(Word) +
         kAlignment;
}

void BitplaneConvolution::run_tile(const PlaneWidth& width, const Call& call, std::size_t done,
                                   std::size_t rows) const {
  Tile tile{width,
            call,
            done,
            rows,
            call.filter_begin,
            std::min(call.filter_end, shape_.filters),
            filters_.group,
            width.lanes / kWordBits,
            0,
            nullptr,
            nullptr,
            nullptr,
            nullptr,
            nullptr};
  const std::size_t lane_words = tile.lane_words;
  tile.source_words = static_cast<std::size_t>(farthest_ - nearest_) / kWordBits + lane_words + 1;
  tile.planes = reinterpret_cast<Word*>(call.scratch);
  tile.out = tile.planes + (depth_ + 1) * lane_words;
  tile.masks = tile.out + out_planes() * lane_words;
  tile.valid = tile.masks + (classes_ - 1) * lane_words;
  tile.sources = tile.valid + shape_.window.taps() * lane_words;
  shifts_ ? shift_inputs(tile) : gather_inputs(tile);
  std::fill_n(tile.planes + depth_ * lane_words, lane_words, Word{0});

  const Word* differing[kMostClasses];
  const std::size_t begin = tile.first_group(), end = tile.end_group(), group = filters_.group;
  const std::size_t skipped = begin * (filters_.bits + group - 1) * group;
  PlaneCall planes;
  planes.planes = tile.planes;
  planes.lists = filters_.lists.data() + filters_.offsets[begin];
  planes.groups = end - begin;
  planes.starts = filters_.starts.data() + skipped;
  planes.inverted = filters_.inverted.data() + begin * group;
  planes.out = tile.out;
  planes.counts = counts_;
  planes.classes = classes_ == 1 ? 0 : mask_classes(tile, differing);
  for (std::size_t c = 0; c < planes.classes; ++c) differing[c] += skipped;
  planes.masks = tile.masks;
  planes.differing = differing;
  if (counts_) return run_counts(tile, planes);
  width.select(filters_.group, filters_.bits)(planes);
  store(tile);
}

// A block of channels at a time, whose counts then lie in the cache as rows of 16-bit numbers.
void BitplaneConvolution::run_counts(const Tile& tile, PlaneCall planes) const {
  const std::size_t group = filters_.group, width = filters_.bits + group - 1, lane_words = tile.lane_words;
  const std::size_t filter_words = kCountRows * lane_words;
  const std::size_t streams = count_streams(tile.width.lanes), stream = tile.width.lanes / streams;
  const std::size_t column_words = tile.width.lanes * kCountWords;
  const RunPlanes run = tile.width.select(group, filters_.bits);
  Word* rows = tile.out + kCounted * filter_words;
  std::size_t done = 0;
  for (std::size_t begin = 0; begin < shape_.filters; begin += kCountedBlock) {
    const std::size_t end = std::min(begin + kCountedBlock, shape_.filters);
    for (const std::size_t needed = divide_up(end, group); done < needed; done += planes.groups) {
      const std::size_t slot = done % (kCounted / group);
      planes.groups = std::min(needed - done, kCounted / group - slot);
      planes.lists = filters_.lists.data() + filters_.offsets[done];
      planes.starts = filters_.starts.data() + done * width * group;
      planes.out = tile.out + slot * group * filter_words;
      run(planes);
    }
    for (std::size_t f = begin; f < end; f += kCountColumns)
      tile.width.spread(tile.out + f % kCounted * filter_words, width,
                        rows + (f - begin) / kCountColumns * column_words);
    for (std::size_t s = 0; s * stream < tile.rows; ++s) {
      ChainRows counts{kChainCounts, rows + s * kCountWords, streams * kCountColumns};
      counts.column_stride = tile.width.lanes * kCountColumns;
      counts.base = bases_.sums.data();
      counts.mask = static_cast<std::uint16_t>((1u << width) - 1);
      counts.base_places = bases_.places.empty() ? nullptr : bases_.places.data();
      chain_->run_rows(counts, tile.call, tile.call.inputs + 1, tile.done + s * stream,
                       std::min(stream, tile.rows - s * stream), begin, end);
    }
  }
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
    copy_lanes(valid_.data() + t * words_for(positions_), positions_, tile.first(), tile.width.lanes,
               tile.valid + t * tile.lane_words);
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
        table_.transpose(block, 1, turned, 1);
        Word* out = tile.planes + (t * channels + w * kWordBits) * tile.lane_words + b;
        const std::size_t count = std::min(kWordBits, channels - w * kWordBits);
        for (std::size_t c = 0; c < count; ++c) out[c * tile.lane_words] = turned[c];
      }
    }
  }
}

std::size_t BitplaneConvolution::mask_classes(const Tile& tile, const Word** differing) const {
  std::size_t count = 0;
  for (std::size_t c = 1; c < classes_; ++c) {
    Word* mask = tile.masks + count * tile.lane_words;
    copy_lanes(members_.data() + c * words_for(positions_), positions_, tile.first(), tile.width.lanes, mask);
    if (std::all_of(mask, mask + tile.lane_words, [](Word word) { return word == 0; })) continue;
    differing[count++] = filters_.starts.data() + c * filters_.class_stride();
  }
  return count;
}

void BitplaneConvolution::store(const Tile& tile) const {
  // `tile.out` begins with the first filter of the first group.
  const std::size_t filters = shape_.filters, words = words_for(filters);
  const std::size_t skipped = tile.first_group() * filters_.group;
  if (tile.filter_end == filters)
    std::fill_n(tile.out + (filters - skipped) * tile.lane_words,
                (words * kWordBits - filters) * tile.lane_words, Word{0});
  auto* rows = tile.call.out<Word>() + tile.done * words;
  for (std::size_t b = 0; b * kWordBits < tile.rows; ++b)
    for (std::size_t w = tile.filter_begin / kWordBits; w < words_for(tile.filter_end); ++w) {
      const Word* planes = tile.out + (w * kWordBits - skipped) * tile.lane_words + b;
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
