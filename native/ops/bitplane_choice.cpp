// Which form of a convolution takes which rows and filters, and what that is estimated to cost.
#include <algorithm>
#include <bit>
#include <cmath>

#include "ops/bitplane.h"

namespace sb {
namespace {

constexpr std::size_t kUsualBatch = 32;
constexpr std::size_t kMostDivided = 8;  // tiles for each thread
constexpr std::size_t kMostParts = kMostShares;
constexpr double kLeastSaved = 0.9;  // a division must leave less than this of the whole
constexpr double kHandOver = 1000;   // nanoseconds until another thread begins
// Rows of a real stream in pieces come slower from the cache than whole ones: by this at 28x28x128.
constexpr double kStreamInPieces = 1.2;
constexpr std::size_t kMirrorRows = 64;  // of maps of one position
constexpr std::size_t kMostFewSamples = 8;

// When the last of `threads` is done that take part after part, the first of them from the front, the others
// from the back (`ThreadPool`).
double last_end(const Share* parts, std::size_t count, std::size_t threads) {
  double ends[kMostParts] = {};
  for (const Share* end = parts + count; parts < end;) {
    double* next = std::min_element(ends, ends + threads);
    *next += next == ends ? parts++->cost : (--end)->cost;
  }
  return *std::max_element(ends, ends + threads);
}

}  // namespace

const char* BitplaneConvolution::kernel() const {
  if (sparse()) {
    if (mirrored_ != nullptr) return "sparse bit-planes, mirrored for few positions";
    return dense() ? "sparse or dense bit-planes" : "sparse bit-planes";
  }
  if (mirrored_ == nullptr) return "bit-planes";
  return dense() ? "bit-planes, mirrored for few positions" : "mirrored bit-planes";
}

double BitplaneConvolution::filter_share(std::size_t begin, std::size_t end) const {
  return static_cast<double>(words_for(end) - begin / kWordBits) /
         static_cast<double>(words_for(shape_.filters));
}

double BitplaneConvolution::tile_cost(std::size_t width, double share) const {
  return share * (costs_[width] - input_costs_[width]) + input_costs_[width];
}

double BitplaneConvolution::sparse_cost(std::size_t width, double share) const {
  if (share >= 1) return sparse_costs_[width];
  if (sparse_sums_ == nullptr) return HUGE_VAL;
  const bool totals = sparse_sums_->bases().signs() != nullptr;
  const double shared = input_costs_[width] + (totals ? totals_.cost(table_.widths[width], inputs_) : 0);
  return share * (sparse_costs_[width] - shared) + shared;
}

BitplaneConvolution::Piece BitplaneConvolution::next_piece(std::size_t first, std::size_t left,
                                                           double share) const {
  const bool whole = share >= 1;
  Piece best = {Form::kPopcount, nullptr, std::min(left, kPopcountRows), whole ? popcount_cost_ : HUGE_VAL};
  for (std::size_t i = 0; i < table_.count; ++i) {
    const std::size_t covered = std::min(left, table_.widths[i].lanes);
    const double cost = tile_cost(i, share) / static_cast<double>(covered);
    if (cost < best.cost) best = {Form::kPlanes, &table_.widths[i], covered, cost};
    const double sparse = sparse_cost(i, share) / static_cast<double>(covered);
    if (sparse < best.cost) best = {Form::kSparse, &table_.widths[i], covered, sparse};
  }
  if (beside_ != nullptr) {
    const std::size_t covered = std::min(left, kWordBits);
    const double cost = beside_cost(covered, share) / static_cast<double>(covered);
    if (cost < best.cost) best = {Form::kBeside, &table_.widths[table_.count - 1], covered, cost};
  }
  if (mirrored_ != nullptr && whole) {
    const std::size_t map = positions_ == 1 ? kMirrorRows : positions_ - first % positions_;
    const std::size_t rows = std::min(left, map);
    const double cost = mirrored_->cost(first, rows) / static_cast<double>(rows);
    if (cost < best.cost) best = {Form::kMirrored, nullptr, rows, cost};
  }
  return best;
}

double BitplaneConvolution::cost(std::size_t first, std::size_t rows, double share) const {
  double sum = 0;
  for (std::size_t done = 0; done < rows;) {
    const Piece piece = next_piece(first + done, rows - done, share);
    sum += piece.cost * static_cast<double>(piece.rows);
    done += piece.rows;
  }
  return sum;
}

// Of all ways to cut rows and filters, or not to, the one that is done first. More tiles than that balance
// by themselves.
std::size_t BitplaneConvolution::divide(std::size_t rows, std::size_t threads, bool by_filters,
                                        Share* shares) const {
  threads = std::min(threads, kMostParts);
  if (threads < 2 || rows > kMostDivided * threads * table_.widths[0].lanes) return 0;
  const double whole = cost(0, rows, 1);
  shares[0] = {0, rows, 0, shape_.filters, whole};
  double least = kLeastSaved * whole - kHandOver;
  std::size_t count = 1;
  for (std::size_t across = 1; across <= threads; ++across) {
    if (across > 1 && !(by_filters && divides_filters())) break;
    for (bool by_pieces : {false, true}) {
      Share parts[kMostParts];
      const std::size_t found = cut(rows, by_pieces ? 0 : threads / across, across, parts);
      if (found == 0) continue;
      const double end = last_end(parts, found, threads) * (across > 1 && counts_ ? kStreamInPieces : 1);
      if (end < least) least = end, count = found, std::copy_n(parts, found, shares);
    }
  }
  return count;
}

// Rows in `down` equal parts or, if that is 0, in the pieces that one thread would take, and each in `across`
// parts: of the filters, or where a piece has no planes, of its rows. One part of every piece after another,
// so that they stay with a thread. 0 if these are too many.
std::size_t BitplaneConvolution::cut(std::size_t rows, std::size_t down, std::size_t across,
                                     Share* parts) const {
  const std::size_t width = divide_up(words_for(shape_.filters), across) * kWordBits;
  std::size_t count = 0;
  const auto add = [&](std::size_t first, std::size_t covered, std::size_t begin, std::size_t end) {
    if (covered == 0 || begin >= end) return;
    if (count < kMostParts)
      parts[count] = {first, covered, begin, end, cost(first, covered, filter_share(begin, end))};
    ++count;
  };
  for (std::size_t part = 0; part < across; ++part)
    for (std::size_t first = 0; first < rows;) {
      const Piece piece = next_piece(first, rows - first);
      const std::size_t covered = down == 0 ? piece.rows : std::min(rows - first, divide_up(rows, down));
      if (down > 0 || (piece.form != Form::kPopcount && piece.form != Form::kMirrored)) {
        add(first, covered, part * width, std::min(shape_.filters, (part + 1) * width));
      } else {
        const std::size_t step = divide_up(covered, across), done = std::min(part * step, covered);
        add(first + done, std::min(step, covered - done), 0, shape_.filters);
      }
      first += covered;
    }
  return count <= kMostParts ? count : 0;
}

const char* BitplaneConvolution::name(const Piece& piece) const {
  static constexpr const char* kWidths[] = {"bit-planes 64", "bit-planes 128", "bit-planes 256",
                                            "bit-planes 512"};
  static constexpr const char* kSparseWidths[] = {"sparse 64", "sparse 128", "sparse 256", "sparse 512"};
  if (piece.form == Form::kMirrored) return "mirrored";
  if (piece.form == Form::kPopcount) return "popcount";
  if (piece.form == Form::kBeside) return "sparse 16";
  const int place = std::bit_width(piece.width->lanes) - std::bit_width(kWordBits);
  return piece.form == Form::kSparse ? kSparseWidths[place] : kWidths[place];
}

// The density at which the sparse form of `rows` rows costs what the cheapest other form does.
double BitplaneConvolution::break_even(std::size_t rows) const {
  double other = std::isinf(popcount_cost_) ? HUGE_VAL : popcount_cost_ * static_cast<double>(rows);
  double least = HUGE_VAL, listed = 0;
  if (beside_ != nullptr && rows <= kWordBits) least = beside_cost(rows), listed = beside_->listed_cost(rows);
  for (std::size_t i = 0; i < table_.count; ++i) {
    const auto tiles = static_cast<double>(divide_up(rows, table_.widths[i].lanes));
    other = std::min(other, dense_costs_[i] * tiles);
    if (sparse_costs_[i] * tiles >= least) continue;
    least = sparse_costs_[i] * tiles;
    listed = listed_cost(table_.widths[i]) * tiles;
  }
  if (mirrored_ != nullptr) other = std::min(other, mirrored_->cost(0, rows));
  if (std::isinf(other) || listed == 0) return 0;
  return std::clamp(sparse_density() * (other - least + listed) / listed, 0.0, 1.0);
}

std::vector<Choice> BitplaneConvolution::choices(std::size_t rows) const {
  std::vector<Choice> list;
  const auto add = [&list](const char* kernel, std::size_t count, double cost, bool taken) {
    for (Choice& choice : list)
      if (choice.taken && taken && choice.kernel == kernel) {
        choice.rows += count, choice.cost += cost;
        return;
      }
    list.push_back({kernel, count, cost, taken});
  };
  for (std::size_t done = 0; done < rows;) {
    const Piece piece = next_piece(done, rows - done);
    add(name(piece), piece.rows, piece.cost * static_cast<double>(piece.rows), true);
    done += piece.rows;
  }
  const auto all = static_cast<double>(rows);
  if (!std::isinf(popcount_cost_)) add("popcount", rows, popcount_cost_ * all, false);
  for (Form form : {Form::kPlanes, Form::kSparse})
    for (std::size_t i = 0; i < table_.count; ++i) {
      const double cost = form == Form::kPlanes ? costs_[i] : sparse_costs_[i];
      const std::size_t tiles = divide_up(rows, table_.widths[i].lanes);
      if (!std::isinf(cost))
        add(name({form, &table_.widths[i], 0, 0}), rows, cost * static_cast<double>(tiles), false);
    }
  if (beside_ != nullptr) {
    const std::size_t tiles = rows / kWordBits, rest = rows % kWordBits;
    const double cost =
        static_cast<double>(tiles) * beside_cost(kWordBits) + (rest > 0 ? beside_cost(rest) : 0);
    add("sparse 16", rows, cost, false);
  }
  if (mirrored_ != nullptr) add("mirrored", rows, mirrored_->cost(0, rows), false);
  for (Choice& choice : list)
    if (sparse() && choice.kernel.starts_with("sparse"))
      choice.density = sparse_density(), choice.break_even = break_even(rows);
  return list;
}

double BitplaneConvolution::sparse_density() const {
  if (sparse_ != nullptr) return sparse_->density();
  return sparse_sums_ != nullptr ? sparse_sums_->density() : beside_->density();
}

double BitplaneConvolution::beside_cost(std::size_t rows, double share) const {
  const PlaneWidth& width = table_.widths[table_.count - 1];
  const double totals = beside_->bases().signs() == nullptr ? 0 : totals_.cost(width, inputs_);
  const bool made = !inputs_.narrows_map();
  const double inputs = beside_->input_cost(rows, made) + (made ? input_costs_[table_.count - 1] : 0);
  return inputs + totals + share * beside_->cost(rows);
}

bool BitplaneConvolution::pays_for_few(Form form) const {
  if (form == Form::kMirrored ? mirrored_ == nullptr : beside_ == nullptr) return false;
  for (std::size_t samples = 1; samples <= kMostFewSamples; samples *= 2)
    if (next_piece(0, samples * positions_).form == form) return true;
  return false;
}

bool BitplaneConvolution::pays(const double* costs) const {
  for (std::size_t i = 0; i < table_.count; ++i) {
    const std::size_t lanes = table_.widths[i].lanes, rows = std::min(lanes, kUsualBatch * positions_);
    const bool filled = rows == lanes || i + 1 == table_.count || std::isinf(popcount_cost_);
    const double other = popcount_cost_ * static_cast<double>(rows);
    const bool least = costs[i] <= costs_[i] && costs[i] <= sparse_costs_[i] && costs[i] < other;
    if (filled && least) return true;
  }
  return false;
}

}  // namespace sb
