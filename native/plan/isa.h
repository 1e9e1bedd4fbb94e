// The kernel tables that this machine can run.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace sb {

// Best first; the last is always the generic table.
const std::vector<const KernelTable*>& usable_kernels();

// nullptr for a name that is unknown, or unusable here.
const KernelTable* find_kernels(const std::string& name);

}  // namespace sb
