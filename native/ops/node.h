// A node as handed over by the caller: nothing in it is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ops/edge.h"
#include "ops/encoding.h"

namespace sb {

enum class Type { kUint8, kInt8, kInt32, kFloat32 };

// An array of the caller, in C order; alive only while the plan is built.
struct Tensor {
  Type type = Type::kUint8;
  std::vector<std::size_t> shape;
  const void* data = nullptr;

  std::size_t size() const;
};

using Attribute = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>>;

struct NodeDescription {
  std::string op, name;
  std::vector<std::string> inputs;
  std::map<std::string, Attribute> attributes;
  std::map<std::string, Tensor> tensors;
};

// Geometry of a sliding window, checked: no product or sum of its members can wrap.
struct Window {
  std::size_t kernel_y = 1, kernel_x = 1, stride_y = 1, stride_x = 1;
  std::size_t top = 0, left = 0, bottom = 0, right = 0;
  std::size_t dilation_y = 1, dilation_x = 1;
  std::size_t out_height = 1, out_width = 1;

  std::size_t taps() const { return kernel_y * kernel_x; }
  bool operator==(const Window&) const = default;
};

// Reads the fields of one node and remembers the first thing that is wrong with it. After a failure every
// getter returns an empty value; check `ok` before allocating or computing with what was read.
class NodeReader {
 public:
  NodeReader(const NodeDescription& node, std::vector<const Edge*> edges)
      : node_(node), edges_(std::move(edges)) {}

  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }
  const std::string& op() const { return node_.op; }

  // The edge of an input; requires that `expect_inputs` succeeded.
  const Edge& input(std::size_t i = 0) const { return *edges_[i]; }
  std::size_t inputs() const { return edges_.size(); }

  bool fail(const std::string& message);
  bool expect(bool condition, const std::string& message) { return condition ? ok() : fail(message); }
  bool expect_inputs(std::size_t least, std::size_t most);

  std::int64_t integer(const char* name, std::int64_t low, std::int64_t high,
                       std::optional<std::int64_t> absent = {});
  double real(const char* name, std::optional<double> absent = {});
  bool flag(const char* name);
  // Index of the attribute's text in `choices`.
  std::size_t choice(const char* name, const std::vector<std::string>& choices);
  // The window over input 0.
  Window window();

  bool has(const char* name) const { return node_.tensors.contains(name); }
  const Tensor* tensor(const char* name);
  // A copy of an array of exactly this type and shape; floats must be finite.
  template <class T>
  std::vector<T> array(const char* name, const std::vector<std::size_t>& shape);
  // Weights of one bit, in whatever way they are stored.
  WeightBits weight_bits(std::size_t filters, std::size_t depth);

  // The checked output edge: limits on its size and range.
  Edge output(const Edge& edge);
  // Output edge in the node's real format.
  Edge real_output(const Edge& shape);

 private:
  const Attribute* attribute(const char* name);
  // The bytes of a tensor that must have so many, with slack behind them.
  WeightBits stream(const char* name, std::size_t bits);

  const NodeDescription& node_;
  std::vector<const Edge*> edges_;
  std::string error_;
};

// The limits of packed/edges.py; an empty string when `edge` keeps them.
std::string check_edge(const Edge& edge);

}  // namespace sb
