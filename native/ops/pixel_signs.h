// Bits of pixels by look-up: a table for every colour that has channels in a word.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/operator.h"

namespace sb {

// What Threshold makes of an image whose channels are those of another one, in any order and number, as a
// thermometer code is: 32 signs of a colour are one look-up.
class PixelSigns final : public Operator {
 public:
  // Channel c is the sign of channel from[c] of `image`, by `cuts` and `inverted` as `Threshold` states them.
  // Null where that needs more tables than stay in the cache.
  static std::unique_ptr<PixelSigns> make(const Edge& image, const std::vector<std::int32_t>& from,
                                          const std::vector<std::int32_t>& cuts,
                                          const std::vector<std::int32_t>& inverted);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return true; }
  const char* kernel() const override { return "look-up"; }

 private:
  struct Part {
    std::size_t word, colour;
    std::vector<Word> table;
  };

  std::size_t colours_ = 0, words_ = 0;
  std::vector<Part> parts_;
};

}  // namespace sb
