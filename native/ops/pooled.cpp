#include "ops/pooled.h"

#include <algorithm>

#include "base/memory.h"
#include "ops/pool.h"

namespace sb {
namespace {

constexpr std::size_t kMostKept = std::size_t{512} << 10;

std::size_t lines_kept(const Window& pool) {
  return round_up((pool.kernel_y - 1) * pool.dilation_y + 1, pool.stride_y);
}

}  // namespace

bool PooledConvolution::fits(const Edge& sums, const Window& pool) {
  return saturating_product({lines_kept(pool), sums.width, sums.channels, 4}) <= kMostKept;
}

PooledConvolution::PooledConvolution(const KernelTable& kernels, std::unique_ptr<Operator> convolution,
                                     const Edge& sums, const Window& pool, std::unique_ptr<Chain> before,
                                     bool ordered, const std::vector<bool>& smallest)
    : kernels_(kernels),
      convolution_(std::move(convolution)),
      before_(std::move(before)),
      sums_(sums),
      integers_(sums.integral() && before_ == nullptr),
      pool_(pool),
      slots_(lines_kept(pool)),
      kept_(sums.width),
      step_(pool.dilation_x) {
  if (ordered)
    find_neighbours();
  else
    for (std::size_t x = 0; x < pool.out_width; ++x) windows_.push_back(columns_of(pool, sums.width, x));
  if (std::find(smallest.begin(), smallest.end(), true) == smallest.end()) return;
  turn_.assign(round_up(sums.channels, kChainPadding), 0);
  for (std::size_t c = 0; c < sums.channels; ++c) turn_[c] = smallest[c] ? -1 : 0;
}

// Columns under a window that the chain treats alike on every line.
void PooledConvolution::find_neighbours() {
  const auto parts = [this](std::size_t column, std::size_t next) {
    for (std::size_t y = 0; before_ != nullptr && y < sums_.height; ++y)
      if (!before_->alike(y * sums_.width + column, y * sums_.width + next)) return true;
    return false;
  };
  for (std::size_t x = 0; x < pool_.out_width; ++x) {
    const Span columns = columns_of(pool_, sums_.width, x);
    const std::size_t first = neighbours_.size();
    for (std::size_t j = 0; j < columns.count; ++j) {
      const std::size_t column = columns.place + j * pool_.dilation_x;
      if (j == 0 || parts(column - pool_.dilation_x, column)) neighbours_.push_back({column, 0});
      ++neighbours_.back().count;
    }
    windows_.push_back({first, neighbours_.size() - first});
  }
  kept_ = neighbours_.size(), step_ = 1;
  if (before_ == nullptr) return;
  std::vector<std::size_t> positions;
  for (std::size_t y = 0; y < sums_.height; ++y)
    for (const Span& columns : neighbours_) positions.push_back(y * sums_.width + columns.place);
  before_->move(positions);
  for (std::size_t y = 0; y < pool_.out_height; ++y) {
    const Span lines = rows_of(pool_, sums_.height, y);
    bool joined = true;
    for (std::size_t i = 1; i < lines.count; ++i)
      for (std::size_t k = 0; k < kept_; ++k)
        joined = joined &&
                 before_->alike(lines.place * kept_ + k, (lines.place + i * pool_.dilation_y) * kept_ + k);
    joined_.push_back(joined);
  }
}

std::size_t PooledConvolution::scratch(std::size_t) const {
  return round_up(slots_ * line_bytes() + kSlack, kAlignment) +
         round_up(pool_.out_width * row_size() + kSlack, kAlignment) +
         round_up(pool_.taps() * sizeof(void*), kAlignment) + sums_bytes() +
         std::max(convolution_->scratch(slots_ * sums_.width),
                  joined_.empty() ? 0 : pool_.kernel_y * line_bytes() + kSlack);
}

void PooledConvolution::run(const Call& call) const noexcept {
  const std::size_t width = pool_.out_width;
  std::byte* ring = call.scratch;
  std::byte* pooled = ring + round_up(slots_ * line_bytes() + kSlack, kAlignment);
  std::byte* pointers = pooled + round_up(width * row_size() + kSlack, kAlignment);
  std::byte* own = pointers + round_up(pool_.taps() * sizeof(void*), kAlignment);
  std::size_t sample = static_cast<std::size_t>(-1), next = 0;
  for (std::size_t done = 0; done < call.rows; done += width) {
    const std::size_t line = (call.first + done) / width, y = line % pool_.out_height;
    if (line / pool_.out_height != sample) sample = line / pool_.out_height, next = 0;
    const Span lines = rows_of(pool_, sums_.height, y);
    const std::size_t last = lines.place + (lines.count - 1) * pool_.dilation_y;
    for (next = std::max(next, lines.place); next <= last;) {
      const std::size_t count = std::min(last + 1 - next, slots_ - next % slots_);
      fill(call, sample * sums_.height + next, count, ring + next % slots_ * line_bytes(), pointers, own);
      next += count;
    }
    std::byte* out = chain_ == nullptr ? call.output + done * row_size() : pooled;
    pool_line(y, ring, pointers, own, out);
    if (chain_ == nullptr) continue;
    const ChainSource source = integers_ ? kChainInts : kChainFloats;
    chain_->run_rows({source, pooled, sums_.channels}, call, call.inputs + 1, done, width, 0, sums_.channels);
  }
}

// Lines of the convolution, or the largest neighbours in each.
void PooledConvolution::fill(const Call& call, std::size_t line, std::size_t lines, std::byte* out,
                             std::byte* pointers, std::byte* own) const {
  std::byte* sums = neighbours_.empty() ? out : own;
  convolution_->run({line * sums_.width, lines * sums_.width, call.inputs, sums, own + sums_bytes()});
  const auto** rows = reinterpret_cast<const std::byte**>(pointers);
  std::byte* to = out;
  for (std::size_t i = 0; i < lines; ++i, sums += sums_.width * row_size())
    for (const Span& columns : neighbours_) {
      for (std::size_t j = 0; j < columns.count; ++j)
        rows[j] = sums + (columns.place + j * pool_.dilation_x) * row_size();
      find_largest(rows, columns.count, sums_.integral(), to);
      to += row_size();
    }
  if (joined_.empty()) run_before(line, lines, out);
}

// The chain leaves its results where it found the sums.
void PooledConvolution::run_before(std::size_t line, std::size_t lines, std::byte* sums) const {
  if (before_ == nullptr) return;
  const ChainSource source = sums_.integral() ? kChainInts : kChainFloats;
  const std::size_t first = line * kept_, count = lines * kept_;
  before_->run_rows({source, sums, sums_.channels}, {first, count, nullptr, sums, nullptr}, nullptr, 0, count,
                    0, sums_.channels);
}

void PooledConvolution::find_largest(const std::byte** rows, std::size_t count, bool integers,
                                     std::byte* out) const {
  if (integers)
    kernels_.rows.max_ints(reinterpret_cast<const std::int32_t* const*>(rows),
                           turn_.empty() ? nullptr : turn_.data(), count, sums_.channels,
                           reinterpret_cast<std::int32_t*>(out));
  else
    kernels_.rows.max(reinterpret_cast<const float* const*>(rows), count, sums_.channels,
                      reinterpret_cast<float*>(out));
}

void PooledConvolution::pool_line(std::size_t y, const std::byte* ring, std::byte* pointers, std::byte* work,
                                  std::byte* out) const {
  const Span lines = rows_of(pool_, sums_.height, y);
  const auto** rows = reinterpret_cast<const std::byte**>(pointers);
  const auto kept = [=, this](std::size_t i) {
    return ring + (lines.place + i * pool_.dilation_y) % slots_ * line_bytes();
  };
  // Where the chain treats all lines alike, it takes the largest of them; else line by line.
  const bool joined = !joined_.empty() && joined_[y];
  const std::size_t count = joined ? 1 : lines.count;
  for (std::size_t i = 0; !joined_.empty() && i < count; ++i) {
    std::byte* line = work + i * line_bytes();
    if (!joined) std::copy_n(kept(i), line_bytes(), line);
    for (std::size_t k = 0; joined && k < kept_; ++k) {
      for (std::size_t j = 0; j < lines.count; ++j) rows[j] = kept(j) + k * row_size();
      find_largest(rows, lines.count, sums_.integral(), line + k * row_size());
    }
    run_before(lines.place + i * pool_.dilation_y, 1, line);
  }
  for (const Span& window : windows_) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t j = 0; j < window.count; ++j)
        rows[found++] =
            (joined_.empty() ? kept(i) : work + i * line_bytes()) + (window.place + j * step_) * row_size();
    find_largest(rows, found, integers_, out);
    out += row_size();
  }
}

}  // namespace sb
