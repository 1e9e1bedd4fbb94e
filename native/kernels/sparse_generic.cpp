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

extern const SparseTable kGenericSparse = {.widths = {kSparseWidth<TwoInputs<Lanes64>>},
                                           .number = number_lanes,
                                           .plane = plane_numbers,
                                           .filter_cost = {17},
                                           .list_cost = 0.7f,
                                           .lane_cost = 1.5f};

}  // namespace sb
