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
// Larger maps would make tables too large.
constexpr std::size_t kMostPositions = std::size_t{1} << 20;
constexpr std::size_t kMostFilters = std::size_t{1} << 16;
// What popcount takes longer where it also needs the sum that all filters share.
constexpr double kSharedSum = 1.75;
// Denser filters are never cheaper as lists.
constexpr double kSparse = 0.35;

bool fits(const ConvolutionShape& shape) {
  return shape.window.out_height * shape.window.out_width <= kMostPositions && shape.groups == 1 &&
         shape.in.planes == 1;
}

}  // namespace

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product, const Cuts& cuts,
                                                               Layout layout) {
  const ConvolutionShape& shape = product.shape;
  const SignRows& signs = product.filters.signs;
  if (!fits(shape)) return nullptr;
  std::optional<OutputClasses> classes = output_classes(shape, {&signs}, cuts);
  if (!classes.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op = make(kernels, product, classes->outputs, false, layout);
  const bool rare = density(signs) < kSparse;
  if (layout == Layout::kSparse || (layout == Layout::kChosen && rare)) {
    const std::optional<SparseRules> rules = sparse_rules(signs, classes->outputs);
    if (rules.has_value()) op->add_sparse(*rules);
  }
  if (layout == Layout::kChosen || layout == Layout::kMirrored)
    op->mirrored_ = MirroredConvolution::make(kernels.planes, shape);
  if (!op->mirror_pays() || !op->mirrored_->take(signs, *classes)) op->mirrored_ = nullptr;
  if (op->mirrored_ == nullptr && op->sparse_ == nullptr && !op->dense()) return nullptr;
  op->classes_ = classes->outputs.classes;
  op->members_ = std::move(classes->members);
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product, bool always) {
  const ConvolutionShape& shape = product.shape;
  if (!fits(shape)) return nullptr;
  std::optional<SumBases> bases = sum_bases(shape, product.filters.signs);
  if (!bases.has_value()) return nullptr;
  PlaneOutputs all;  // a counter that starts at its own origin
  all.least.assign(shape.filters, 0);
  all.inverted.assign(shape.filters, 0);
  const Layout layout = always ? Layout::kPlanes : Layout::kChosen;
  std::unique_ptr<BitplaneConvolution> op = make(kernels, product, all, true, layout);
  if (!op->dense() || op->filters_.bits + op->filters_.group - 1 > kCountRows) return nullptr;
  op->bases_ = std::move(*bases);
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product,
                                                               const PlaneOutputs& outputs, bool counts,
                                                               Layout layout) {
  const ConvolutionShape& shape = product.shape;
  std::unique_ptr<BitplaneConvolution> op(new BitplaneConvolution(kernels, shape, counts));
  if (layout != Layout::kChosen) op->packed_cost_ = HUGE_VAL;
  if (layout == Layout::kMirrored || layout == Layout::kSparse) return op;
  const std::size_t group = shape.depth() < kernels.planes.five_from ? 4 : 5;
  // The fewest planes that lists may hold: they are not made where even these cost too much.
  op->price_dense(group, divide_up(shape.filters, group) * shape.depth());
  if (!op->pays(op->dense_costs_)) return op;
  std::optional<PlaneFilters> filters = plane_filters(kernels.planes, product.filters.signs, group, outputs);
  if (filters.has_value()) op->add_dense(std::move(*filters));
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product,
                                                               const TwoLevelRule& levels, Layout layout) {
  const ConvolutionShape& shape = product.shape;
  if (!fits(shape) || skips_taps(shape)) return nullptr;
  std::unique_ptr<BitplaneConvolution> op =
      make_sparse(kernels, shape, sparse_rules(product.filters.signs, levels), layout);
  if (op != nullptr) op->packed_cost_ *= kSharedSum;
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& first,
                                                               const BinaryProduct& second, const Cuts& cuts,
                                                               Layout layout) {
  const ConvolutionShape& shape = first.shape;
  if (!fits(shape)) return nullptr;
  std::optional<OutputClasses> classes =
      output_classes(shape, {&first.filters.signs, &second.filters.signs}, cuts);
  if (!classes.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op = make_sparse(
      kernels, shape, sparse_rules(first.filters.signs, second.filters.signs, classes->outputs), layout);
  if (op == nullptr) return nullptr;
  op->packed_cost_ *= 2;
  op->classes_ = classes->outputs.classes;
  op->members_ = std::move(classes->members);
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make_sparse(const KernelTable& kernels,
                                                                      const ConvolutionShape& shape,
                                                                      const std::optional<SparseRules>& rules,
                                                                      Layout layout) {
  if (!rules.has_value() || (layout != Layout::kChosen && layout != Layout::kSparse)) return nullptr;
  std::unique_ptr<BitplaneConvolution> op(new BitplaneConvolution(kernels, shape, false));
  if (layout != Layout::kChosen) op->packed_cost_ = HUGE_VAL;
  op->add_sparse(*rules);
  return op->sparse_ == nullptr ? nullptr : std::move(op);
}

BitplaneConvolution::BitplaneConvolution(const KernelTable& kernels, const ConvolutionShape& shape,
                                         bool counts)
    : kernels_(kernels),
      table_(kernels.planes),
      shape_(shape),
      inputs_(kernels.planes, shape),
      positions_(shape.window.out_height * shape.window.out_width),
      depth_(shape.depth()),
      counts_(counts) {
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    input_costs_[i] = static_cast<double>(depth_) * width.input_cost;
    if (!inputs_.shifts())
      input_costs_[i] +=
          static_cast<double>(shape.window.taps() * width.lanes) *
          (table_.gather_cost[0] + static_cast<double>(words_for(shape.in.channels)) * table_.gather_cost[1]);
  }
  packed_cost_ = static_cast<double>(shape.filters) *
                 (table_.popcount_cost[0] + static_cast<double>(words_for(depth_)) * table_.popcount_cost[1]);
  if (!patches_are_rows(shape))
    packed_cost_ += static_cast<double>(shape.window.taps()) *
                    table_.patch_cost[shape.in.channels % kWordBits == 0 ? 0 : 1];
}

void BitplaneConvolution::price_dense(std::size_t group, std::size_t listed) {
  const std::size_t groups = divide_up(shape_.filters, group);
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    dense_costs_[i] = static_cast<double>(listed) * width.plane_cost + input_costs_[i] +
                      static_cast<double>(groups) * width.group_cost[group - 4];
    if (counts_)
      dense_costs_[i] +=
          static_cast<double>(shape_.filters * width.lanes) * static_cast<double>(table_.count_cost);
  }
}

void BitplaneConvolution::add_dense(PlaneFilters filters) {
  const std::size_t heads = filters.groups << filters.group;
  price_dense(filters.group, filters.lists.size() - heads);
  if (!pays(dense_costs_)) return;
  std::copy_n(dense_costs_, table_.count, costs_);
  filters_ = std::move(filters);
  inputs_.find_valid_taps();
}

void BitplaneConvolution::add_sparse(const SparseRules& rules) {
  if (shape_.filters >= kMostFilters) return;
  auto sparse = std::make_unique<SparseForm>(kernels_, shape_, rules);
  double costs[3] = {};
  for (std::size_t i = 0; i < table_.count; ++i)
    costs[i] = input_costs_[i] + sparse->cost(table_.widths[i], inputs_);
  if (!pays(costs)) return;
  std::copy_n(costs, table_.count, sparse_costs_);
  sparse_ = std::move(sparse);
  if (!pays(costs_)) {
    std::fill_n(costs_, table_.count, HUGE_VAL);
    filters_ = {};
  }
  inputs_.find_valid_taps();
}

void BitplaneConvolution::keep_packed(std::unique_ptr<Operator> product, std::unique_ptr<Operator> rest,
                                      const Chain* chain) {
  product_ = std::move(product);
  rest_ = std::move(rest);
  chain_ = chain;
}

void BitplaneConvolution::run(const Call& call) const noexcept {
  const double share = filter_share(call.filter_begin, std::min(call.filter_end, shape_.filters));
  for (std::size_t done = 0; done < call.rows;) {
    const Piece piece = next_piece(call.first + done, call.rows - done, share);
    if (piece.form == Form::kMirrored)
      mirrored_->run(call, done, piece.rows);
    else if (piece.form == Form::kPacked)
      run_packed(call, done, piece.rows);
    else
      run_tile(piece, call, done);
    done += piece.rows;
  }
}

std::size_t BitplaneConvolution::scratch(std::size_t) const {
  const std::size_t sums = round_up(kPackedRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::size_t packed = sums + round_up(product_->scratch(kPackedRows), kAlignment) +
                             (rest_ == nullptr ? 0 : rest_->scratch(kPackedRows));
  return std::max({packed, tile_scratch(), mirrored_ == nullptr ? 0 : mirrored_->scratch()});
}

void BitplaneConvolution::run_packed(const Call& call, std::size_t done, std::size_t rows) const {
  std::byte* sums = call.scratch;
  std::byte* own = sums + round_up(kPackedRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::byte* input = call.inputs[0];
  if (product_->by_rows(0)) input += (call.first + done) * row_bytes(shape_.in, Storage::kBits);
  const std::size_t words = words_for(shape_.filters);
  if (rest_ == nullptr)
    return product_->run({call.first + done, rows, &input, call.output + done * words * sizeof(Word), own});
  product_->run({call.first + done, rows, &input, sums, own});
  if (chain_ != nullptr) {
    chain_->run_rows({kChainInts, sums, shape_.filters}, call, call.inputs + 1, done, rows, 0,
                     shape_.filters);
    return;
  }
  const std::byte* product = sums;
  own += round_up(product_->scratch(kPackedRows), kAlignment);
  rest_->run({call.first + done, rows, &product, call.output + done * words * sizeof(Word), own});
}

// Bits of the outputs; or the counts that are kept, and a block of them turned into rows.
std::size_t BitplaneConvolution::out_planes() const {
  return counts_ ? kCounted * kCountRows + kCountedBlock * kCountRows
                 : round_up(std::max(filters_.padded(), shape_.filters), kWordBits);
}

std::size_t BitplaneConvolution::tile_scratch() const {
  const PlaneWidth& width = table_.widths[0];
  const std::size_t lane_words = width.lanes / kWordBits;
  const std::size_t words = inputs_.plane_words(width) + (out_planes() + classes_ - 1) * lane_words +
                            round_up(inputs_.other_words(width), lane_words) +
                            (sparse_ == nullptr ? 0 : sparse_->scratch_words(width, inputs_));
  return words * sizeof(Word) + kAlignment;
}

void BitplaneConvolution::run_tile(const Piece& piece, const Call& call, std::size_t done) const {
  const PlaneWidth& width = *piece.width;
  auto* planes = reinterpret_cast<Word*>(call.scratch);
  Word* out = planes + inputs_.plane_words(width);
  Word* masks = out + out_planes() * (width.lanes / kWordBits);
  Word* others = masks + (classes_ - 1) * (width.lanes / kWordBits);
  const Tile tile{inputs_.tile(width, call, done, piece.rows, planes, others),
                  call.filter_begin,
                  std::min(call.filter_end, shape_.filters),
                  std::max<std::size_t>(filters_.group, 1),
                  out,
                  masks};
  inputs_.make(tile);
  if (piece.form == Form::kPlanes)
    run_dense(tile);
  else if (!run_sparse(tile))
    for (std::size_t more = 0; more < piece.rows; more += kPackedRows)
      run_packed(call, done + more, std::min(kPackedRows, piece.rows - more));
}

void BitplaneConvolution::run_dense(const Tile& tile) const {
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
  tile.width.select(filters_.group, filters_.bits)(planes);
  store(tile);
}

// The memory behind `others` is the sparse form's.
bool BitplaneConvolution::run_sparse(const Tile& tile) const {
  SparseForm::Shared shared;
  Word* work = tile.valid + round_up(inputs_.other_words(tile.width), tile.lane_words);
  if (!sparse_->prepare(tile, inputs_, work, shared)) return false;
  shared.masks = tile.masks;
  for (std::size_t c = 1; c < classes_; ++c)
    inputs_.copy_lanes(tile, members_.data() + c * words_for(positions_),
                       tile.masks + (c - 1) * tile.lane_words);
  sparse_->run(tile, shared, tile.out);
  store(tile);
  return true;
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

std::size_t BitplaneConvolution::mask_classes(const Tile& tile, const Word** differing) const {
  std::size_t count = 0;
  for (std::size_t c = 1; c < classes_; ++c) {
    Word* mask = tile.masks + count * tile.lane_words;
    inputs_.copy_lanes(tile, members_.data() + c * words_for(positions_), mask);
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
