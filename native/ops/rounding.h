// The format of a real edge, applied to freshly computed floats.
#pragma once

#include "kernels/kernels.h"
#include "ops/edge.h"

namespace sb {

class Rounding {
 public:
  Rounding(const KernelTable& kernels, const Edge& out)
      : kernels_(kernels),
        format_(out.kind == Kind::kReal ? out.format : Format::kFloat32),
        step_(out.step) {}

  void apply(float* x, std::size_t n) const {
    if (format_ == Format::kFloat16) kernels_.round_float16(x, n);
    if (format_ == Format::kInt16) kernels_.round_int16(x, step_, n);
  }

 private:
  const KernelTable& kernels_;
  Format format_;
  float step_;
};

}  // namespace sb
