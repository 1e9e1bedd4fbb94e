// A convolution whose sums only a pool reads, the largest under each window, with the chain behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/chain.h"
#include "ops/convolution.h"
#include "ops/operator.h"

namespace sb {

// Lines of sums are pooled while they lie in the cache, and never all there at once.
class PooledConvolution final : public Operator {
 public:
  // Whether so many lines of sums stay in the cache.
  static bool fits(const Edge& sums, const Window& pool);
  // Takes `convolution`, and gives what `chain` reads behind it, until it has been given that too. The chain
  // `before`, if there is one, works on the sums before they are pooled; `smallest` are the filters of which
  // the smallest sum counts, none where sums are floats.
  PooledConvolution(const KernelTable& kernels, std::unique_ptr<Operator> convolution, const Edge& sums,
                    const Window& pool, std::unique_ptr<Chain> before, const std::vector<bool>& smallest);
  void take(std::unique_ptr<Chain> chain) { chain_ = std::move(chain); }

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t input) const override { return input > 0; }
  bool begins_step() const override { return true; }
  std::size_t granule() const override { return pool_.out_width; }
  std::size_t least_rows() const override { return pool_.out_width * pool_.out_height; }
  std::size_t scratch(std::size_t rows) const override;
  const char* kernel() const override { return convolution_->kernel(); }

 private:
  void fill(const Call& call, std::size_t row, std::size_t rows, std::byte* out, std::byte* own) const;
  std::size_t line_bytes() const { return sums_.width * sums_.channels * sizeof(std::int32_t); }
  void pool_line(std::size_t y, const std::byte* ring, std::byte* pointers, std::byte* out) const;

  const KernelTable& kernels_;
  std::unique_ptr<Operator> convolution_;
  std::unique_ptr<Chain> before_, chain_;
  Edge sums_;
  bool integers_;  // are pooled
  Window pool_;
  std::size_t slots_;  // lines of sums that are kept
  std::vector<std::int32_t> turn_;
};

}  // namespace sb
