// A convolution whose sums only a pool reads, the largest under each window, with the chain behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "ops/chain.h"
#include "ops/convolution.h"
#include "ops/operator.h"
#include "ops/pool.h"

namespace sb {

// Lines of sums are pooled while they lie in the cache, and never all there at once.
class PooledConvolution final : public Operator {
 public:
  // Whether so many lines of sums stay in the cache.
  static bool fits(const Edge& sums, const Window& pool);
  // Takes `convolution`, and gives what `chain` reads behind it, until it has been given that too. The chain
  // `before`, if there is one, works on the sums before they are pooled; if it is `ordered`, on the largest
  // of those that are next to each other, which it treats alike. `smallest` are the filters of which the
  // smallest sum counts, none where sums are floats.
  PooledConvolution(const KernelTable& kernels, std::unique_ptr<Operator> convolution, const Edge& sums,
                    const Window& pool, std::unique_ptr<Chain> before, bool ordered,
                    const std::vector<bool>& smallest);
  void take(std::unique_ptr<Chain> chain) { chain_ = std::move(chain); }

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t input) const override { return input > 0; }
  bool begins_step() const override { return true; }
  std::size_t granule() const override { return pool_.out_width; }
  std::size_t least_rows() const override { return pool_.out_width * pool_.out_height; }
  std::size_t scratch(std::size_t rows) const override;
  const char* kernel() const override { return convolution_->kernel(); }

 private:
  void find_neighbours();
  void fill(const Call& call, std::size_t line, std::size_t lines, std::byte* ring, std::byte* pointers,
            std::byte* own) const;
  std::size_t row_size() const { return sums_.channels * sizeof(std::int32_t); }
  std::size_t line_bytes() const { return kept_ * row_size(); }
  std::size_t sums_bytes() const {
    return neighbours_.empty() ? 0 : round_up(slots_ * sums_.width * row_size() + kSlack, kAlignment);
  }
  void find_largest(const std::byte** rows, std::size_t count, bool integers, std::byte* out) const;
  void run_before(std::size_t line, std::size_t lines, std::byte* sums) const;
  void pool_line(std::size_t y, const std::byte* ring, std::byte* pointers, std::byte* work,
                 std::byte* out) const;

  const KernelTable& kernels_;
  std::unique_ptr<Operator> convolution_;
  std::unique_ptr<Chain> before_, chain_;
  Edge sums_;
  bool integers_;  // are pooled
  Window pool_;
  std::size_t slots_;  // lines of sums that are kept
  std::vector<std::int32_t> turn_;
  std::size_t kept_;              // values of a line: its columns, or the largest of these
  std::vector<Span> neighbours_;  // that each is the largest of; empty: there is a value a column
  std::vector<Span> windows_;     // the values under each window, `step_` apart
  std::size_t step_;
  // Where the chain comes behind neighbours: per pooled line, whether it treats the lines under it alike.
  std::vector<bool> joined_;
};

}  // namespace sb
