#include "ops/registry.h"

#include <map>

namespace sb {

BuildNode find_node(const std::string& op) {
  static const std::map<std::string, BuildNode> kBuilders = {
      {"BinaryConv", build_binary_conv},
      {"BinaryLinear", build_binary_linear},
      {"WindowSum", build_window_sum},
      {"Conv", build_conv},
      {"Linear", build_linear},
      {"Lookup", build_lookup},
      {"Affine", build_affine},
      {"Threshold", build_threshold},
      {"Sign", build_sign},
      {"Quantize", build_quantize},
      {"Add", build_add},
      {"Concat", build_concat},
      {"Pool", build_pool},
      {"PReLU", build_prelu},
      {"HardTanh", build_hardtanh},
      {"Norm", build_norm},
      {"Gate", build_gate},
      {"Where", build_where},
      {"Select", build_select},
      {"Roll", build_roll},
      {"Flatten", build_flatten},
  };
  const auto found = kBuilders.find(op);
  return found == kBuilders.end() ? nullptr : found->second;
}

}  // namespace sb
