// Interface of the mirrored bit-plane kernels: lanes are filters, planes their weight bits, and the lists
// name inputs by the bits that four positions hold there.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sb {

// Positions that share a pass; their bits at an input name one of 16 patterns.
constexpr size_t kMirrorGroup = 4;
constexpr size_t kPatterns = (size_t)1 << kMirrorGroup;
// Entries that the kernels may read and write past the end of a list.
constexpr size_t kListSlack = 64;

// Appends to list p the inputs whose bits in the four rows are the bits of p, first row lowest.
struct SortCall {
  const uint64_t* const* rows;  // (tap, position): the channels that each position sees through the tap
  size_t taps, channels;        // inputs: first + tap * channels + channel
  uint16_t first;
  uint64_t* masks;  // (pattern, tap, word of channels), to work in
  uint16_t* lists;  // (pattern, stride)
  size_t stride;
  uint32_t* ends;  // per pattern
};

// The bits of four positions: whether at least so many inputs differ from the weights.
struct MirrorCall {
  const void* planes;     // (inputs + 1, lanes): weight bits, then a plane of zeros
  const uint16_t* lists;  // (pattern, stride)
  size_t stride;
  const uint32_t* begins;   // per pattern: where its list begins
  const uint32_t* lengths;  // multiples of 8
  size_t least_bits;
  const void* least[kMirrorGroup];  // (least_bits, lanes): the complement of that number
  uint32_t starts[kMirrorGroup];    // what the sums start below 2^(bits + 3) - 1
  const void* inverted;             // (lanes)
  void* out[kMirrorGroup];          // (lanes)
};

using RunMirrored = void (*)(const MirrorCall&);

struct MirrorTable {
  void (*sort)(const SortCall& call);
  float sort_cost;  // per input of a group that is sorted
};

}  // namespace sb
