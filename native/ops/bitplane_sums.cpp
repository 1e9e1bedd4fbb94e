// Sums for a real stream: the counts of a block of channels at a time, which the chain takes from the cache.
#include <algorithm>

#include "ops/bitplane.h"

namespace sb {
namespace {

// Filters whose counts are kept, a multiple of a group of 4 or 5; a block of so many channels goes to the
// chain.
constexpr std::size_t kCounted = 80, kCountedBlock = SparseSums::kBlock;
// Nanoseconds of popcount's sums of two levels, for a filter: their product with the sum that all share.
constexpr double kLevelCost = 0.1;
// Filters that this sum costs as much as.
constexpr std::size_t kSharedFilters = 8;

}  // namespace

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& product,
                                                               const TwoLevels* levels, Layout layout) {
  const ConvolutionShape& shape = product.shape;
  const SignRows& signs = product.filters.signs;
  if (!fits(shape)) return nullptr;
  std::optional<SumBases> bases = sum_bases(shape, {&signs});
  if (!bases.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op(new BitplaneConvolution(kernels, shape, true));
  op->bases_ = std::move(*bases);
  if (levels != nullptr) {
    op->half_ = levels->half(), op->middle_ = levels->middle();
    op->half_.resize(round_up(shape.filters, kChainPadding)), op->middle_.resize(op->half_.size());
    op->popcount_cost_ += op->popcount_cost(kSharedFilters) + kLevelCost * static_cast<double>(shape.filters);
  }
  if (layout != Layout::kChosen) op->popcount_cost_ = HUGE_VAL;
  if (layout == Layout::kChosen || layout == Layout::kPlanes) op->expect_dense();
  const bool rare = density(signs) < kDensest;
  if (layout == Layout::kSparse || (layout == Layout::kChosen && rare)) op->add_sparse_sums({&signs});
  PlaneOutputs all;  // a counter that starts at its own origin
  all.least.assign(shape.filters, 0);
  all.inverted.assign(shape.filters, 0);
  op->take_dense(signs, all);
  if (levels == nullptr && (layout == Layout::kChosen || layout == Layout::kMirrored))
    op->mirrored_ = MirroredConvolution::make(kernels.planes, shape, true);
  if (!op->pays_for_few(Form::kMirrored) || !op->mirrored_->take(signs, op->bases_)) op->mirrored_ = nullptr;
  return op->dense() || op->sparse() || op->mirrored_ != nullptr ? std::move(op) : nullptr;
}

std::unique_ptr<BitplaneConvolution> BitplaneConvolution::make(const KernelTable& kernels,
                                                               const BinaryProduct& first,
                                                               const BinaryProduct& second, Layout layout) {
  const ConvolutionShape& shape = first.shape;
  if (!fits(shape) || layout == Layout::kPlanes) return nullptr;
  std::optional<SumBases> bases = sum_bases(shape, {&first.filters.signs, &second.filters.signs});
  if (!bases.has_value()) return nullptr;
  std::unique_ptr<BitplaneConvolution> op(new BitplaneConvolution(kernels, shape, true));
  op->bases_ = std::move(*bases);
  op->popcount_cost_ *= 2;
  if (layout == Layout::kSparse) op->popcount_cost_ = HUGE_VAL;
  op->add_sparse_sums({&first.filters.signs, &second.filters.signs});
  return op->sparse() ? std::move(op) : nullptr;
}

void BitplaneConvolution::add_sparse_sums(const std::vector<const SignRows*>& products) {
  if (shape_.filters >= kMostFilters) return;
  const bool pair = products.size() == 2;
  const std::optional<SparseRules> rules = count_rules(*products[0], pair ? products[1] : nullptr);
  if (!rules.has_value()) return;
  const CountBases bases(bases_, shape_.filters, depth_, pair);
  auto sums = std::make_unique<SparseSums>(kernels_, *rules, depth_, bases);
  double costs[kMostWidths] = {};
  for (std::size_t i = 0; i < table_.count; ++i) {
    const PlaneWidth& width = table_.widths[i];
    costs[i] = input_costs_[i] + sums->cost(width) + sum_cost(width, !pair);
  }
  if (keep_sparse(costs)) sparse_sums_ = std::move(sums);
  add_beside_sums(*rules, bases);
}

void BitplaneConvolution::add_beside_sums(const SparseRules& rules, const CountBases& bases) {
  if (positions_ > kWordBits || table_.widths[table_.count - 1].lanes != kWordBits) return;
  beside_ = BesideSums::make(kernels_, rules, depth_, bases);
  if (!pays_for_few(Form::kBeside)) beside_ = nullptr;
  if (beside_ != nullptr) inputs_.find_valid_taps();
}

// Of a tile, for what follows the counts, and the totals.
double BitplaneConvolution::sum_cost(const PlaneWidth& width, bool totals) const {
  const double counts =
      static_cast<double>(shape_.filters * width.lanes) * static_cast<double>(table_.count_cost);
  return totals ? counts + totals_.cost(width, inputs_) : counts;
}

// Bits of the outputs; or the counts that are kept, and a block of them turned into rows.
std::size_t BitplaneConvolution::out_planes() const {
  return counts_ ? kCounted * kCountRows + kCountedBlock * kCountRows
                 : round_up(std::max(filters_.padded(), shape_.filters), kWordBits);
}

void BitplaneConvolution::run_sums(const Tile& tile, Form form) const {
  const std::size_t lane_words = tile.lane_words, filter_words = kCountRows * lane_words;
  const std::size_t streams = count_streams(tile.width.lanes), stream = tile.width.lanes / streams;
  const std::size_t column_bytes = tile.width.lanes * kCountBytes;
  auto* rows = reinterpret_cast<std::byte*>(tile.out + kCounted * filter_words);
  Word* narrow = tile.valid + round_up(inputs_.other_words(tile.width), lane_words);
  Word* work = narrow;
  if (form == Form::kBeside) beside_->make(tile, inputs_, narrow), work += beside_->scratch_words();
  const CountBases* listed = nullptr;
  if (form == Form::kSparse) listed = &sparse_sums_->bases();
  if (form == Form::kBeside) listed = &beside_->bases();
  ChainLevels levels{};
  if (listed != nullptr) levels.signs = listed->signs();
  if (!half_.empty()) levels.half = half_.data(), levels.middle = middle_.data();
  const float* totals = nullptr;
  if (levels.signs != nullptr || levels.half != nullptr) totals = totals_.make(tile, inputs_, bases_, work);
  std::size_t done = tile.first_group();
  for (std::size_t begin = tile.filter_begin; begin < tile.filter_end; begin += kCountedBlock) {
    const std::size_t end = std::min(begin + kCountedBlock, tile.filter_end);
    ChainRows counts{kChainBytes, rows, streams * kCountBytes};
    counts.column_stride = column_bytes;
    if (form == Form::kBeside) {
      const bool shorts = beside_->shorts(begin);
      beside_->count(tile, narrow, begin, rows);
      counts.source = shorts ? kChainShorts : kChainBytes;
      counts.stride = kCountedBlock * (shorts ? 2 : 1);
      counts.column_stride = kCountBytes;
    } else {
      const bool sparse = form == Form::kSparse;
      sparse ? sparse_sums_->count(tile, begin, tile.out) : count_groups(tile, end, done);
      const std::size_t first = sparse ? 0 : begin;  // of the counts that are kept
      const std::size_t bits = sparse ? sparse_sums_->bits(begin) : filters_.bits + filters_.group - 1;
      for (std::size_t f = 0, columns = count_columns(bits); f < end - begin; f += columns)
        tile.width.spread(tile.out + (first + f) % kCounted * filter_words, bits,
                          reinterpret_cast<Word*>(rows + f / columns * column_bytes));
      if (bits > kMostByteBits) counts.source = kChainShorts;
    }
    counts.base = listed != nullptr ? listed->bases() : bases_.sums.data();
    counts.scale = listed != nullptr ? -4 : -2;
    counts.base_places = bases_.places.empty() ? nullptr : bases_.places.data();
    for (std::size_t s = 0; s * stream < tile.rows; ++s) {
      counts.rows = rows + s * kCountBytes;
      counts.levels = levels;
      if (totals != nullptr) counts.levels.totals = totals + s * stream;
      chain_->run_rows(counts, tile.call, tile.call.inputs + 1, tile.done + s * stream,
                       std::min(stream, tile.rows - s * stream), begin, end);
    }
  }
}

// The counts of whole groups, up to the one that ends with channel `end`, each where the ones before it leave
// off.
void BitplaneConvolution::count_groups(const Tile& tile, std::size_t end, std::size_t& done) const {
  const std::size_t group = filters_.group, width = filters_.bits + group - 1;
  PlaneCall planes{};
  planes.planes = tile.planes;
  planes.inverted = filters_.inverted.data();
  planes.counts = true;
  for (const std::size_t needed = divide_up(end, group); done < needed; done += planes.groups) {
    const std::size_t slot = done % (kCounted / group);
    planes.groups = std::min(needed - done, kCounted / group - slot);
    planes.lists = filters_.lists.data() + filters_.offsets[done];
    planes.starts = filters_.starts.data() + done * width * group;
    planes.out = tile.out + slot * group * kCountRows * tile.lane_words;
    tile.width.select(group, filters_.bits)(planes);
  }
}

}  // namespace sb
