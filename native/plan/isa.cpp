#include "plan/isa.h"

#include "cpu/features.h"

namespace sb {

const std::vector<const KernelTable*>& usable_kernels() {
  static const std::vector<const KernelTable*> kTables = [] {
    std::vector<const KernelTable*> tables;
#if defined(SIGNBIT_X86_64)
    if (cpu_features().avx512) tables.push_back(&kAvx512Kernels);
    if (cpu_features().avx2) tables.push_back(&kAvx2Kernels);
#endif
    tables.push_back(&kGenericKernels);
    return tables;
  }();
  return kTables;
}

const KernelTable* find_kernels(const std::string& name) {
  for (const KernelTable* table : usable_kernels())
    if (name == table->name) return table;
  return nullptr;
}

}  // namespace sb
