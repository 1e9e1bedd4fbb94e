#include "ops/sparse.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/memory.h"
#include "ops/bitplane_outputs.h"

namespace sb {
namespace {

// Planes of steps of a tile, and steps of a filter in it; where there are more, popcount takes the tile.
constexpr std::size_t kMostStepPlanes = 1024;
constexpr std::size_t kMostSteps = 512;
constexpr std::size_t kLeastTotalBits = 3;
// Bits of a line's value, and of its rest.
constexpr std::size_t kLineBits = 16;
// Totals of random inputs lie within so many times the root of the depth.
constexpr double kUsualSpread = 3.5;

// The least and the largest number of the first `lanes` lanes.
std::pair<std::size_t, std::size_t> extremes(const Word* totals, std::size_t bits, std::size_t lane_words,
                                             std::size_t lanes) {
  Word low[kWordBits / 8], high[kWordBits / 8];  // lanes that may hold it
  const std::size_t words = words_for(lanes);
  for (std::size_t w = 0; w < words; ++w)
    low[w] = high[w] = low_bits(std::min(kWordBits, lanes - w * kWordBits));
  std::size_t least = 0, most = 0;
  for (std::size_t bit = bits; bit-- > 0;) {
    const Word* plane = totals + bit * lane_words;
    Word some_zero = 0, some_one = 0;
    for (std::size_t w = 0; w < words; ++w) some_zero |= low[w] & ~plane[w], some_one |= high[w] & plane[w];
    if (some_zero == 0) least |= std::size_t{1} << bit;
    if (some_one != 0) most |= std::size_t{1} << bit;
    for (std::size_t w = 0; w < words; ++w) {
      if (some_zero != 0) low[w] &= ~plane[w];
      if (some_one != 0) high[w] &= plane[w];
    }
  }
  return {least, most};
}

}  // namespace

SparseForm::SparseForm(const KernelTable& kernels, const ConvolutionShape& shape, const SparseRules& rules)
    : table_(sparse_table(kernels)),
      planes_(kernels.planes),
      shape_(shape),
      filters_(arrange(rules, shape.depth())),
      depth_(shape.depth()),
      total_bits_(std::max(kLeastTotalBits, static_cast<std::size_t>(std::bit_width(shape.depth())))) {}

double SparseForm::listed_cost(const PlaneWidth& width) const {
  return list_cost(table_, width, filters_, depth_);
}

double SparseForm::cost(const PlaneWidth& width, const PlaneInputs& inputs) const {
  const auto plane = static_cast<double>(width.plane_cost), filters = static_cast<double>(shape_.filters);
  const auto filter = static_cast<double>(table_.filter_cost[&width - planes_.widths]);
  double sum = listed_cost(width) + filters * filter;
  if (filters_.moving == Moving::kNot) return sum;
  sum += inputs.sum_cost(width, total_bits_);
  if (filters_.moving == Moving::kHalf) return sum;
  if (filters_.moving == Moving::kLine)
    return sum + filters * plane + static_cast<double>(width.lanes) * static_cast<double>(table_.lane_cost);
  const double spread =
      std::min(static_cast<double>(depth_), kUsualSpread * std::sqrt(static_cast<double>(depth_))) +
      static_cast<double>(filters_.granule);
  return sum + plane * (spread + filters * spread * filters_.slope);
}

std::size_t SparseForm::scratch_words(const PlaneWidth& width, const PlaneInputs& inputs) const {
  const std::size_t lane_words = width.lanes / kWordBits;
  const std::size_t lists = divide_up(filters_.classes * kMostRun * sizeof(std::uint32_t) +
                                          kMostRun * kMostSteps * sizeof(std::uint16_t),
                                      sizeof(Word)) +
                            8;
  if (filters_.moving == Moving::kNot) return round_up(lists, 8);
  const std::size_t work = total_bits_ * inputs.total_stride(width);
  return round_up(lists + work, 8) + total_words(lane_words) + step_words(lane_words);
}

// Of a line: the planes of its cuts, of its steps, and of its own bits, and three numbers for every lane.
std::size_t SparseForm::step_words(std::size_t lane_words) const {
  switch (filters_.moving) {
    case Moving::kNot:
      return 0;
    case Moving::kHalf:
      return (total_bits_ + 1) * lane_words;
    case Moving::kSteps:
      return kMostStepPlanes * lane_words;
    case Moving::kLine:
      break;
  }
  return (round_up(filters_.line.cuts, 8) + kMostStepPlanes + 1 + 2 * kLineBits +
          3 * sizeof(std::uint16_t) * 8) *
         lane_words;
}

bool SparseForm::prepare(const PlaneTile& tile, const PlaneInputs& inputs, Word* work, Shared& shared) const {
  shared.totals = work;
  shared.first_row = shared.rows = shared.base_bits = shared.cut_planes = shared.exceptions = 0;
  shared.base_planes = nullptr;
  shared.base = 0;
  if (filters_.moving != Moving::kNot) work += total_words(tile.lane_words);
  shared.steps = work;
  work += step_words(tile.lane_words);
  Word* sums = work;
  if (filters_.moving != Moving::kNot) work += total_bits_ * inputs.total_stride(tile.width);
  shared.starts = reinterpret_cast<std::uint32_t*>(work);
  shared.step_lists = reinterpret_cast<std::uint16_t*>(shared.starts + filters_.classes * kMostRun);
  if (filters_.moving == Moving::kNot) return true;
  inputs.sum(tile, total_bits_, shared.totals, sums);
  const auto [least, most] = extremes(shared.totals, total_bits_, tile.lane_words, tile.rows);
  if (reads_steps()) {
    if (filters_.moving == Moving::kLine) prepare_line(tile, least, most, shared);
    return prepare_steps(tile, least, most, shared);
  }
  prepare_half(tile, least, most, shared);
  return true;
}

bool SparseForm::prepare_steps(const PlaneTile& tile, std::size_t least, std::size_t most,
                               Shared& shared) const {
  const std::size_t granule = filters_.granule;
  shared.first_row = least / granule;
  shared.rows = most / granule + 1 - shared.first_row;
  std::size_t longest = 0;
  for (const SparseRun& run : filters_.runs)
    longest =
        std::max(longest, most_steps(filters_.falls, run, shared) + most_steps(filters_.rises, run, shared));
  if (longest == 0) return true;
  if (longest >= kMostSteps) return false;
  if (filters_.moving == Moving::kLine) return prepare_exceptions(tile, shared);
  if (shared.rows * granule > kMostStepPlanes) return false;
  kernels(tile.width)
      .step_planes(
          {shared.totals, total_bits_, shared.first_row * granule, shared.rows * granule, shared.steps});
  return true;
}

// Few filters have few of them, often at the same totals: eight planes are made for each, and then a plane of
// zeros.
bool SparseForm::prepare_exceptions(const PlaneTile& tile, Shared& shared) const {
  const std::size_t entries = filters_.places.size(), words = tile.lane_words;
  for (bool rises : {true, false}) {
    const StepTable& table = rises ? filters_.rises : filters_.falls;
    const std::uint16_t* from = table.counts.data() + shared.first_row * entries;
    const std::uint16_t* to = from + shared.rows * entries;
    for (std::size_t entry = 0; entry < entries; ++entry)
      for (std::size_t k = from[entry]; k < to[entry]; ++k) {
        const std::uint16_t at = table.steps[table.offsets[entry] + k];
        const std::uint16_t* known = rises ? shared.rises_at : shared.falls_at;
        if (std::find(known, known + shared.exceptions, at) != known + shared.exceptions) continue;
        if (shared.exceptions == kMostExceptions) return false;
        Word* planes = shared.steps + (shared.cut_planes + 8 * shared.exceptions) * words;
        const std::size_t place = (at - 1) % 8;
        kernels(tile.width).step_planes({shared.totals, total_bits_, at - 1 - place, 8, planes});
        for (std::size_t w = 0; !rises && w < words; ++w)
          planes[place * words + w] = ~planes[place * words + w];
        shared.rises_at[shared.exceptions] = rises ? at : 0;
        shared.falls_at[shared.exceptions++] = rises ? 0 : at;
      }
  }
  std::fill_n(shared.steps + (shared.cut_planes + kMostStepPlanes) * words, words, Word{0});
  return true;
}

std::size_t SparseForm::list_exceptions(const StepTable& table, std::size_t entry, const Shared& shared,
                                        const std::uint16_t* known, std::uint16_t* list) const {
  if (table.steps.empty()) return 0;
  const std::size_t entries = filters_.places.size();
  const std::size_t from = table.counts[shared.first_row * entries + entry];
  const std::size_t to = table.counts[(shared.first_row + shared.rows) * entries + entry];
  for (std::size_t k = from; k < to; ++k) {
    const std::uint16_t at = table.steps[table.offsets[entry] + k];
    const auto slot = static_cast<std::size_t>(std::find(known, known + shared.exceptions, at) - known);
    *list++ = static_cast<std::uint16_t>(shared.cut_planes + 8 * slot + (at - 1u) % 8);
  }
  return to - from;
}

// Totals become numbers, which a table turns into the line's value and rest, which become planes again.
void SparseForm::prepare_line(const PlaneTile& tile, std::size_t least, std::size_t most,
                              Shared& shared) const {
  const std::size_t words = tile.lane_words, lanes = tile.width.lanes;
  const LineTable& line = filters_.line;
  shared.cut_planes = round_up(line.cuts, 8);
  Word* rests = shared.steps + (shared.cut_planes + kMostStepPlanes + 1) * words;
  Word* base = rests + kLineBits * words;
  auto* numbers = reinterpret_cast<std::uint16_t*>(base + kLineBits * words);
  std::uint16_t *rest = numbers + lanes, *value = rest + lanes;
  table_.number({shared.totals, words, total_bits_, words, numbers});
  const std::uint32_t from = line.entries[least] >> 16;
  for (std::size_t i = 0; i < lanes; ++i) {
    const std::uint32_t entry = line.entries[numbers[i]];
    rest[i] = static_cast<std::uint16_t>(entry);
    value[i] = static_cast<std::uint16_t>(from - 1 - (entry >> 16));
  }
  shared.base_bits = static_cast<std::size_t>(std::bit_width((line.entries[most] >> 16) - from));
  shared.base = static_cast<std::int64_t>(from) + (std::int64_t{1} << shared.base_bits) - 1;
  shared.base_planes = base;
  table_.plane({rests, words, line.rest_bits, words, rest});
  table_.plane({base, words, shared.base_bits, words, value});
  kernels(tile.width).step_planes({rests, line.rest_bits, 0, shared.cut_planes, shared.steps});
}

// Half the total, less the least half: its complement is added to every count; after it the complement of the
// lowest bit.
void SparseForm::prepare_half(const PlaneTile& tile, std::size_t least, std::size_t most,
                              Shared& shared) const {
  const std::size_t words = tile.lane_words;
  const std::size_t from = least / 2;
  shared.base_bits = static_cast<std::size_t>(std::bit_width(most / 2 - from));
  shared.base = static_cast<std::int64_t>(from) + (std::int64_t{1} << shared.base_bits) - 1;
  Word* base = shared.steps + words;
  shared.base_planes = base;
  for (std::size_t w = 0; w < words; ++w) {
    shared.steps[w] = ~shared.totals[w];
    Word borrow = 0;
    for (std::size_t bit = 0; bit < shared.base_bits; ++bit) {
      const Word half = bit + 1 < total_bits_ ? shared.totals[(bit + 1) * words + w] : 0;
      const Word taken = (from >> bit & 1) != 0 ? ~Word{0} : 0;
      base[bit * words + w] = ~(half ^ taken ^ borrow);
      borrow = (~half & (taken | borrow)) | (taken & borrow);
    }
  }
}

std::size_t SparseForm::most_steps(const StepTable& table, const SparseRun& run, const Shared& shared) const {
  if (table.steps.empty()) return 0;
  const std::size_t entries = filters_.places.size();
  const std::uint16_t* from = table.counts.data() + shared.first_row * entries + run.first;
  const std::uint16_t* to = from + shared.rows * entries;
  int most = 0;
  for (std::size_t i = 0; i < run.count; ++i) most = std::max(most, to[i] - from[i]);
  return static_cast<std::size_t>(most);
}

// Every filter of a run lists equally many planes: those after its last step hold everywhere.
void SparseForm::list_steps(const StepTable& table, const SparseRun& run, const Shared& shared,
                            std::size_t width, std::uint16_t* lists) const {
  const std::size_t most = most_steps(table, run, shared), entries = filters_.places.size();
  if (most == 0) return;
  const std::size_t planes = shared.rows * filters_.granule;
  const std::size_t before = shared.first_row * filters_.granule + 1;  // the total of the first plane
  for (std::size_t i = 0; i < run.count; ++i) {
    const std::size_t entry = run.first + i;
    const std::size_t from = table.counts[shared.first_row * entries + entry];
    const std::size_t count = table.counts[(shared.first_row + shared.rows) * entries + entry] - from;
    const std::uint16_t* steps = table.steps.data() + table.offsets[entry] + from;
    std::uint16_t* out = lists + i * width;
    for (std::size_t k = 0; k < count; ++k) out[k] = static_cast<std::uint16_t>(steps[k] - before);
    for (std::size_t k = count; k < most; ++k) out[k] = static_cast<std::uint16_t>(planes - 1);
  }
}

// The cut of each filter of a run, and its exceptions; `own` is what these are certain to add.
void SparseForm::list_line(const SparseRun& run, const Shared& shared, std::size_t width,
                           std::int32_t* own) const {
  for (std::size_t i = 0; i < run.count; ++i) {
    std::uint16_t* list = shared.step_lists + i * width;
    *list++ = filters_.line.cut_of[run.first + i];
    const std::size_t rises = list_exceptions(filters_.rises, run.first + i, shared, shared.rises_at, list);
    const std::size_t falls =
        list_exceptions(filters_.falls, run.first + i, shared, shared.falls_at, list + rises);
    std::fill(list + rises + falls, shared.step_lists + (i + 1) * width,
              static_cast<std::uint16_t>(shared.cut_planes + kMostStepPlanes));
    own[i] = static_cast<std::int32_t>(rises);
  }
}

// The steps that each filter of a run has made before the tile's first row.
void SparseForm::add_steps(const StepTable& table, const SparseRun& run, const Shared& shared,
                           std::int32_t sign, std::int32_t* own) const {
  if (table.steps.empty()) return;
  const std::uint16_t* made = table.counts.data() + shared.first_row * filters_.places.size() + run.first;
  for (std::size_t i = 0; i < run.count; ++i) own[i] += sign * made[i];
}

void SparseForm::run(const PlaneTile& tile, const Shared& shared, Word* out) const {
  const std::uint32_t* starts[kMostClasses];
  SparseCall call;
  call.planes = tile.planes;
  call.steps = shared.steps;
  call.step_lists = shared.step_lists;
  call.base = shared.base_planes;
  call.base_bits = shared.base_bits;
  call.classes = filters_.classes;
  call.starts = starts;
  call.masks = shared.masks;
  call.out = out;
  const std::size_t entries = filters_.places.size();
  for (std::size_t c = 0; c < filters_.classes; ++c) starts[c] = shared.starts + c * kMostRun;
  for (const SparseRun& run : filters_.runs) {
    call.lists = filters_.lists.data() + run.lists;
    call.subtracted = run.subtracted;
    call.added = run.added;
    call.falls = most_steps(filters_.falls, run, shared);
    call.rises = most_steps(filters_.rises, run, shared);
    const bool line = filters_.moving == Moving::kLine;
    const std::size_t width = call.falls + call.rises + (line ? 1 : 0);
    std::int64_t certain = static_cast<std::int64_t>(call.rises) - static_cast<std::int64_t>(call.falls);
    call.step_lists = shared.step_lists;
    std::int32_t own[kMostRun] = {};
    if (line) {
      // What a line adds cannot be subtracted, so that falls are added as complements. A rise is counted with
      // the filter that has it.
      certain = 1;
      call.rises = width, call.falls = 0;
      if (width == 1)
        call.step_lists = filters_.line.cut_of.data() + run.first;
      else
        list_line(run, shared, width, own);
    } else if (width > 0) {
      list_steps(filters_.falls, run, shared, width, shared.step_lists);
      list_steps(filters_.rises, run, shared, width, shared.step_lists + call.falls);
    }
    if (run.odd && filters_.moving == Moving::kHalf) {
      call.rises = 1;
      std::fill_n(shared.step_lists, run.count, std::uint16_t{0});
    }
    call.filters = run.count;
    call.places = filters_.places.data() + run.first;
    call.inverted = filters_.inverted.data() + run.first;

    const std::size_t lost = run.subtracted + call.falls;
    const std::size_t won = run.added + call.rises + (std::size_t{1} << shared.base_bits) - 1;
    const bool both = lost > 0;
    const auto needed =
        static_cast<std::size_t>(both ? std::bit_width(std::max(lost, won)) + 1 : std::bit_width(won + 1));
    const std::size_t bits = sparse_bits(needed);
    const auto all = static_cast<std::int32_t>((std::uint32_t{1} << bits) - 1);
    const auto origin =
        static_cast<std::int32_t>((both ? (std::int64_t{1} << (bits - 1)) - 1 : 0) + shared.base + certain +
                                  (run.odd && filters_.moving == Moving::kHalf ? 1 : 0));
    add_steps(filters_.rises, run, shared, 1, own);
    add_steps(filters_.falls, run, shared, -1, own);
    for (std::size_t c = 0; c < filters_.classes; ++c) {
      const std::int32_t* least = filters_.least.data() + c * entries + run.first;
      for (std::size_t i = 0; i < run.count; ++i)
        shared.starts[c * kMostRun + i] =
            static_cast<std::uint32_t>(all - std::clamp(least[i] + own[i] + origin, 0, all));
    }
    kernels(tile.width).select(bits)(call);
  }
}

}  // namespace sb
