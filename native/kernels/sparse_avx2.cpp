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
    {sparse_width<TwoInputs<Register256>>(13), sparse_width<TwoInputs<Register128>>(10)},
    number_lanes,
    plane_numbers,
    0.8f,
    0.8f};

}  // namespace sb
