// Reals as small integers: bytes where only products of bytes read them, also of the largest under a window.
#pragma once

#include <cstdint>
#include <memory>

#include "base/memory.h"
#include "ops/node.h"
#include "ops/operator.h"

namespace sb {

class Quantize final : public Operator {
 public:
  struct Line {
    float inverse_step, zero, low, high;
  };

  Quantize(const KernelTable& kernels, std::size_t channels, const Line& line)
      : kernels_(kernels), channels_(channels), line_(line) {}

  // Bytes from now on, as kBytes or kSigned holds them.
  void narrow(Storage storage) { bytes_ = true, bias_ = storage == Storage::kSigned ? kSignedBias : 0; }

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return true; }
  void bytes(const float* x, std::size_t n, std::uint8_t* out) const {
    kernels_.quantize_bytes(x, line_.inverse_step, line_.zero, line_.low, line_.high, bias_, n, out);
  }

 private:
  const KernelTable& kernels_;
  std::size_t channels_;
  Line line_;
  bool bytes_ = false;
  std::int32_t bias_ = 0;
};

// The largest real under each window, as a byte: the order of reals is that of their bytes, of which a
// register holds four times as many. Lines of bytes are kept as long as windows reach them.
class QuantizedPool final : public Operator {
 public:
  QuantizedPool(const KernelTable& kernels, const Edge& in, const Window& pool,
                std::unique_ptr<Quantize> quantize);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return false; }
  std::size_t granule() const override { return pool_.out_width; }
  std::size_t least_rows() const override { return pool_.out_width * pool_.out_height; }
  std::size_t scratch(std::size_t rows) const override;

 private:
  std::size_t line_size() const { return in_.width * in_.channels; }
  std::size_t ring_bytes() const { return round_up(slots_ * line_size() + kSlack, kAlignment); }
  void pool_line(std::size_t y, std::uint8_t* ring, std::uint8_t* out) const;

  const KernelTable& kernels_;
  Edge in_;
  Window pool_;
  std::unique_ptr<Quantize> quantize_;
  std::size_t slots_;
};

}  // namespace sb
