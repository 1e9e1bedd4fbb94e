// Sparse bit-planes with AVX-512.
#include <immintrin.h>

#include "kernels/sparse.h"
#include "kernels/unroll-inl.h"

namespace sb {
namespace {

#include "kernels/beside-avx512-inl.h"
#include "kernels/numbers-avx512-inl.h"

}  // namespace

extern const SparseTable kAvx512Sparse = {{sparse_width<Lanes512>(15), sparse_width<Lanes256>(11),
                                           sparse_width<Lanes128>(10), sparse_width<Lanes64>(9)},
                                          number_lanes,
                                          plane_numbers,
                                          0.65f,
                                          0.8f,
                                          &kBeside};

}  // namespace sb
