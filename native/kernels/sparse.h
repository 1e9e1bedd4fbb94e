// Interface of the sparse bit-plane kernels: a filter is the list of its rare inputs, and what all filters
// share, the total of a position, moves their thresholds. Moving planes to the taps serves dense ones too.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/beside.h"
#include "kernels/bitplane.h"

namespace sb {

// Lists are filled up to multiples of this with the plane of zeros.
constexpr size_t kSparseStep = 4;
// Bits of a total: it counts fewer than 2^bits inputs.
constexpr size_t kMostTotalBits = 14;

// Filters whose lists are of one length. With value = 2^(bits - 1) - 1 - subtracted + added, or plainly added
// where nothing is subtracted, and added counting `base`, a bit is: does start + value overflow 2^bits - 1?
struct SparseCall {
  const void* planes;     // (inputs + 1, lanes): the inputs, then a plane of zeros
  const uint16_t* lists;  // (filter, subtracted + added)
  size_t subtracted, added;
  const void* steps;  // further planes, listed anew for every tile
  const uint16_t* step_lists;
  size_t falls, rises;  // (filter, falls + rises): subtracted and added
  const void* base;     // (base_bits, lanes): a number that every filter adds; only without subtraction
  size_t base_bits;
  size_t filters;
  const uint16_t* places;  // per filter, where in `out` it goes
  // Per class (filter). Lanes of later classes start elsewhere: a mask of lanes for each.
  size_t classes;
  const uint32_t* const* starts;
  const void* masks;        // (class - 1, lanes)
  const uint8_t* inverted;  // per filter: the output is turned round
  void* out;                // (place, lanes)
  // Or the values themselves, turned round likewise: `count_bits` planes of each, (place, kCountRows, lanes).
  bool counts = false;
  size_t count_bits = 0;
};

// Sums over the planes of a block: how many of `count` rows have a 1 at each place.
struct TotalCall {
  const uint64_t* rows;
  size_t stride;  // words from a row to the next
  size_t count;
  size_t words;   // of a row; as many as fill registers are read and written
  size_t bits;    // of the sums, kept
  uint64_t* out;  // (bits, out_stride)
  size_t out_stride;
};

// Copies of `channels` planes for the taps of a kernel row, `step` bits apart: bit i of a copy is bit i +
// offset of its source where `valid`, else `fill`.
struct ShiftCall {
  const uint64_t* source;  // readable for one word past the last bit used
  size_t source_stride;    // words
  size_t channels, taps;
  size_t offset, step;    // bits, of the first tap and from tap to tap
  const uint64_t* valid;  // (tap, lanes)
  uint64_t fill;          // all ones or zeros
  uint64_t* out;          // (tap, channels, lanes)
};

// Adds the numbers at source + offset, or `fill` where not `valid`, to those at `out`.
struct TapCall {
  const uint64_t* source;  // (bits, source_stride), readable for one word past the last bit used
  size_t source_stride, bits, offset;
  const uint64_t* valid;  // (lanes)
  uint32_t fill;
  uint64_t* out;  // (out_bits, lanes)
  size_t out_bits;
};

// Plane j: the lanes whose total is below first + 1 + j; first and count are multiples of 8.
struct StepCall {
  const uint64_t* totals;  // (bits, lanes)
  size_t bits, first, count;
  uint64_t* out;  // (count, lanes)
};

// Of 64 lanes a word, the numbers that `bits` planes make of each, or the planes of the numbers.
struct NumberCall {
  uint64_t* planes;  // (bits, stride)
  size_t stride, bits, words;
  uint16_t* numbers;  // (64 words)
};

// Bits of a counter that holds so many: one of the sizes that kernels come in.
constexpr size_t sparse_bits(size_t needed) {
  return needed <= 5 ? 5 : needed <= 9 ? needed : needed <= 11 ? 11 : 14;
}

using RunSparse = void (*)(const SparseCall&);

// One register width.
struct SparseWidth {
  RunSparse (*select)(size_t bits);
  void (*shift)(const ShiftCall& call);
  void (*sum_rows)(const TotalCall& call);
  void (*add_tap)(const TapCall& call);
  void (*step_planes)(const StepCall& call);
};

// Of the widths of a PlaneTable.
struct SparseTable {
  SparseWidth widths[kMostWidths];
  void (*number)(const NumberCall& call);
  void (*plane)(const NumberCall& call);
  float filter_cost[kMostWidths];  // nanoseconds per filter, beside its planes
  float list_cost;                 // of a listed plane in the first cache, of what it costs dense lists
  float lane_cost;                 // nanoseconds per lane, to look its total up in the table of a line
  const BesideKernels* beside = nullptr;  // null where registers cannot
};

extern const SparseTable kGenericSparse;
#if defined(SIGNBIT_X86_64)
extern const SparseTable kAvx2Sparse;
extern const SparseTable kAvx512Sparse;
#endif

}  // namespace sb
