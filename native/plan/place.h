// Products of bits on planes, with what turns their sums into bits or reals.
#pragma once

#include "plan/links.h"

namespace sb {

// Where planes of bits cost less than the channel-packed layout, or are asked for. Each is given the
// operators it replaces too, for rows that fill no register.
void place_products(Links& links, const KernelTable& kernels, Layout layout);

}  // namespace sb
