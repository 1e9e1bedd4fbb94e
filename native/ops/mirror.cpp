#include "ops/mirror.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace sb {
namespace {

constexpr std::size_t kMostInputs = std::size_t{1} << (kMostPlaneBits - 1);
constexpr std::size_t kMostScratch = std::size_t{16} << 20;
constexpr std::size_t kListStep = 8;
// An input costs so much more where seven positions share a pass, whose lists are shorter.
constexpr double kManyPlane = 1.15, kManySort = 1.4;
// A sum costs so much, nanoseconds, beside what its chain takes after popcount.
constexpr double kSumCost = 0.9;
constexpr std::size_t kListUnit = 2048, kListShift = 96;

// Counter bits for lists of at most `longest` planes.
std::size_t counter_bits(std::size_t longest) {
  if (longest <= 128) return 8;
  return longest <= 512 ? 10 : kMostPlaneBits;
}

// What the kernels add to the count of position j. A bucket q holds its number + 2^(bits-1) - 1. Four
// positions sum them with the sign of bit j of q, negative ones as complements in `bits` + j bits; the last
// has none. Of seven, the first three do so in eight blocks, the last four with the totals of the blocks.
std::size_t sum_origin(std::size_t positions, std::size_t j, std::size_t bits) {
  const auto signed_sum = [](std::size_t bit, std::size_t width) {
    return (std::size_t{8} >> (bit + 1)) * ((std::size_t{1} << (width + bit)) - 1);
  };
  if (j + 1 == positions) return (patterns_of(positions) / 2) * ((std::size_t{1} << (bits - 1)) - 1);
  if (positions == kFewPositions) return signed_sum(j, bits);
  return j < 3 ? 8 * signed_sum(j, bits) : signed_sum(j - 3, bits + 3);
}

}  // namespace

// Outputs of one row, or the same output of several samples where a map has only one.
struct MirroredConvolution::Group {
  std::size_t row;  // of the output: that of the first position
  std::size_t sample, y, x;
  std::size_t lanes;  // positions that exist
  std::size_t gap;    // rows of the output from one to the next
  std::size_t step;   // samples from one to the next
  std::size_t along(std::size_t lane) const { return step == 0 ? lane * gap : 0; }
};

// The rows of inputs that were sorted since the lists were emptied.
struct MirroredConvolution::Lists {
  std::uint16_t* entries;  // (pattern, list_stride_)
  std::uint32_t* begins;   // (row, sort, pattern), and once more: where its inputs begin
};

struct MirroredConvolution::Work {
  Lists lists, left;         // of this group, and of the one to its left
  bool shared;               // `left` holds the same rows
  std::uint32_t* negatives;  // (row + 1, position): inputs of the rows before that are -1
  Word* sorting;
  const Word** rows;
  Word* out;
  std::uint16_t* counts;           // of sums: (row of the sample, filter)
  std::size_t first_row, end_row;  // of the output, that are asked for
  std::ptrdiff_t first;            // the row of inputs that was sorted first
  std::size_t count;               // rows sorted
};

// The rows of lists that a window sees.
struct MirroredConvolution::Seen {
  std::size_t begin;       // the first of them, among those sorted
  std::size_t kernel_row;  // that looks at it
};

std::unique_ptr<MirroredConvolution> MirroredConvolution::make(const PlaneTable& table,
                                                               const ConvolutionShape& shape, bool sums) {
  if (shape.groups > 1 || shape.in.planes > 1 || shape.depth() >= kMostInputs) return nullptr;
  if (sums && table.widths[0].spread_row == nullptr) return nullptr;
  std::unique_ptr<MirroredConvolution> op(new MirroredConvolution(table, shape, sums));
  if (op->scratch() > kMostScratch) return nullptr;
  return op;
}

MirroredConvolution::MirroredConvolution(const PlaneTable& table, const ConvolutionShape& shape, bool sums)
    : table_(table),
      shape_(shape),
      positions_(shape.window.out_height * shape.window.out_width),
      words_(words_for(shape.in.channels)),
      depth_(shape.depth()),
      out_words_(words_for(shape.filters)),
      count_bits_(sums ? std::bit_width(shape.depth()) : 0) {
  const Window& w = shape_.window;
  row_inputs_ = w.kernel_x * shape.in.channels;
  divide_filters();
  choose_group();
  apart_ = w.dilation_y > 1 || w.stride_y >= w.kernel_y || positions_ == 1;
  // Indices have 16 bits, the plane of zeros included.
  const std::size_t most = (std::size_t{0xffff} - depth_) / row_inputs_;
  most_rows_ = apart_ ? w.kernel_y : std::min(shape.in.height, most);
  // Longer lists than those of seven positions are worth sharing.
  shares_ = !apart_ && group_ == kFewPositions && line_groups_ > 1 && w.kernel_x > 1 && w.stride_x == 1 &&
            w.dilation_x == 1 && shape.in.height <= most_rows_;
  sorts_ = shares_ ? 2 : 1;
  // Lists of a power of two would lie in the same lines of a cache.
  list_stride_ = round_up(most_rows_ * row_inputs_ + kListSlack, kListUnit) + kListShift;
  padding_.assign(words_, 0);
  for (std::size_t c = 0; shape.pad_value < 0 && c < shape.in.channels; ++c)
    set_bit(padding_.data(), c, true);
}

// Widest registers first; the rest takes the narrowest that holds it.
void MirroredConvolution::divide_filters() {
  for (std::size_t first = 0; first < shape_.filters;) {
    const std::size_t left = shape_.filters - first;
    std::size_t i = 0;
    while (i + 1 < table_.count && table_.widths[i + 1].lanes >= left &&
           (count_bits_ == 0 || table_.widths[i + 1].spread_row != nullptr))
      ++i;
    columns_.push_back({&table_.widths[i], first, nullptr, nullptr, nullptr});
    first += table_.widths[i].lanes;
    row_counts_ += table_.widths[i].lanes;
  }
}

// Four positions or seven, whichever costs less for a line of the map.
void MirroredConvolution::choose_group() {
  double least = HUGE_VAL;
  for (std::size_t positions : {kFewPositions, kManyPositions}) {
    const bool many = positions == kManyPositions;
    if (many && positions_ == 1) break;  // samples, of which there may be fewer
    // Channels are sorted in words, however few there are.
    const double sorted = static_cast<double>(shape_.window.kernel_x * words_ * kWordBits);
    const double sort = sorted * table_.mirror.sort_cost * (many ? kManySort : 1);
    double pass = 0;
    for (const Column& column : columns_) {
      const PlaneWidth& width = *column.width;
      pass += static_cast<double>(depth_) * width.mirror_cost * (many ? kManyPlane : 1) +
              (many ? width.many_cost : width.group_cost[0]);
    }
    const std::size_t groups = divide_up(shape_.window.out_width, positions);
    if (count_bits_ > 0) pass += static_cast<double>(positions * row_counts_) * kSumCost;
    const double cost = static_cast<double>(groups) * (pass + sort);
    if (cost >= least) continue;
    least = cost;
    group_ = positions, line_groups_ = groups;
    pass_cost_ = pass, sort_cost_ = sort;
  }
  patterns_ = patterns_of(group_);
}

std::ptrdiff_t MirroredConvolution::input_row(std::size_t y, std::size_t kernel_row) const {
  const Window& w = shape_.window;
  const auto row = static_cast<std::ptrdiff_t>(y * w.stride_y + kernel_row * w.dilation_y) -
                   static_cast<std::ptrdiff_t>(w.top);
  return row >= 0 && row < static_cast<std::ptrdiff_t>(shape_.in.height) ? row : -1;
}

double MirroredConvolution::cost(std::size_t first, std::size_t rows) const {
  const Window& w = shape_.window;
  if (positions_ == 1)
    return static_cast<double>(divide_up(rows, group_)) *
           (pass_cost_ + sort_cost_ * static_cast<double>(w.kernel_y));
  // Whole rows of positions, each of which sorts as many new rows of inputs as its stride.
  const std::size_t lines = (first + rows - 1) / w.out_width - first / w.out_width + 1;
  const double sorts =
      static_cast<double>(apart_ ? lines * w.kernel_y : (lines - 1) * w.stride_y + w.kernel_y);
  return static_cast<double>(line_groups_) * (static_cast<double>(lines) * pass_cost_ + sorts * sort_cost_);
}

std::size_t MirroredConvolution::list_bytes() const {
  return round_up(patterns_ * list_stride_ * sizeof(std::uint16_t), kAlignment) +
         round_up((most_rows_ * sorts_ + 1) * patterns_ * sizeof(std::uint32_t), kAlignment);
}

std::size_t MirroredConvolution::scratch() const {
  const std::size_t taps = shape_.window.kernel_x;
  return list_bytes() * (shares_ ? 2 : 1) +
         round_up((most_rows_ + 1) * group_ * sizeof(std::uint32_t), kAlignment) +
         round_up(sort_words(group_, shape_.in.channels) * taps * sizeof(Word), kAlignment) +
         round_up(taps * group_ * sizeof(Word*), kAlignment) +
         group_ * table_.widths[0].lanes / 8 * (count_bits_ > 0 ? kCountRows : 1) +
         (count_bits_ > 0 ? count_rows() * row_counts_ * sizeof(std::uint16_t) + kSlack : 0);
}

void MirroredConvolution::run(const Call& call, std::size_t done, std::size_t rows,
                              const Chain* chain) const {
  const std::size_t taps = shape_.window.kernel_x;
  std::byte* free = call.scratch;
  const auto take = [&free](std::size_t bytes) {
    std::byte* taken = free;
    free += round_up(bytes, kAlignment);
    return taken;
  };
  const auto take_lists = [&]() -> Lists {
    auto* entries = reinterpret_cast<std::uint16_t*>(take(patterns_ * list_stride_ * sizeof(std::uint16_t)));
    auto* begins =
        reinterpret_cast<std::uint32_t*>(take((most_rows_ * sorts_ + 1) * patterns_ * sizeof(std::uint32_t)));
    std::fill_n(begins, patterns_, 0u);
    return {entries, begins};
  };
  Work work;
  work.lists = take_lists();
  work.left = shares_ ? take_lists() : work.lists;
  work.negatives = reinterpret_cast<std::uint32_t*>(take((most_rows_ + 1) * group_ * sizeof(std::uint32_t)));
  work.sorting = reinterpret_cast<Word*>(take(sort_words(group_, shape_.in.channels) * taps * sizeof(Word)));
  work.rows = reinterpret_cast<const Word**>(take(taps * group_ * sizeof(Word*)));
  work.out =
      reinterpret_cast<Word*>(take(group_ * table_.widths[0].lanes / 8 * (count_bits_ > 0 ? kCountRows : 1)));
  work.counts = reinterpret_cast<std::uint16_t*>(free);
  std::fill_n(work.negatives, group_, 0u);
  work.shared = false;

  const std::size_t first = call.first + done, end = first + rows;
  const std::size_t width = shape_.window.out_width, gap = line_groups_;
  for (std::size_t row = first; row < end;) {
    work.count = 0;
    Word* out = call.out<Word>() + (done + row - first) * out_words_;
    work.first_row = row;
    if (positions_ == 1) {
      const std::size_t count = std::min(group_, end - row);
      const Group group = {row, row, 0, 0, count, 1, 1};
      work.end_row = row + count;
      multiply(work, group, collect(work, call, group), out);
      if (count_bits_ > 0) chain_counts(call, *chain, work.counts, done + row - first, count);
      row += count;
      continue;
    }
    // Of one sample, the columns of a group after those of another.
    const std::size_t sample = row / positions_, before = sample * positions_;
    const std::size_t stop = std::min(end, before + positions_);
    work.end_row = stop;
    const std::size_t top = (row - before) / width, bottom = (stop - before - 1) / width;
    for (std::size_t x = 0; x < gap; ++x) {
      work.shared = shares_ && x % 2 == 1;
      std::swap(work.lists, work.left);
      work.count = 0;
      for (std::size_t y = top; y <= bottom; ++y) {
        const Group group = {before + y * width + x, sample, y, x, divide_up(width - x, gap), gap, 0};
        multiply(work, group, collect(work, call, group), out);
      }
    }
    if (count_bits_ > 0) chain_counts(call, *chain, work.counts, done + row - first, stop - row);
    row = stop;
  }
}

// Sorts what a window sees, unless it has been.
MirroredConvolution::Seen MirroredConvolution::collect(Work& work, const Call& call,
                                                       const Group& group) const {
  const Window& w = shape_.window;
  Seen seen = {0, 0};
  while (seen.kernel_row < w.kernel_y && input_row(group.y, seen.kernel_row) < 0) ++seen.kernel_row;
  if (seen.kernel_row == w.kernel_y) return {work.count, 0};
  std::size_t end = w.kernel_y;
  while (end > seen.kernel_row && input_row(group.y, end - 1) < 0) --end;
  const std::ptrdiff_t first = input_row(group.y, seen.kernel_row);
  const std::size_t rows = end - seen.kernel_row;
  if (work.count > 0) seen.begin = static_cast<std::size_t>(first - work.first);
  if (work.count == 0 || apart_ || seen.begin + rows > most_rows_) {
    work.first = first;
    work.count = seen.begin = 0;
  }
  for (; work.count < seen.begin + rows; ++work.count)
    sort(work, call, group, input_row(group.y, seen.kernel_row + work.count - seen.begin));
  return seen;
}

// The inputs of a row that the group to the left sees through all taps but its first.
void MirroredConvolution::take_shared(Work& work) const {
  constexpr std::size_t kBlock = 32;  // whole blocks, which compilers make registers of
  const auto channels = static_cast<std::uint16_t>(shape_.in.channels);
  const std::size_t at = work.count * sorts_ * patterns_;
  for (std::size_t p = 0; p < patterns_; ++p) {
    std::uint32_t* begins = work.lists.begins + at + p;
    const std::uint32_t* others = work.left.begins + at + p;
    const std::uint32_t from = others[patterns_], count = others[2 * patterns_] - from;
    const std::uint16_t* __restrict in = work.left.entries + p * list_stride_ + from;
    std::uint16_t* __restrict out = work.lists.entries + p * list_stride_ + begins[0];
    for (std::size_t i = 0; i < count; i += kBlock)
      for (std::size_t k = i; k < i + kBlock; ++k) out[k] = static_cast<std::uint16_t>(in[k] - channels);
    begins[patterns_] = begins[0] + count;
  }
}

// Adds input row y to the lists.
void MirroredConvolution::sort(Work& work, const Call& call, const Group& group, std::ptrdiff_t y) const {
  const Window& w = shape_.window;
  const auto height = static_cast<std::ptrdiff_t>(shape_.in.height);
  const auto width = static_cast<std::ptrdiff_t>(shape_.in.width);
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(group.sample) * height + y;
  const auto words = static_cast<std::ptrdiff_t>(words_);
  std::uint32_t* negatives = work.negatives + work.count * group_;
  for (std::size_t j = 0; j < group_; ++j) {
    // A position that does not exist sees what the last one sees.
    const std::size_t lane = std::min(j, group.lanes - 1);
    const std::ptrdiff_t from = row + static_cast<std::ptrdiff_t>(lane * group.step) * height;
    std::size_t negative = negatives[j];
    for (std::size_t t = 0; t < w.kernel_x; ++t) {
      const auto x =
          static_cast<std::ptrdiff_t>((group.x + group.along(lane)) * w.stride_x + t * w.dilation_x) -
          static_cast<std::ptrdiff_t>(w.left);
      const Word* seen =
          x >= 0 && x < width ? call.in<Word>(0) + (from * width + x) * words : padding_.data();
      work.rows[t * group_ + j] = seen;
      for (std::size_t i = 0; i < words_; ++i) negative += static_cast<std::size_t>(std::popcount(seen[i]));
    }
    negatives[group_ + j] = static_cast<std::uint32_t>(negative);
  }
  // Of groups that share, the left one sorts its first tap by itself, the right one only its last.
  if (work.shared) take_shared(work);
  for (std::size_t i = work.shared ? 1 : 0; i < sorts_; ++i) {
    const std::size_t begin = i == 0 ? 0 : work.shared ? w.kernel_x - 1 : 1;
    const std::size_t end = i + 1 < sorts_ ? 1 : w.kernel_x;
    std::uint32_t* ends = work.lists.begins + (work.count * sorts_ + i + 1) * patterns_;
    std::copy_n(ends - patterns_, patterns_, ends);
    const std::size_t first = work.count * row_inputs_ + begin * shape_.in.channels;
    const auto sort = group_ == kFewPositions ? table_.mirror.sort_few : table_.mirror.sort_many;
    sort({work.rows + begin * group_, end - begin, shape_.in.channels, static_cast<std::uint16_t>(first),
          work.sorting, work.lists.entries, list_stride_, ends});
  }
}

void MirroredConvolution::multiply(const Work& work, const Group& group, const Seen& seen, Word* out) const {
  // The window's planes, where the first row of inputs that is in the lists would have its own.
  const std::ptrdiff_t before =
      (static_cast<std::ptrdiff_t>(seen.kernel_row) - static_cast<std::ptrdiff_t>(seen.begin)) *
      static_cast<std::ptrdiff_t>(row_inputs_);
  const auto zeros = static_cast<std::uint16_t>(static_cast<std::ptrdiff_t>(depth_) - before);
  const std::uint32_t* begins = work.lists.begins + seen.begin * sorts_ * patterns_;
  const std::uint32_t* ends = work.lists.begins + work.count * sorts_ * patterns_;
  std::uint32_t lengths[patterns_of(kManyPositions)], longest = 0;
  for (std::size_t p = 0; p < patterns_; ++p) {
    std::fill_n(work.lists.entries + p * list_stride_ + ends[p], kListStep, zeros);
    longest = std::max(longest, ends[p] - begins[p]);
    lengths[p] = static_cast<std::uint32_t>(round_up(ends[p] - begins[p], kListStep));
  }
  const std::size_t bits = counter_bits(longest + 1);
  MirrorCall call;
  // Inputs that are -1 count the complements of their planes.
  for (std::size_t j = 0; j < group_; ++j) {
    const std::size_t negative =
        work.negatives[work.count * group_ + j] - work.negatives[seen.begin * group_ + j];
    const std::size_t origin = sum_origin(group_, j, bits);
    const std::size_t width = std::size_t{1} << (bits + group_ - 1);
    call.starts[j] = static_cast<std::uint32_t>(width - 1 - origin + negative);
  }
  call.lists = work.lists.entries;
  call.stride = list_stride_;
  call.begins = begins;
  call.lengths = lengths;
  call.least_bits = least_bits_;
  call.count_bits = std::min(count_bits_, bits + group_ - 1);  // with fewer, counts are smaller
  const bool sums = count_bits_ > 0;
  for (const Column& column : columns_) {
    const std::size_t words = column.words();
    call.planes = column.planes + before * static_cast<std::ptrdiff_t>(words);
    call.inverted = column.inverted;
    for (std::size_t j = 0; j < group_; ++j) {
      const std::size_t x = group.x + group.along(std::min(j, group.lanes - 1));
      const std::size_t place = group.y * shape_.window.out_width + x;
      if (!sums) call.least[j] = column.tables + table_of_[place] * least_bits_ * words;
      call.out[j] = work.out + j * words * (sums ? kCountRows : 1);
    }
    column.width->mirrored(group_, bits)(call);
    const std::size_t first = column.first_filter / kWordBits;
    const std::size_t kept = std::min(words, out_words_ - first);
    for (std::size_t j = 0; j < group.lanes; ++j) {
      const std::size_t row = group.row + j * group.gap;
      if (row < work.first_row || row >= work.end_row) continue;
      if (sums)
        column.width->spread_row(static_cast<const Word*>(call.out[j]), call.count_bits,
                                 reinterpret_cast<Word*>(work.counts + (row - work.first_row) * row_counts_ +
                                                         column.first_filter));
      else
        std::copy_n(work.out + j * words, kept, out + (row - work.first_row) * out_words_ + first);
    }
  }
}

}  // namespace sb
