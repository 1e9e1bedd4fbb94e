#include "ops/two_levels.h"

namespace sb {

TwoLevels::TwoLevels(const KernelTable& kernels, const Edge& out, std::size_t groups,
                     const std::vector<float>& levels)
    : kernels_(kernels),
      rounding_(kernels, out),
      rounds_(out.format != Format::kFloat32),
      channels_(out.channels),
      groups_(groups) {
  for (std::size_t f = 0; f < channels_; ++f) {
    const float low = levels[2 * f], high = levels[2 * f + 1];
    half_.push_back((high - low) / 2.0f);
    middle_.push_back((high + low) / 2.0f);
  }
}

void TwoLevels::run(const Call& call) const noexcept {
  const std::size_t width = channels_ / groups_;
  for (std::size_t r = 0; r < call.rows; ++r)
    for (std::size_t g = 0; g < groups_; ++g) {
      const std::size_t first = g * width;
      const auto shared = static_cast<float>(call.in<std::int32_t>(1)[r * groups_ + g]);
      kernels_.two_levels(call.in<std::int32_t>(0) + r * channels_ + first, half_.data() + first,
                          middle_.data() + first, shared, width, call.out<float>() + r * channels_ + first);
    }
  rounding_.apply(call.out<float>(), call.rows * channels_);
}

}  // namespace sb
