// Sparse bit-planes with AVX-512.
#include <immintrin.h>

#include "kernels/sparse.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/beside-avx512-inl.h"
#include "kernels/numbers-avx512-inl.h"

}  // namespace

extern const SparseTable kAvx512Sparse = {
    .widths = {kSparseWidth<Lanes512>, kSparseWidth<Lanes256>, kSparseWidth<Lanes128>, kSparseWidth<Lanes64>},
    .number = number_lanes,
    .plane = plane_numbers,
    .filter_cost = {15, 11, 10, 9},
    .list_cost = 0.65f,
    .lane_cost = 0.8f,
    .beside = &kBeside};

}  // namespace sb
