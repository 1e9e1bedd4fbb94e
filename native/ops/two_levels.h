// The real sums of a layer whose weights take two values.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/operator.h"
#include "ops/rounding.h"

namespace sb {

// half * sum + middle * S, where S (groups channels) is what the filters of a group share.
class TwoLevels final : public Operator {
 public:
  // `levels` (filter, 2): low and high.
  TwoLevels(const KernelTable& kernels, const Edge& out, std::size_t groups,
            const std::vector<float>& levels);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return true; }

  std::size_t groups() const { return groups_; }
  bool rounds() const { return rounds_; }
  const std::vector<float>& half() const { return half_; }
  const std::vector<float>& middle() const { return middle_; }

 private:
  const KernelTable& kernels_;
  Rounding rounding_;
  bool rounds_;  // to a narrower format
  std::size_t channels_, groups_;
  std::vector<float> half_, middle_;
};

}  // namespace sb
