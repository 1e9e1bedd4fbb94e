// Interface of the element-wise chains: what follows a product, in one pass over its sums.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace sb {

// Every float operation is rounded once, in the order given.
enum ChainKind {
  kChainAffine,     // x * a + b
  kChainAffineAt,   // x * a + the row of b that the position's place names
  kChainAdd,        // x + inputs[input]
  kChainPrelu,      // x * (x >= 0 ? b : a)
  kChainClamp,      // within low..high
  kChainRoundHalf,  // to half precision
  kChainRoundStep,  // to a multiple of low
};

struct ChainOp {
  ChainKind kind;
  const float* a;  // per channel, readable up to a multiple of 16 channels; likewise b
  const float* b;
  float low, high;
  size_t input;
  const uint8_t* places;  // per position
};

// What the rows hold that a chain begins with.
enum ChainSource {
  kChainFloats,
  kChainInts,
  kChainShorts,  // uint16 counts: the sum is base + scale * count + sign * total of its row
  kChainBytes,   // likewise uint8
};

// Of counts. With levels, the value is half * sum + middle * total, every operation rounded once.
struct ChainLevels {
  const float* totals;  // per row, or null where they are 0
  const float* signs;   // per channel, readable up to a multiple of 16 channels, or null: 0
  const float* half;    // likewise, or null: there are no levels
  const float* middle;  // likewise
};

// The counts of a row lie side by side as far as they fill 16 bytes; a count of `size` bytes lies at byte row
// * row_stride + channel * size / 16 * column_stride + channel * size % 16.
constexpr size_t kChainColumn = 16;

// Rows [0, count) of channels [begin, end); begin is a multiple of 64. Source rows begin at channel `begin`,
// all others at channel 0. Whatever is read may be read up to 64 bytes past its end.
struct ChainCall {
  ChainSource source;
  const void* rows;
  size_t row_stride;  // elements; for counts bytes, likewise from column to column
  size_t column_stride;
  const float* base;  // (place, padded channels), for counts: whole numbers, as their sums are, below 2^24
  float scale;
  ChainLevels levels;
  const uint8_t* base_places;  // per position, or null where there is one place
  size_t positions, first;     // positions of a sample, and that of the first row
  size_t count, begin, end, channels;
  const ChainOp* ops;
  size_t op_count;
  const float* const* inputs;
  float* reals;        // (count, channels), or null
  uint64_t* bits;      // (count, words of channels): x + shift < 0, or null
  const float* shift;  // per channel, or null
};

constexpr size_t kChainPadding = 16;

}  // namespace sb
