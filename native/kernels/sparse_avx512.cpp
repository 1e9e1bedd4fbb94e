// Sparse bit-planes with AVX-512.
#include <immintrin.h>

#include "kernels/sparse.h"
#include "kernels/unroll.h"

namespace sb {
namespace {

#include "kernels/registers-avx512-inl.h"

#include "kernels/adders-inl.h"

#include "kernels/sparse-inl.h"

}  // namespace

extern const SparseTable kAvx512Sparse = {
    {sparse_width<Lanes512>(8), sparse_width<Lanes256>(6), sparse_width<Lanes128>(6)}};

}  // namespace sb
