// The same values held in another way.
#pragma once

#include <memory>

#include "ops/operator.h"

namespace sb {

// nullptr when there is no way from one storage to the other.
std::unique_ptr<Operator> make_conversion(const KernelTable& kernels, const Edge& edge, Storage from,
                                          Storage to);

// Whether it gives integers as bytes.
bool narrows(const Operator* op);

// (C, H, W) to a vector with channels outermost; `edge` is the map.
std::unique_ptr<Operator> make_flatten(const Edge& edge, Storage storage);

}  // namespace sb
