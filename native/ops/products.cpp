// Builders of the nodes that multiply weights: BinaryConv, BinaryLinear, WindowSum, Conv, Linear.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "ops/convolution.h"
#include "ops/depthwise.h"
#include "ops/lines.h"
#include "ops/registry.h"
#include "ops/rounding.h"
#include "ops/two_levels.h"

namespace sb {
namespace {

constexpr std::size_t kMaxPackedBytes = std::size_t{1} << 31;
constexpr std::size_t kMostNarrow = std::size_t{1} << 20;
// A block of filters: so few channels of one filter each are faster as a product with zeros.
constexpr std::size_t kFewChannels = 16;

// Rounds floats in place of a copy; for real outputs of products in a narrower format.
class RoundReals final : public Operator {
 public:
  RoundReals(const KernelTable& kernels, const Edge& out)
      : rounding_(kernels, out), channels_(out.channels) {}

  void run(const Call& call) const noexcept override {
    std::copy_n(call.in<float>(0), call.rows * channels_, call.out<float>());
    rounding_.apply(call.out<float>(), call.rows * channels_);
  }
  bool by_rows(std::size_t) const override { return true; }

 private:
  Rounding rounding_;
  std::size_t channels_;
};

bool within(const Edge& edge, std::int64_t low, std::int64_t high) {
  return edge.low >= low && edge.high <= high;
}

// How integers of this range are best multiplied.
Storage integer_storage(const Edge& edge) {
  if (edge.kind == Kind::kImage) return Storage::kBytes;
  if (edge.kind == Kind::kInt && within(edge, 0, 255)) return Storage::kBytes;
  return within(edge, -128, 127) ? Storage::kSigned : Storage::kInts;
}

Storage binary_storage(const Edge& edge) {
  if (edge.kind == Kind::kBits) return Storage::kBits;
  return edge.kind == Kind::kReal ? Storage::kFloats : integer_storage(edge);
}

// The integers -reach..reach of a sum of `terms` inputs.
Edge sum_edge(const Edge& shape, const Edge& in, std::size_t terms, int pad) {
  const std::int64_t widest = std::max({std::abs(in.low), std::abs(in.high), std::int64_t{std::abs(pad)}});
  const bool fits = static_cast<std::int64_t>(terms) <= kInt32Max && widest <= kInt32Max;
  const std::int64_t reach = fits ? static_cast<std::int64_t>(terms) * widest : 2 * kInt32Max;
  return as_int(shape, -reach, reach);
}

// A product over the whole of a flattened map: a window as large as the map.
Window whole_map(const Edge& map) {
  Window w;
  w.kernel_y = map.height, w.kernel_x = map.width;
  return w;
}

// Reads weights stored as (filters, channel, kernel row, kernel column) into (filters, row, column, channel).
template <class T>
std::vector<T> channels_last(const ConvolutionShape& shape, std::vector<T> values) {
  if (shape.window.taps() == 1) return values;
  const std::size_t channels = shape.group_channels(), taps = shape.window.taps(), depth = shape.depth();
  std::vector<T> weights(shape.filters * depth);
  for (std::size_t f = 0; f < shape.filters; ++f)
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t t = 0; t < taps; ++t)
        weights[f * depth + t * channels + c] = values[(f * channels + c) * taps + t];
  return weights;
}

// Geometry that all five nodes share; groups, filters and channels are checked.
ConvolutionShape convolution_shape(NodeReader& node, std::int64_t filters) {
  ConvolutionShape shape;
  shape.in = node.input();
  shape.window = node.window();
  shape.groups = static_cast<std::size_t>(node.integer("groups", 1, kMaxElements, 1));
  shape.filters = filters < 0 ? shape.groups : static_cast<std::size_t>(filters);
  node.expect(shape.in.channels % shape.groups == 0 && shape.filters % shape.groups == 0,
              std::to_string(shape.in.channels) + " channels and " + std::to_string(shape.filters) +
                  " filters do not divide into " + std::to_string(shape.groups) + " groups");
  node.expect(
      saturating_product({shape.filters, shape.group_channels(), shape.window.taps()}) < kMaxPackedBytes,
      "it has too many weights");
  return shape;
}

// The map behind a flattened vector, or the vector itself.
Value source_of(Value value, const Emitter& plan) {
  const Value map = plan.unflattened(value);
  return map == kNoValue ? value : map;
}

ConvolutionShape linear_shape(NodeReader& node, const Edge& source, std::size_t filters) {
  ConvolutionShape shape;
  shape.in = source;
  shape.filters = filters;
  shape.window = whole_map(source);
  node.expect(node.input().vector, "needs an input of (features,), got " + describe(node.input()));
  node.expect(filters >= 1 && saturating_product({filters, shape.depth()}) < kMaxPackedBytes,
              "it has too many weights");
  return shape;
}

Edge output_shape(const ConvolutionShape& shape, bool vector) {
  Edge edge;
  edge.vector = vector;
  return with_shape(edge, shape.filters, shape.window.out_height, shape.window.out_width);
}

bool fits_memory(NodeReader& node, const ConvolutionShape& shape, const Emitter& plan) {
  return node.expect(Convolution::packed_bytes(plan.kernels(), shape) <= kMaxPackedBytes,
                     "its packed weights need more than " + std::to_string(kMaxPackedBytes) + " bytes");
}

// The same convolution without groups, where that pays; else nothing.
std::optional<ConvolutionShape> filled_with_zeros(const ConvolutionShape& shape, Filters& filters) {
  ConvolutionShape whole = shape;
  whole.groups = 1;
  if (shape.filters > kFewChannels || filters.bytes.empty() || !PatchLines::fits(whole)) return {};
  const std::size_t taps = shape.window.taps();
  std::vector<std::int8_t> bytes(shape.filters * whole.depth(), 0);
  for (std::size_t f = 0; f < shape.filters; ++f)
    for (std::size_t t = 0; t < taps; ++t)
      bytes[f * whole.depth() + t * shape.filters + f] = filters.bytes[f * taps + t];
  filters.bytes = std::move(bytes);
  return whole;
}

Value emit_product(Value source, const ConvolutionShape& shape, const Filters& filters,
                   const std::vector<float>& bias, const Edge& out, Emitter& plan,
                   const std::vector<int>& offsets = {}) {
  const bool real = shape.storage == Storage::kFloats;
  const Value input = plan.stored(source, shape.storage);
  std::unique_ptr<Operator> op;
  if (offsets.empty() && Depthwise::fits(shape)) {
    Filters filled = filters;
    if (const std::optional<ConvolutionShape> whole = filled_with_zeros(shape, filled))
      op = std::make_unique<Convolution>(plan.kernels(), *whole, filled, bias);
    else
      op = std::make_unique<Depthwise>(plan.kernels(), shape, filters, bias);
  } else
    op = std::make_unique<Convolution>(plan.kernels(), shape, filters, bias, offsets);
  const Value sum = plan.emit(std::move(op), {input}, out, real ? Storage::kFloats : Storage::kInts);
  if (!real || out.format == Format::kFloat32) return sum;
  return plan.emit(std::make_unique<RoundReals>(plan.kernels(), out), {sum}, out, Storage::kFloats);
}

Value build_binary(NodeReader& node, Value source, const std::vector<Value>& inputs, ConvolutionShape shape,
                   Emitter& plan) {
  if (!node.ok()) return kNoValue;
  shape.storage = binary_storage(shape.in);
  const Edge plain = output_shape(shape, node.input().vector);
  const Edge sum = sum_edge(plain, shape.in, shape.depth(), shape.pad_value);
  const bool levels = node.has("levels");
  node.expect_inputs(levels ? 2 : 1, levels ? 2 : 1);
  const WeightBits bits = node.weight_bits(shape.filters, shape.depth());
  std::vector<float> level_values;
  Edge out = sum;
  if (levels) {
    level_values = node.array<float>("levels", {shape.filters, 2});
    node.expect(shape.in.kind == Kind::kBits, "levels need bits as input, got " + describe(shape.in));
    if (!node.ok()) return kNoValue;
    const Edge& s = node.input(1);
    node.expect(s.kind == Kind::kInt && s.vector == plain.vector && s.height == plain.height &&
                    s.width == plain.width && plain.channels % s.channels == 0,
                "the window sum " + describe(s) + " does not fit " + describe(plain));
    out = node.real_output(plain);
  } else {
    out = shape.storage == Storage::kFloats ? node.real_output(plain) : node.output(sum);
  }
  if (!node.ok() || !fits_memory(node, shape, plan)) return kNoValue;
  const PixelLine* line = shape.in.kind == Kind::kInt ? plan.pixels(source) : nullptr;
  if (line != nullptr) {
    source = line->image;
    shape.in = plan.edge(source);
    shape.storage = Storage::kBytes;
  }
  if (shape.in.kind == Kind::kImage)
    plan.explain("the input is 8-bit pixels, multiplied by ±1 weights as int8");
  if (shape.in.kind == Kind::kInt) plan.explain("the input is integers, not bits");
  if (shape.in.kind == Kind::kReal) plan.explain("the input is real: ±1 weights multiply as float32");
  Filters filters;
  filters.signs =
      sign_rows(plan.kernels().planes, bits, shape.filters, shape.group_channels(), shape.window.taps());
  if (line != nullptr)  // the pixels' products, scaled by the weights; what is added to them is in the start
    for (std::size_t f = 0; f < shape.filters; ++f)
      for (std::size_t k = 0; k < shape.depth(); ++k)
        filters.bytes.push_back(static_cast<std::int8_t>(filters.signs.sign(f, k) * line->scale));
  const Value product = emit_product(source, shape, filters, {}, levels ? sum : out, plan,
                                     line == nullptr ? std::vector<int>() : line->offsets);
  if (shape.storage == Storage::kBits)
    plan.describe_product(
        std::make_shared<const BinaryProduct>(shape, std::move(filters), plan.stored(source, shape.storage)));
  if (!levels) return product;
  auto op = std::make_unique<TwoLevels>(plan.kernels(), out, node.input(1).channels, level_values);
  return plan.emit(std::move(op), {product, inputs[1]}, out, Storage::kFloats);
}

Value build_dense(NodeReader& node, Value source, ConvolutionShape shape,
                  const std::vector<std::size_t>& weight_shape, Emitter& plan) {
  const Tensor* weight = node.tensor("weight");
  if (!node.ok()) return kNoValue;
  const Edge plain = output_shape(shape, node.input().vector);
  Filters filters;
  if (weight->type != Type::kInt8) {
    std::vector<float> values = node.array<float>("weight", weight_shape);
    std::vector<float> bias;
    if (node.has("bias")) bias = node.array<float>("bias", {shape.filters});
    node.expect(shape.in.kind != Kind::kImage, "float32 weights need integers, bits or reals");
    const Edge out = node.real_output(plain);
    shape.storage = Storage::kFloats;
    if (!node.ok() || !fits_memory(node, shape, plan)) return kNoValue;
    filters.floats = channels_last(shape, std::move(values));
    return emit_product(source, shape, filters, bias, out, plan);
  }
  std::vector<std::int8_t> values = node.array<std::int8_t>("weight", weight_shape);
  node.expect(!node.has("bias"), "int8 sums take no bias");
  node.expect(shape.in.integral() && (within(shape.in, -128, 127) || within(shape.in, 0, 255)),
              "int8 weights need 8-bit inputs, got " + describe(shape.in));
  if (!node.ok()) return kNoValue;
  std::int64_t total = 0;
  for (std::size_t f = 0; f < shape.filters; ++f) {
    std::int64_t row = 0;
    for (std::size_t k = 0; k < shape.depth();) {
      std::int32_t some = 0;  // of few enough to fit: narrow sums go several at a time
      for (const std::size_t end = std::min(shape.depth(), k + kMostNarrow); k < end; ++k)
        some += std::abs(std::int32_t{values[f * shape.depth() + k]});
      row += some;
    }
    total = std::max(total, row);
  }
  const std::int64_t reach = total * std::max(std::abs(shape.in.low), std::abs(shape.in.high));
  const Edge out = node.output(as_int(plain, -reach, reach));
  shape.storage = integer_storage(shape.in);
  if (!node.ok() || !fits_memory(node, shape, plan)) return kNoValue;
  filters.bytes = channels_last(shape, std::move(values));
  return emit_product(source, shape, filters, {}, out, plan);
}

// Filters of a dense weight: its first dimension.
std::size_t dense_filters(NodeReader& node, std::size_t rank) {
  const Tensor* weight = node.tensor("weight");
  if (weight == nullptr ||
      !node.expect(weight->shape.size() == rank && weight->shape[0] >= 1 && weight->shape[0] <= kMaxElements,
                   "tensor 'weight' has the wrong rank or no filters"))
    return 1;
  return weight->shape[0];
}

}  // namespace

Value build_binary_conv(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 2)) return kNoValue;
  ConvolutionShape shape = convolution_shape(node, node.integer("filters", 1, kMaxElements));
  shape.pad_value = static_cast<int>(node.integer("pad_value", -1, 1, 1));
  return build_binary(node, inputs[0], inputs, shape, plan);
}

Value build_binary_linear(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 2)) return kNoValue;
  const Value source = source_of(inputs[0], plan);
  const auto filters = static_cast<std::size_t>(node.integer("filters", 1, kMaxElements));
  return build_binary(node, source, inputs, linear_shape(node, plan.edge(source), filters), plan);
}

Value build_window_sum(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  node.expect(node.input().integral(), "needs integers or bits, got " + describe(node.input()));
  Value source = inputs[0];
  ConvolutionShape shape;
  if (node.input().vector) {
    source = source_of(source, plan);
    shape = linear_shape(node, plan.edge(source), 1);
  } else {
    shape = convolution_shape(node, -1);
    shape.pad_value = static_cast<int>(node.integer("pad_value", -1, 1, 1));
  }
  shape.storage = binary_storage(shape.in);
  const Edge out = node.output(
      sum_edge(output_shape(shape, node.input().vector), shape.in, shape.depth(), shape.pad_value));
  if (!node.ok() || !fits_memory(node, shape, plan)) return kNoValue;
  Filters filters;  // all +1
  filters.signs = SignRows(shape.filters, shape.depth());
  return emit_product(source, shape, filters, {}, out, plan);
}

Value build_conv(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const std::size_t filters = dense_filters(node, 4);
  const ConvolutionShape shape = convolution_shape(node, static_cast<std::int64_t>(filters));
  if (!node.ok()) return kNoValue;
  return build_dense(node, inputs[0], shape,
                     {filters, shape.group_channels(), shape.window.kernel_y, shape.window.kernel_x}, plan);
}

Value build_linear(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Value source = source_of(inputs[0], plan);
  const std::size_t filters = dense_filters(node, 2);
  const ConvolutionShape shape = linear_shape(node, plan.edge(source), filters);
  if (!node.ok()) return kNoValue;
  return build_dense(node, source, shape, {filters, node.input().channels}, plan);
}

}  // namespace sb
