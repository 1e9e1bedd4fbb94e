// Interface of the kernels that count filters side by side: for few positions, 32 filters share a register.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sb {

// A plane of 16 positions is 16 bits. A step adds one plane to each filter, picked out of a window of 64
// planes that lie in two registers. Every 64th plane is one of zeros, so that each window has one.
constexpr size_t kBesideLanes = 16, kBesideFilters = 32;
constexpr size_t kWindowPlanes = 64, kWindowSteps = 4;
constexpr size_t kWindowBytes = kWindowSteps * kBesideFilters;

// Where the plane of an input lies, and planes that so many inputs take, with those that are only read.
constexpr size_t beside_plane(size_t input) { return input + input / (kWindowPlanes - 1); }
constexpr size_t beside_planes(size_t inputs) {
  return beside_plane(inputs) / kWindowPlanes * kWindowPlanes + 2 * kWindowPlanes;
}

// The positions [16 part, 16 part + 16) of planes of 64; words past the inputs are read, up to 64.
struct NarrowCall {
  const uint64_t* planes;
  size_t inputs, part;
  uint16_t* out;  // beside_planes(inputs)
};

// Filters are counted with value = 2^(bits - 1) - 1 - subtracted + added, or plainly added where nothing is
// subtracted.
struct BesideCall {
  const uint16_t* planes;
  const uint16_t* begins;    // per window: its first plane
  const uint8_t* picks;      // (window, step / 2, filter, step % 2): places within the window
  size_t subtracted, added;  // windows
  uint32_t inverted;         // filters whose value is turned round: a bit each
  uint8_t* out;              // (position, filter): bytes, or 16 bits where `shorts`
  size_t stride;             // bytes from a position to the next
  bool shorts;
};

// The planes of all taps at once, made of the sources of a map: bit i of a channel at a tap is bit i + offset
// of its two words where `valid`, else `fill`. Inputs follow one another in `work`, (part, tap, channel).
struct NarrowTapsCall {
  const uint64_t* sources;  // (channels in whole words, 2)
  size_t channels, taps;
  const uint64_t* offsets;  // per tap, below 64
  const uint64_t* valid;    // per tap
  uint64_t fill;
  size_t parts;
  uint16_t* work;
  uint16_t* out;  // (part, out_stride)
  size_t out_stride;
};

using RunBeside = void (*)(const BesideCall&);

struct BesideKernels {
  void (*narrow)(const NarrowCall& call);
  void (*narrow_taps)(const NarrowTapsCall& call);
  RunBeside (*select)(size_t bits);  // one of the sizes of sparse_bits
  float narrow_cost;                 // nanoseconds per input
  float taps_cost;                   // per input, of all taps at once
  float window_cost;                 // per window
  float group_cost;                  // per 32 filters beside their windows
};

}  // namespace sb
