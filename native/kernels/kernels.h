// The inner loops of the engine, one table per instruction set. Every table gives the same integers and,
// outside float32 sums, the same floats.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/bitplane.h"
#include "kernels/chain.h"

namespace sb {

// A product of `lines` times `count` rows of activations with `filters` packed rows of weights, both `depth`
// elements deep: out[r][f] = start[f] + sum (bits: start[f] - 2 popcount of the differences, start being the
// true depth).
struct GemmCall {
  const void* rows;
  size_t row_stride;  // bytes
  size_t count;
  size_t lines;
  size_t line_stride;      // bytes
  const uint32_t* places;  // of every four bytes of a row, counted in bytes from its begin; bits lie together
  const void* packed;
  size_t depth;
  size_t filters;
  const void* start;  // per filter, of the type of `out`
  void* out;          // int32, or float for float32
  size_t out_stride;  // elements
};

// One kind of product. Weights come in the canonical order (filters, depth) and are repacked once, at load:
// `columns` filters side by side.
struct Gemm {
  size_t columns;
  size_t (*packed_bytes)(size_t filters, size_t depth);
  void (*pack)(const void* weight, size_t filters, size_t depth, void* packed);
  void (*run)(const GemmCall& call);
};

// What works on rows of channels. Rows may be read up to 64 bytes past their end.
struct RowKernels {
  void (*chain)(const ChainCall& call);
  // of `count` rows, at least one: the largest (NaN wins), and their sum in double over `divisor`
  void (*max)(const float* const* rows, size_t count, size_t n, float* out);
  // the same; where `turn`, which may be null, is -1 the smallest
  void (*max_ints)(const int32_t* const* rows, const int32_t* turn, size_t count, size_t n, int32_t* out);
  void (*max_bytes)(const uint8_t* const* rows, size_t count, size_t n, uint8_t* out);
  void (*mean)(const float* const* rows, size_t count, double divisor, size_t n, float* out);
  // start + sum of rows[t][i] * weights[t][i]; of (rows[t][i] - bias) * weights[t][i]
  void (*multiply)(const float* const* rows, const float* const* weights, size_t count, const float* start,
                   size_t n, float* out);
  void (*multiply_bytes)(const uint8_t* const* rows, const int8_t* const* weights, size_t count, int32_t bias,
                         size_t n, int32_t* out);
  // three planes of pixels into rows of three
  void (*weave_three)(const uint8_t* const* planes, size_t n, uint8_t* out);
};

struct KernelTable {
  const char* name;

  Gemm bits;     // uint64 words x uint64 words, depth in words -> int32
  Gemm bytes;    // uint8 x int8 -> int32, modulo 2^32; reads rows up to a multiple of 4 bytes
  Gemm ints;     // int32 x int8 -> int32
  Gemm float32;  // float x float -> float
  PlaneTable planes;
  RowKernels rows;

  // bits of (x ^ invert) < cut, where invert is 0, or -1 to turn the order of the integers round; spare bits
  // 0
  void (*threshold)(const int32_t* x, const int32_t* invert, const int32_t* cut, size_t n, uint64_t* out);
  // the two planes of 2 round((clip(x + shift, -1, 1) + 1) 1.5) - 3; shift may be null
  void (*sign_two)(const float* x, const float* shift, size_t n, uint64_t* high, uint64_t* low);

  // half * x + middle * s
  void (*two_levels)(const int32_t* x, const float* half, const float* middle, float s, size_t n, float* out);
  void (*add_ints)(const int32_t* a, const int32_t* b, size_t n, int32_t* out);
  void (*multiply)(const float* a, const float* b, size_t n, float* out);
  void (*multiply_by)(const float* a, float b, size_t n, float* out);
  // clip(round(x * inverse_step) + zero, low, high), NaN to low
  void (*quantize)(const float* x, float inverse_step, float zero, float low, float high, size_t n,
                   int32_t* out);
  // the same plus `bias`, as bytes
  void (*quantize_bytes)(const float* x, float inverse_step, float zero, float low, float high, int32_t bias,
                         size_t n, uint8_t* out);
  // in place: to half precision; to the nearest multiple of step, at most 32767 of them
  void (*round_float16)(float* x, size_t n);
  void (*round_int16)(float* x, float step, size_t n);

  // conversions between the ways to hold a row; int32 to uint8 adds `bias`
  void (*bytes_to_float)(const uint8_t* x, size_t n, float* out);
  void (*bytes_to_ints)(const uint8_t* x, size_t n, int32_t* out);
  void (*ints_to_float)(const int32_t* x, size_t n, float* out);
  void (*ints_to_bytes)(const int32_t* x, int32_t bias, size_t n, uint8_t* out);
};

extern const KernelTable kGenericKernels;
#if defined(SIGNBIT_X86_64)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
#endif

}  // namespace sb
