// Sparse bit-planes with AVX2.
#include <immintrin.h>

#include "kernels/sparse.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/adders-inl.h"
#include "kernels/numbers-avx2-inl.h"
#include "kernels/registers-avx2-inl.h"
#include "kernels/shift-inl.h"
#include "kernels/sparse-inl.h"

}  // namespace

extern const SparseTable kAvx2Sparse = {
    .widths = {kSparseWidth<TwoInputs<Register256>>, kSparseWidth<TwoInputs<Register128>>},
    .number = number_lanes,
    .plane = plane_numbers,
    .filter_cost = {13, 10},
    .list_cost = 0.8f,
    .lane_cost = 0.8f};

}  // namespace sb
