// ±1 weights as rows of bits, 1 for -1: a row for each filter, in the order in which products take its
// inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bits.h"
#include "kernels/bitplane.h"
#include "ops/encoding.h"

namespace sb {

class SignRows {
 public:
  SignRows() = default;
  // All +1.
  SignRows(std::size_t filters, std::size_t depth)
      : filters_(filters), depth_(depth), words_(words_for(depth)), bits_(filters * words_) {}

  bool empty() const { return bits_.empty(); }
  std::size_t filters() const { return filters_; }
  std::size_t depth() const { return depth_; }
  // From a row to the next.
  std::size_t words() const { return words_; }
  Word* row(std::size_t filter) { return bits_.data() + filter * words_; }
  const Word* row(std::size_t filter) const { return bits_.data() + filter * words_; }
  bool get(std::size_t filter, std::size_t k) const { return get_bit(row(filter), k); }
  int sign(std::size_t filter, std::size_t k) const { return get(filter, k) ? -1 : 1; }
  // How many of `count` weights of a filter from `begin` on are -1.
  std::size_t ones(std::size_t filter, std::size_t begin, std::size_t count) const;
  std::size_t ones(std::size_t filter) const { return ones(filter, 0, depth_); }
  // Those whose bit is `bit`.
  std::vector<std::uint16_t> list(std::size_t filter, bool bit) const;

 private:
  std::size_t filters_ = 0, depth_ = 0, words_ = 0;
  std::vector<Word> bits_;
};

// In the order (filter, tap, channel), of bits in the order (filter, channel, tap).
SignRows sign_rows(const PlaneTable& table, const WeightBits& bits, std::size_t filters, std::size_t channels,
                   std::size_t taps);

}  // namespace sb
