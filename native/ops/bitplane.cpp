#include "ops/bitplane.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace sb {
namespace {

// Larger maps would make tables too large.
constexpr std::size_t kMostPositions = std::size_t{1} << 20;
// What popcount takes longer for each filter where it also needs the sum that all share, of what a filter
// costs beside its words.
constexpr double kSharedSum = 2;
}  // namespace

bool BitplaneConvolution::fits(const ConvolutionShape& shape) {
  return shape.window.out_height * shape.window.out_width <= kMostPositions && shape.groups == 1 &&
         shape.in.planes == 1;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product, const Cuts& cuts,
                                                               Layout layout) {
  const ConvolutionShape& shape = product.shape;
  const SignRows& signs = product.filters.signs;
  if (!fits(shape)) return nullptr;
  std::optional<OutputClasses> classes = output_classes(shape, {&signs}, cuts);
  if (!classes.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op(new BitplaneConvolution(kernels, shape, false));
  if (layout != Layout::kChosen) op->popcount_cost_ = HUGE_VAL;
  const bool may_be_dense = layout == Layout::kChosen || layout == Layout::kPlanes;
  if (may_be_dense) op->expect_dense();
  const bool rare = density(signs) < kDensest;
  if (layout == Layout::kSparse || (layout == Layout::kChosen && rare)) {
    const std::optional<SparseRules> rules = sparse_rules(signs, classes->outputs);
    if (rules.has_value()) op->add_sparse(*rules);
  }
  if (may_be_dense) op->take_dense(signs, classes->outputs);
  if (layout == Layout::kChosen || layout == Layout::kMirrored)
    op->mirrored_ = MirroredConvolution::make(kernels.planes, shape, false);
  if (!op->pays_for_few(Form::kMirrored) || !op->mirrored_->take(signs, *classes)) op->mirrored_ = nullptr;
  if (op->mirrored_ == nullptr && op->sparse_ == nullptr && !op->dense()) return nullptr;
  op->classes_ = classes->outputs.classes;
  op->members_ = std::move(classes->members);
  return op;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product,
                                                               const TwoLevelRule& levels, Layout layout) {
  const ConvolutionShape& shape = product.shape;
  if (!fits(shape) || skips_taps(shape)) return nullptr;
  std::unique_ptr<BitplaneConvolution> op =
      make_sparse(kernels, shape, sparse_rules(product.filters.signs, levels), layout);
  if (op != nullptr)
    op->popcount_cost_ += kSharedSum * kernels.planes.popcount_cost[0] * static_cast<double>(shape.filters);
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
  op->popcount_cost_ *= 2;
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
  if (layout != Layout::kChosen) op->popcount_cost_ = HUGE_VAL;
  op->add_sparse(*rules);
  return op->sparse_ == nullptr ? nullptr : std::move(op);
}

BitplaneConvolution::BitplaneConvolution(const KernelTable& kernels, const ConvolutionShape& shape,
                                         bool counts)
    : kernels_(kernels),
      table_(kernels.planes),
      shape_(shape),
      inputs_(kernels, shape),
      positions_(shape.window.out_height * shape.window.out_width),
      depth_(shape.depth()),
      counts_(counts),
      totals_(kernels, shape) {
  for (double* costs : {costs_, sparse_costs_, dense_costs_}) std::fill_n(costs, kMostWidths, HUGE_VAL);
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    input_costs_[i] = static_cast<double>(depth_) * width.input_cost;
    if (!inputs_.shifts())
      input_costs_[i] +=
          static_cast<double>(shape.window.taps() * width.lanes) *
          (table_.gather_cost[0] + static_cast<double>(words_for(shape.in.channels)) * table_.gather_cost[1]);
  }
  popcount_cost_ = popcount_cost(shape.filters);
}

// Of a position.
double BitplaneConvolution::popcount_cost(std::size_t filters) const {
  const double cost =
      table_.popcount_cost[0] + static_cast<double>(words_for(depth_)) * table_.popcount_cost[1];
  const double tap = table_.patch_cost[shape_.in.channels % kWordBits == 0 ? 0 : 1];
  return static_cast<double>(filters) * cost +
         (patches_are_rows(shape_) ? 0 : static_cast<double>(shape_.window.taps()) * tap);
}

// With the fewest planes that lists may hold.
void BitplaneConvolution::expect_dense() {
  price_dense(divide_up(shape_.filters, dense_group()) * depth_);
  if (pays(dense_costs_)) std::copy_n(dense_costs_, table_.count, costs_);
}

void BitplaneConvolution::take_dense(const SignRows& signs, const PlaneOutputs& outputs) {
  if (std::isinf(costs_[0])) return;
  std::fill_n(costs_, table_.count, HUGE_VAL);
  const std::size_t group = dense_group();
  std::optional<PlaneFilters> filters = plane_filters(table_, signs, group, outputs);
  if (!filters.has_value() || (counts_ && filters->bits + group - 1 > kCountRows)) return;
  price_dense(filters->lists.size() - (filters->groups << group));
  std::copy_n(dense_costs_, table_.count, costs_);
  filters_ = std::move(*filters);
  inputs_.find_valid_taps();
}

void BitplaneConvolution::price_dense(std::size_t listed) {
  const std::size_t group = dense_group(), groups = divide_up(shape_.filters, group);
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    dense_costs_[i] = static_cast<double>(listed) * width.plane_cost + input_costs_[i] +
                      static_cast<double>(groups) * width.group_cost[group - 4];
    if (counts_) dense_costs_[i] += sum_cost(width, !half_.empty());
  }
}

void BitplaneConvolution::add_sparse(const SparseRules& rules) {
  if (shape_.filters >= kMostFilters) return;
  auto sparse = std::make_unique<SparseForm>(kernels_, shape_, rules);
  double costs[kMostWidths] = {};
  for (std::size_t i = 0; i < table_.count; ++i)
    costs[i] = input_costs_[i] + sparse->cost(table_.widths[i], inputs_);
  if (keep_sparse(costs)) sparse_ = std::move(sparse);
}

bool BitplaneConvolution::keep_sparse(const double* costs) {
  if (!pays(costs)) return false;
  std::copy_n(costs, table_.count, sparse_costs_);
  if (!pays(costs_)) std::fill_n(costs_, table_.count, HUGE_VAL);
  inputs_.find_valid_taps();
  return true;
}

void BitplaneConvolution::keep_popcount(std::unique_ptr<Operator> product, std::unique_ptr<Operator> rest,
                                        const Chain* chain, ChainSource source) {
  product_ = std::move(product);
  rest_ = std::move(rest);
  chain_ = chain;
  popcount_source_ = source;
}

void BitplaneConvolution::run(const Call& call) const noexcept {
  const double share = filter_share(call.filter_begin, std::min(call.filter_end, shape_.filters));
  for (std::size_t done = 0; done < call.rows;) {
    const Piece piece = next_piece(call.first + done, call.rows - done, share);
    if (piece.form == Form::kMirrored)
      mirrored_->run(call, done, piece.rows, chain_);
    else if (piece.form == Form::kPopcount)
      run_popcount(call, done, piece.rows);
    else
      run_tile(piece, call, done);
    done += piece.rows;
  }
}

std::size_t BitplaneConvolution::scratch(std::size_t) const {
  const std::size_t sums =
      round_up(kPopcountRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::size_t popcount = sums + round_up(product_->scratch(kPopcountRows), kAlignment) +
                               (rest_ == nullptr ? 0 : rest_->scratch(kPopcountRows));
  return std::max({popcount, tile_scratch(), mirrored_ == nullptr ? 0 : mirrored_->scratch()});
}

void BitplaneConvolution::run_popcount(const Call& call, std::size_t done, std::size_t rows) const {
  std::byte* sums = call.scratch;
  std::byte* own =
      sums + round_up(kPopcountRows * shape_.filters * sizeof(std::int32_t) + kSlack, kAlignment);
  const std::byte* input = call.inputs[0];
  if (product_->by_rows(0)) input += (call.first + done) * row_bytes(shape_.in, Storage::kBits);
  const std::size_t words = words_for(shape_.filters);
  if (rest_ == nullptr)
    return product_->run({call.first + done, rows, &input, call.output + done * words * sizeof(Word), own});
  product_->run({call.first + done, rows, &input, sums, own});
  if (chain_ != nullptr) {
    chain_->run_rows({popcount_source_, sums, shape_.filters}, call, call.inputs + 1, done, rows, 0,
                     shape_.filters);
    return;
  }
  const std::byte* product = sums;
  own += round_up(product_->scratch(kPopcountRows), kAlignment);
  rest_->run({call.first + done, rows, &product, call.output + done * words * sizeof(Word), own});
}

std::size_t BitplaneConvolution::tile_scratch() const {
  const PlaneWidth& width = table_.widths[0];
  const std::size_t lane_words = width.lanes / kWordBits;
  std::size_t words = inputs_.plane_words(width) + (out_planes() + classes_ - 1) * lane_words +
                      round_up(inputs_.other_words(width), lane_words);
  if (sparse_ != nullptr) words += sparse_->scratch_words(width, inputs_);
  if (counts_) words += totals_.scratch_words(width, inputs_);
  if (beside_ != nullptr) words += beside_->scratch_words();
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
  if (piece.form != Form::kBeside) inputs_.make(tile);
  if (counts_)
    run_sums(tile, piece.form);
  else if (piece.form == Form::kPlanes)
    run_dense(tile);
  else if (!run_sparse(tile))
    for (std::size_t more = 0; more < piece.rows; more += kPopcountRows)
      run_popcount(call, done + more, std::min(kPopcountRows, piece.rows - more));
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
  planes.counts = false;
  planes.classes = classes_ == 1 ? 0 : mask_classes(tile, differing);
  for (std::size_t c = 0; c < planes.classes; ++c) differing[c] += skipped;
  planes.masks = tile.masks;
  planes.differing = differing;
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
