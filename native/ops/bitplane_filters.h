// ±1 filters as the lists of planes that the bit-plane kernels add.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/bitplane.h"
#include "ops/sign_rows.h"

namespace sb {

// What a layer puts out: bit = (differing inputs >= least) != inverted.
struct PlaneOutputs {
  std::size_t classes = 1;
  std::vector<std::int64_t> least;     // (class, filter), 0..depth + 1
  std::vector<std::uint8_t> inverted;  // per filter
};

struct PlaneFilters {
  std::size_t group = 0;   // filters that share a pass
  std::size_t groups = 0;  // of all filters; the last is filled up
  std::size_t bits = 0;    // of a bucket's counter
  std::vector<std::uint16_t> lists;
  std::vector<std::size_t> offsets;  // per group, where its lists begin
  std::vector<std::uint64_t>
      starts;  // (class, group, bit, filter); those of later classes as differences to the first
  std::vector<std::uint64_t> inverted;

  std::size_t class_stride() const { return groups * (bits + group - 1) * group; }
  std::size_t padded() const { return groups * group; }
};

// Nothing if the lists or counters of the kernels cannot hold them.
std::optional<PlaneFilters> plane_filters(const PlaneTable& table, const SignRows& signs, std::size_t group,
                                          const PlaneOutputs& outputs);

}  // namespace sb
