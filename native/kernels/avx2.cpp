#include "kernels/kernels.h"
namespace sb { extern const KernelTable kAvx2Kernels = kGenericKernels; }
