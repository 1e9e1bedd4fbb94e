// Sparse bit-planes in words.
#include "kernels/sparse.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/adders-inl.h"
#include "kernels/numbers-inl.h"
#include "kernels/registers-generic-inl.h"
#include "kernels/shift-inl.h"
#include "kernels/sparse-inl.h"

}  // namespace

extern const SparseTable kGenericSparse = {
    {sparse_width<TwoInputs<Lanes64>>(17)}, number_lanes, plane_numbers, 0.7f, 1.5f};

}  // namespace sb
