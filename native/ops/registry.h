// The builder of every node type, by the name it has in a file.
#pragma once

#include <string>
#include <vector>

#include "ops/node.h"
#include "ops/operator.h"

namespace sb {

// Emits the operators of one node and returns its value; what is wrong with the node is left in the reader.
using BuildNode = Value (*)(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);

// nullptr for an unknown name.
BuildNode find_node(const std::string& op);

Value build_binary_conv(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_binary_linear(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_window_sum(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_conv(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_linear(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_lookup(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_affine(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_threshold(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_sign(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_quantize(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_add(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_concat(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_pool(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_prelu(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_hardtanh(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_norm(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_gate(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_where(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_select(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_roll(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);
Value build_flatten(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan);

}  // namespace sb
