#include "ops/mirror.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <utility>

namespace sb {
namespace {

constexpr std::size_t kMostInputs = std::size_t{1} << (kMostPlaneBits - 1);
constexpr std::size_t kMostTables = 64;
constexpr std::size_t kMostScratch = std::size_t{16} << 20;
constexpr std::size_t kListStep = 8;
constexpr std::size_t kBuckets = kPatterns / 2;

// Counter bits for lists of at most `longest` planes.
std::size_t counter_bits(std::size_t longest) {
  if (longest <= 128) return 8;
  return longest <= 512 ? 10 : kMostPlaneBits;
}

}  // namespace

// Four neighbouring outputs of one row, or the same output of four samples where a map has only one.
struct MirroredConvolution::Group {
  std::size_t sample, y, x;
  std::size_t place;         // among the groups of its row
  std::size_t lanes;         // positions that exist
  std::size_t begin, count;  // positions asked for
  std::size_t step;          // samples from one position to the next
};

struct MirroredConvolution::Work {
  std::uint16_t* row_lists;    // (kept row, place, pattern)
  std::size_t* row_lengths;    // (kept row, place, pattern)
  std::ptrdiff_t* row_holds;   // (kept row, place): which row of all samples, or -1
  std::uint16_t* group_lists;  // (pattern)
  std::size_t* group_lengths;
  Word* masks;
  const Word** rows;
  Word* out;
};

std::unique_ptr<MirroredConvolution> MirroredConvolution::make(const PlaneTable& table,
                                                               const ConvolutionShape& shape) {
  if (shape.groups > 1 || shape.in.planes > 1 || shape.depth() >= kMostInputs) return nullptr;
  std::unique_ptr<MirroredConvolution> op(new MirroredConvolution(table, shape));
  if (op->scratch() > kMostScratch) return nullptr;
  op->divide_filters();
  return op;
}

bool MirroredConvolution::take(const SignRows& signs, const OutputClasses& classes) {
  pack_weights(signs);
  return choose_tables(signs, classes);
}

MirroredConvolution::MirroredConvolution(const PlaneTable& table, const ConvolutionShape& shape)
    : table_(table),
      shape_(shape),
      positions_(shape.window.out_height * shape.window.out_width),
      words_(words_for(shape.in.channels)),
      depth_(shape.depth()),
      out_words_(words_for(shape.filters)) {
  const Window& w = shape.window;
  line_groups_ = divide_up(w.out_width, kMirrorGroup);
  kept_rows_ = std::min((w.kernel_y - 1) * w.dilation_y + 1, shape.in.height);
  row_stride_ = w.kernel_x * shape.in.channels + kListSlack;
  group_stride_ = round_up(depth_ + kListSlack, 32);
  padding_.assign(words_, 0);
  for (std::size_t c = 0; shape.pad_value < 0 && c < shape.in.channels; ++c)
    set_bit(padding_.data(), c, true);
}

// Widest registers first; the rest takes the narrowest that holds it.
void MirroredConvolution::divide_filters() {
  for (std::size_t first = 0; first < shape_.filters;) {
    const std::size_t left = shape_.filters - first;
    std::size_t i = 0;
    while (i + 1 < table_.count && table_.widths[i + 1].lanes >= left) ++i;
    columns_.push_back({&table_.widths[i], first, nullptr, nullptr, nullptr});
    first += table_.widths[i].lanes;
    pass_cost_ += static_cast<double>(depth_) * table_.widths[i].mirror_cost + table_.widths[i].group_cost[0];
  }
  sort_cost_ = static_cast<double>(shape_.window.kernel_x * shape_.in.channels) * table_.mirror.sort_cost;
}

void MirroredConvolution::pack_weights(const SignRows& signs) {
  std::size_t lane_words = 0;
  for (const Column& column : columns_) lane_words += column.words();
  planes_ = Buffer((depth_ + 1) * lane_words * sizeof(Word));
  auto* planes = reinterpret_cast<Word*>(planes_.data());
  for (Column& column : columns_) {
    const std::size_t words = column.words();
    column.planes = planes;
    for (std::size_t w = 0; w < words; ++w) {
      const std::size_t first = column.first_filter + w * kWordBits;
      for (std::size_t k = 0; k < depth_; k += kWordBits) {
        const std::size_t inputs = std::min(kWordBits, depth_ - k);
        Word block[kWordBits], turned[kWordBits];
        for (std::size_t i = 0; i < kWordBits; ++i)
          block[i] = first + i < shape_.filters ? signs.row(first + i)[k / kWordBits] : 0;
        table_.transpose(block, 1, turned, 1);
        for (std::size_t i = 0; i < inputs; ++i) planes[(k + i) * words + w] = turned[i];
      }
    }
    std::fill_n(planes + depth_ * words, words, Word{0});
    planes += (depth_ + 1) * words;
  }
}

std::ptrdiff_t MirroredConvolution::input_row(std::size_t y, std::size_t kernel_row) const {
  const Window& w = shape_.window;
  const auto row = static_cast<std::ptrdiff_t>(y * w.stride_y + kernel_row * w.dilation_y) -
                   static_cast<std::ptrdiff_t>(w.top);
  return row >= 0 && row < static_cast<std::ptrdiff_t>(shape_.in.height) ? row : -1;
}

// Positions share a table when they have the same class and leave out the same rows of the window.
bool MirroredConvolution::choose_tables(const SignRows& signs, const OutputClasses& classes) {
  const Window& w = shape_.window;
  const std::size_t row_inputs = w.kernel_x * shape_.in.channels;
  std::vector<std::vector<bool>> left_out;
  std::map<std::pair<std::size_t, std::vector<bool>>, std::size_t> found;
  std::vector<std::pair<std::size_t, std::vector<bool>>> keys;
  for (std::size_t p = 0; p < positions_; ++p) {
    std::size_t type = 0;
    for (std::size_t c = 1; c < classes.outputs.classes; ++c)
      if (get_bit(classes.members.data() + c * words_for(positions_), p)) type = c;
    std::vector<bool> outside;
    for (std::size_t row = 0; row < w.kernel_y; ++row) outside.push_back(input_row(p / w.out_width, row) < 0);
    const auto [place, added] = found.try_emplace({type, std::move(outside)}, keys.size());
    if (added) keys.push_back(place->first);
    if (keys.size() > kMostTables) return false;
    table_of_.push_back(static_cast<std::uint8_t>(place->second));
  }

  // What the padding of a row of the window counts, per filter and row.
  std::vector<std::int64_t> padded(shape_.filters * w.kernel_y);
  for (std::size_t i = 0; i < padded.size(); ++i) {
    const std::size_t ones = signs.ones(i / w.kernel_y, i % w.kernel_y * row_inputs, row_inputs);
    padded[i] = static_cast<std::int64_t>(shape_.pad_value < 0 ? row_inputs - ones : ones);
  }

  least_bits_ = std::bit_width(depth_ + 1);
  std::size_t table_words = 0;
  for (const Column& column : columns_) table_words += (keys.size() * least_bits_ + 1) * column.words();
  tables_ = Buffer(table_words * sizeof(Word));
  auto* words = reinterpret_cast<Word*>(tables_.data());
  std::fill_n(words, table_words, Word{0});
  for (Column& column : columns_) {
    const std::size_t lanes = column.width->lanes;
    column.tables = words;
    for (const auto& [type, outside] : keys) {
      std::int64_t inputs = static_cast<std::int64_t>(depth_);
      for (bool out : outside) inputs -= out ? static_cast<std::int64_t>(row_inputs) : 0;
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::size_t f = column.first_filter + lane;
        std::int64_t least = inputs + 1;  // of no filter: never
        if (f < shape_.filters) {
          least = classes.outputs.least[type * shape_.filters + f];
          for (std::size_t row = 0; row < w.kernel_y; ++row)
            if (outside[row]) least -= padded[f * w.kernel_y + row];
        }
        const std::int64_t complement = ~std::clamp<std::int64_t>(least, 0, inputs + 1);
        for (std::size_t bit = 0; bit < least_bits_; ++bit)
          set_bit(words + bit * column.words(), lane, (complement >> bit & 1) != 0);
      }
      words += least_bits_ * column.words();
    }
    column.inverted = words;
    for (std::size_t lane = 0; lane < lanes && column.first_filter + lane < shape_.filters; ++lane)
      set_bit(words, lane, classes.outputs.inverted[column.first_filter + lane] != 0);
    words += column.words();
  }
  return true;
}

double MirroredConvolution::cost(std::size_t first, std::size_t rows) const {
  const Window& w = shape_.window;
  if (positions_ == 1)
    return static_cast<double>(divide_up(rows, kMirrorGroup)) *
           (pass_cost_ + sort_cost_ * static_cast<double>(w.kernel_y));
  // Whole rows of positions, each of which sorts about as many new rows of inputs as its stride.
  const std::size_t lines = (first + rows - 1) / w.out_width - first / w.out_width + 1;
  const double sorts = static_cast<double>(lines * std::min(w.stride_y, w.kernel_y) + w.kernel_y - 1);
  return static_cast<double>(line_groups_) * (static_cast<double>(lines) * pass_cost_ + sorts * sort_cost_);
}

std::size_t MirroredConvolution::scratch() const {
  const std::size_t rows = kept_rows_ * line_groups_, taps = shape_.window.kernel_x;
  return round_up(rows * kPatterns * row_stride_ * sizeof(std::uint16_t), kAlignment) +
         round_up((rows + 1) * kPatterns * sizeof(std::size_t), kAlignment) +
         round_up(rows * sizeof(std::ptrdiff_t), kAlignment) +
         round_up(kPatterns * group_stride_ * sizeof(std::uint16_t), kAlignment) +
         round_up(kPatterns * taps * words_ * sizeof(Word), kAlignment) +
         round_up(taps * kMirrorGroup * sizeof(Word*), kAlignment) +
         kMirrorGroup * table_.widths[0].lanes / 8;
}

void MirroredConvolution::run(const Call& call, std::size_t done, std::size_t rows) const {
  const std::size_t kept = kept_rows_ * line_groups_, taps = shape_.window.kernel_x;
  std::byte* free = call.scratch;
  const auto take = [&free](std::size_t bytes) {
    std::byte* taken = free;
    free += round_up(bytes, kAlignment);
    return taken;
  };
  Work work;
  work.row_lists =
      reinterpret_cast<std::uint16_t*>(take(kept * kPatterns * row_stride_ * sizeof(std::uint16_t)));
  work.row_lengths = reinterpret_cast<std::size_t*>(take((kept + 1) * kPatterns * sizeof(std::size_t)));
  work.group_lengths = work.row_lengths + kept * kPatterns;
  work.row_holds = reinterpret_cast<std::ptrdiff_t*>(take(kept * sizeof(std::ptrdiff_t)));
  work.group_lists =
      reinterpret_cast<std::uint16_t*>(take(kPatterns * group_stride_ * sizeof(std::uint16_t)));
  work.masks = reinterpret_cast<Word*>(take(kPatterns * taps * words_ * sizeof(Word)));
  work.rows = reinterpret_cast<const Word**>(take(taps * kMirrorGroup * sizeof(Word*)));
  work.out = reinterpret_cast<Word*>(free);
  std::fill_n(work.row_holds, kept, std::ptrdiff_t{-1});

  const std::size_t end = call.first + done + rows;
  for (std::size_t row = call.first + done; row < end;) {
    const Group group = group_at(row, end);
    const std::size_t longest = collect(work, call, group);
    multiply(work, group, longest, call.out<Word>() + (row - call.first) * out_words_);
    row += group.count;
  }
}

MirroredConvolution::Group MirroredConvolution::group_at(std::size_t row, std::size_t end) const {
  if (positions_ == 1) {
    const std::size_t count = std::min(kMirrorGroup, end - row);
    return {row, 0, 0, 0, count, 0, count, 1};
  }
  const std::size_t width = shape_.window.out_width;
  const std::size_t at = row % positions_ % width, x = at / kMirrorGroup * kMirrorGroup;
  const std::size_t lanes = std::min(kMirrorGroup, width - x);
  const std::size_t count = std::min(x + lanes - at, end - row);
  return {row / positions_, row % positions_ / width, x, x / kMirrorGroup, lanes, at - x, count, 0};
}

// The lists of input row y, sorted unless they are still there.
const std::uint16_t* MirroredConvolution::sorted(const Work& work, const Call& call, const Group& group,
                                                 std::ptrdiff_t y, std::size_t** lengths) const {
  const Window& w = shape_.window;
  const auto height = static_cast<std::ptrdiff_t>(shape_.in.height);
  const auto width = static_cast<std::ptrdiff_t>(shape_.in.width);
  const std::size_t slot = static_cast<std::size_t>(y) % kept_rows_ * line_groups_ + group.place;
  std::uint16_t* lists = work.row_lists + slot * kPatterns * row_stride_;
  *lengths = work.row_lengths + slot * kPatterns;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(group.sample) * height + y;
  if (work.row_holds[slot] == row) return lists;
  work.row_holds[slot] = row;
  const auto words = static_cast<std::ptrdiff_t>(words_);
  for (std::size_t t = 0; t < w.kernel_x; ++t)
    for (std::size_t j = 0; j < kMirrorGroup; ++j) {
      // A position that does not exist sees what the last one sees.
      const std::size_t lane = std::min(j, group.lanes - 1);
      const std::size_t along = group.step == 0 ? lane : 0;
      const auto x = static_cast<std::ptrdiff_t>((group.x + along) * w.stride_x + t * w.dilation_x) -
                     static_cast<std::ptrdiff_t>(w.left);
      const std::ptrdiff_t from = row + static_cast<std::ptrdiff_t>(lane * group.step) * height;
      work.rows[t * kMirrorGroup + j] =
          x >= 0 && x < width ? call.in<Word>(0) + (from * width + x) * words : padding_.data();
    }
  table_.mirror.sort({work.rows, w.kernel_x, shape_.in.channels, work.masks, lists, row_stride_, *lengths});
  return lists;
}

// Lists the inputs of a group, each list filled up with the plane of zeros; the result is the longest.
std::size_t MirroredConvolution::collect(const Work& work, const Call& call, const Group& group) const {
  const Window& w = shape_.window;
  std::fill_n(work.group_lengths, kPatterns, std::size_t{0});
  for (std::size_t row = 0; row < w.kernel_y; ++row) {
    const std::ptrdiff_t y = input_row(group.y, row);
    if (y < 0) continue;
    std::size_t* lengths = nullptr;
    const std::uint16_t* lists = sorted(work, call, group, y, &lengths);
    table_.mirror.append({lists, lengths, row_stride_,
                          static_cast<std::uint16_t>(row * w.kernel_x * shape_.in.channels), work.group_lists,
                          group_stride_, work.group_lengths});
  }
  for (std::size_t p = 0; p < kPatterns; ++p)
    std::fill_n(work.group_lists + p * group_stride_ + work.group_lengths[p], kListStep,
                static_cast<std::uint16_t>(depth_));
  return *std::max_element(work.group_lengths, work.group_lengths + kPatterns);
}

void MirroredConvolution::multiply(const Work& work, const Group& group, std::size_t longest,
                                   Word* out) const {
  const std::size_t bits = counter_bits(longest + 1);
  MirrorCall call;
  // A bucket q holds added - subtracted + 2^(bits-1) - 1. Position j sums them with the sign of bit j of q,
  // the negative ones as complements in `bits` + j bits; the last has none. Inputs that are -1 count the
  // complements of their planes.
  for (std::size_t j = 0; j < kMirrorGroup; ++j) {
    std::size_t negative = 0;
    for (std::size_t p = 0; p < kPatterns; ++p) negative += (p >> j & 1) != 0 ? work.group_lengths[p] : 0;
    const std::size_t origin = j + 1 == kMirrorGroup
                                   ? kBuckets * ((std::size_t{1} << (bits - 1)) - 1)
                                   : (kBuckets >> (j + 1)) * ((std::size_t{1} << (bits + j)) - 1);
    const std::size_t width = std::size_t{1} << (bits + kMirrorGroup - 1);
    call.starts[j] = static_cast<std::uint32_t>(width - 1 - origin + negative);
  }
  for (std::size_t p = 0; p < kPatterns; ++p)
    work.group_lengths[p] = round_up(work.group_lengths[p], kListStep);
  call.lists = work.group_lists;
  call.stride = group_stride_;
  call.lengths = work.group_lengths;
  call.least_bits = least_bits_;
  for (const Column& column : columns_) {
    const std::size_t words = column.words();
    call.planes = column.planes;
    call.inverted = column.inverted;
    for (std::size_t j = 0; j < kMirrorGroup; ++j) {
      const std::size_t x = group.x + (group.step == 0 ? std::min(j, group.lanes - 1) : 0);
      const std::size_t place = group.y * shape_.window.out_width + x;
      call.least[j] = column.tables + table_of_[place] * least_bits_ * words;
      call.out[j] = work.out + j * words;
    }
    column.width->mirrored(bits)(call);
    const std::size_t first = column.first_filter / kWordBits;
    const std::size_t kept = std::min(words, out_words_ - first);
    for (std::size_t i = 0; i < group.count; ++i)
      std::copy_n(work.out + (group.begin + i) * words, kept, out + i * out_words_ + first);
  }
}

}  // namespace sb
