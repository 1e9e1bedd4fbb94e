// Interface of the mirrored bit-plane kernels: lanes are filters, planes their weight bits, and the lists
// name inputs by the bits that a group of positions holds there.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sb {

// Positions that share a pass: four, or seven. Their bits at an input name one of 16 or 128 patterns.
constexpr size_t kFewPositions = 4, kManyPositions = 7;
constexpr size_t patterns_of(size_t positions) { return (size_t)1 << positions; }
// Entries that the kernels may read and write past the end of a list.
constexpr size_t kListSlack = 64;

// Appends to list p the inputs whose bits in the rows of a tap are the bits of p, first row lowest.
struct SortCall {
  const uint64_t* const* rows;  // (tap, position): the channels that each position sees through the tap
  size_t taps, channels;        // inputs: first + tap * channels + channel
  uint16_t first;
  uint64_t* work;   // (sort_words(positions, channels), tap)
  uint16_t* lists;  // (pattern, stride)
  size_t stride;
  uint32_t* ends;  // per pattern
};

// Masks of 16 patterns, or a byte for each channel.
constexpr size_t sort_words(size_t positions, size_t channels) {
  return (channels + 63) / 64 * (positions == kFewPositions ? patterns_of(kFewPositions) : 8);
}

// The bits of a group of positions: whether at least so many inputs differ from the weights; or, where
// `count_bits` is not 0, how many do.
struct MirrorCall {
  const void* planes;     // (inputs + 1, lanes): weight bits, then a plane of zeros
  const uint16_t* lists;  // (pattern, stride)
  size_t stride;
  const uint32_t* begins;   // per pattern: where its list begins
  const uint32_t* lengths;  // multiples of 8
  size_t least_bits;
  const void* least[kManyPositions];  // (least_bits, lanes): the complement of that number
  uint32_t starts[kManyPositions];    // what the sums start below 2^(bits + positions - 1) - 1
  const void* inverted;               // (lanes)
  size_t count_bits;                  // no more than 16
  void* out[kManyPositions];          // (lanes), or the counts bit by bit: (count_bits, lanes)
};

using RunMirrored = void (*)(const MirrorCall&);

struct MirrorTable {
  void (*sort_few)(const SortCall& call);   // for groups of four
  void (*sort_many)(const SortCall& call);  // of seven
  float sort_cost;                          // per input of a group that is sorted
};

}  // namespace sb
