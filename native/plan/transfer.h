// Between the caller's arrays (N, C, H, W) and the engine's rows.
#pragma once

#include <cstddef>

#include "kernels/kernels.h"
#include "ops/edge.h"

namespace sb {

std::size_t array_element_bytes(const Edge& edge);

// One sample in its natural storage; false if a value lies outside the range of the edge.
bool import_sample(const RowKernels& kernels, const Edge& edge, const void* array, std::byte* rows);
void export_sample(const Edge& edge, const std::byte* rows, void* array);

}  // namespace sb
