// Interface of the bit-plane kernels: how a layer of ±1 weights is given to them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/mirror.h"

namespace sb {

// Rows of planes that the count of a filter takes: four filters fill a block of 64.
constexpr size_t kCountRows = 16;

// Counts as numbers of 16 bits, of up to 8 bits as bytes: those of a lane that fill 16 bytes lie side by
// side, one a filter. The 128 lanes of a stream follow one another, streams take turns: (lane % 128, lane /
// 128, filter).
constexpr size_t kCountBytes = 16;
constexpr size_t kMostByteBits = 8;
constexpr size_t count_columns(size_t bits) { return kCountBytes / (bits > kMostByteBits ? 2 : 1); }
constexpr size_t count_streams(size_t lanes) { return lanes < 128 ? 1 : lanes / 128; }

// Bits of the counter of a bucket: it holds fewer than 2^(bits - 1) planes of one sign.
constexpr size_t kLeastPlaneBits = 5;
constexpr size_t kMostPlaneBits = 14;

// Lists of planes are filled up to multiples of this.
constexpr size_t kPlaneStep = 8;
// Filters that share a pass, at most, and the buckets that planes of as many go to.
constexpr size_t kMostGroup = 5;
constexpr size_t kMostBuckets = (size_t)1 << (kMostGroup - 1);

// One tile: `lanes` output positions, a plane holding one input bit of each. Filters are taken in groups of
// G. Plane k lies in the bucket that the G weight bits of input k name; buckets of complementary patterns are
// one, summed with opposite signs, so that there are 2^(G-1).
struct PlaneCall {
  const void* planes;     // (inputs + 1, lanes): the inputs, then a plane of zeros
  const uint16_t* lists;  // per group, per bucket: how many to subtract and to add (multiples of kPlaneStep),
                          // then their planes
  size_t groups;
  const uint64_t* starts;    // (group, bit, filter): all ones or zeros
  const uint64_t* inverted;  // (group, filter): all ones where the output is turned round
  void* out;                 // (group, filter, lanes), the bits; or, if `counts`,
  bool counts;               // (group, filter, kCountRows, lanes), bit by bit the overflowing start + sum
  // Lanes of other classes start elsewhere: a mask of lanes, and what their starts differ by.
  size_t classes;
  const void* masks;                 // (class, lanes)
  const uint64_t* const* differing;  // per class (group, bit, filter)
};

// The lists of one group of filters.
struct ListCall {
  const uint64_t* rows[kMostGroup];  // weight bits of each filter, spare ones 0
  size_t filters, inputs;            // 4 or 5 filters
  uint16_t* out;                     // as PlaneCall.lists; kListSlack entries more may be written
  size_t* counts;                    // (bucket, 2): how many are subtracted and added
};

using RunPlanes = void (*)(const PlaneCall&);

// Of one register width, in nanoseconds on the machine of docs/performance.md; only their ratios count.
struct PlaneCosts {
  float plane_cost;     // per listed plane
  float group_cost[2];  // per group of 4 or 5 filters
  float input_cost;     // per plane made
  float mirror_cost;    // per input, of four positions and a register of filters
  float many_cost;      // what a pass of seven positions takes beyond its inputs
};

// One register width.
struct PlaneWidth : PlaneCosts {
  size_t lanes;
  RunPlanes (*select)(size_t filters, size_t bits);  // filters a pass: 4 or 5
  // `bits` planes of each of count_columns(bits) filters (filter, kCountRows, lanes), as numbers.
  void (*spread)(const uint64_t* counts, size_t bits, uint64_t* out);
  // The same of one row of planes, (lane / 8 % 16, lane / 128, lane % 8), higher bits 0; null where registers
  // cannot.
  void (*spread_row)(const uint64_t* counts, size_t bits, uint64_t* out);
  RunMirrored (*mirrored)(size_t positions, size_t bits);
};

constexpr size_t kMostWidths = 4;

struct PlaneTable {
  PlaneWidth widths[kMostWidths];  // widest first
  size_t count;
  size_t (*list)(const ListCall& call);  // gives the entries written
  // The 64 x 64 bits of rows `in` become the columns of `out`; strides in words.
  void (*transpose)(const uint64_t* in, size_t in_stride, uint64_t* out, size_t out_stride);
  // Of 64 channels of nine bits that follow one another, bit t of channel c becomes bit c of word t. Eight
  // bytes more may be read.
  void (*turn_nine)(const uint8_t* bits, uint64_t* out);
  float popcount_cost[2];  // of the channel-packed layout, per row and filter: for itself, and per word
  float patch_cost[2];     // of a row that it must gather, per tap of whole words, and of others
  float gather_cost[2];    // of a lane whose inputs are no shifted map, per tap: for itself, and per word
  size_t five_from;        // from this depth on five filters share a pass
  float count_cost;        // per number that is not compared but turned into a row
  MirrorTable mirror;
};

}  // namespace sb
