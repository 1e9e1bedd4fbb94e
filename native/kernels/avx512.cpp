#include "kernels/kernels.h"
namespace sb { extern const KernelTable kAvx512Kernels = kGenericKernels; }
