// Builders of the nodes that work on one value, or on values of one place, at a time: Lookup, Affine,
// Add, PReLU, HardTanh, Sign, Where.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "ops/chain.h"
#include "ops/registry.h"
#include "ops/rounding.h"
#include "ops/threshold.h"

namespace sb {
namespace {

// An operator that treats every row alike, given as a function of (call, rows).
template <class Rows>
class RowOperator final : public Operator {
 public:
  explicit RowOperator(Rows rows) : rows_(std::move(rows)) {}
  void run(const Call& call) const noexcept override { rows_(call); }
  bool by_rows(std::size_t) const override { return true; }

 private:
  Rows rows_;
};

template <class Rows>
std::unique_ptr<Operator> row_operator(Rows rows) {
  return std::make_unique<RowOperator<Rows>>(std::move(rows));
}

bool real_or_int(const Edge& edge) { return edge.kind == Kind::kReal || edge.kind == Kind::kInt; }

template <class T>
auto choose_rows(std::size_t channels) {
  return [=](const Call& call) {
    const std::size_t words = words_for(channels);
    for (std::size_t r = 0; r < call.rows; ++r) {
      const Word* condition = call.in<Word>(0) + r * words;
      for (std::size_t c = 0; c < channels; ++c) {
        const std::size_t i = r * channels + c;
        call.out<T>()[i] = get_bit(condition, c) ? call.in<T>(2)[i] : call.in<T>(1)[i];
      }
    }
  };
}

std::optional<PixelLine> pixel_line(const std::vector<std::int32_t>& table, std::size_t channels,
                                    std::size_t stride, Value image) {
  const std::int64_t scale = std::int64_t{table[1]} - table[0];
  if (scale == 0 || std::abs(scale) > 127) return {};
  PixelLine line{image, static_cast<int>(scale), {}};
  for (std::size_t c = 0; c < channels; ++c) {
    const std::int32_t offset = table[c * stride];
    if (std::abs(std::int64_t{offset}) > 1 << 16) return {};
    for (std::int64_t p = 0; p < 256; ++p)
      if (table[c * stride + static_cast<std::size_t>(p)] != offset + scale * p) return {};
    line.offsets.push_back(offset);
  }
  return line;
}

// A chain that begins with `value`, integers or reals; bits and pixels are made reals first.
std::unique_ptr<Chain> begin_chain(Value& value, const Edge& in, Emitter& plan) {
  const bool ints = in.kind == Kind::kInt;
  value = plan.stored(value, ints ? Storage::kInts : Storage::kFloats);
  return std::make_unique<Chain>(plan.kernels(), in, ints ? Storage::kInts : Storage::kFloats);
}

Value emit_chain(std::unique_ptr<Chain> chain, std::vector<Value> inputs, const Edge& out, Emitter& plan) {
  if (chain->signs()) return plan.emit(std::move(chain), std::move(inputs), out, Storage::kBits);
  chain->round(out);
  return plan.emit(std::move(chain), std::move(inputs), out, Storage::kFloats);
}

}  // namespace

void AddInts::run(const Call& call) const noexcept {
  const std::size_t n = call.rows * channels_;
  kernels_.add_ints(call.in<std::int32_t>(0), call.in<std::int32_t>(1), n, call.out<std::int32_t>());
  for (std::size_t i = 2; i < inputs_; ++i)
    kernels_.add_ints(call.out<std::int32_t>(), call.in<std::int32_t>(i), n, call.out<std::int32_t>());
}

Value build_lookup(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  const Tensor* given = node.tensor("table");
  node.expect(in.kind == Kind::kImage, "needs an image, got " + describe(in));
  if (!node.ok()) return kNoValue;
  const bool shared = given->shape == std::vector<std::size_t>{1, 256};
  const std::vector<std::size_t> shape = {shared ? 1 : in.channels, 256};
  const std::size_t channels = in.channels, stride = shared ? 0 : 256;
  const auto look_up = [channels, stride](auto table) {
    return row_operator([channels, stride, table = std::move(table)](const Call& call) {
      using T = typename decltype(table)::value_type;
      const auto* pixels = call.in<std::uint8_t>(0);
      T* out = call.out<T>();
      for (std::size_t r = 0; r < call.rows; ++r)
        for (std::size_t c = 0; c < channels; ++c, ++pixels, ++out) *out = table[c * stride + *pixels];
    });
  };
  if (given->type == Type::kInt32) {
    std::vector<std::int32_t> table = node.array<std::int32_t>("table", shape);
    if (!node.ok()) return kNoValue;
    const auto [low, high] = std::minmax_element(table.begin(), table.end());
    const Edge out = node.output(as_int(in, *low, *high));
    if (!node.ok()) return kNoValue;
    const std::optional<PixelLine> line = pixel_line(table, channels, stride, inputs[0]);
    const Value value = plan.emit(look_up(std::move(table)), inputs, out, Storage::kInts);
    if (line.has_value()) plan.describe_pixels(value, *line);
    return value;
  }
  std::vector<float> table = node.array<float>("table", shape);
  const Edge out = node.output(as_real(in));
  if (!node.ok()) return kNoValue;
  return plan.emit(look_up(std::move(table)), inputs, out, Storage::kFloats);
}

Value build_affine(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  const std::size_t channels = in.channels;
  const std::vector<float> scale = node.array<float>("scale", {channels});
  std::vector<std::uint8_t> border;
  std::size_t classes = 1;
  std::vector<std::size_t> shape = {channels};
  if (node.has("border")) {
    border = node.array<std::uint8_t>("border", {in.height, in.width});
    const Tensor* given = node.tensor("offset");
    if (!node.ok() ||
        !node.expect(given->shape.size() == 2 && given->shape[1] >= 1, "tensor 'offset' has the wrong rank"))
      return kNoValue;
    classes = given->shape[1];
    shape = {channels, classes};
  }
  const std::vector<float> values = node.array<float>("offset", shape);
  for (std::uint8_t place : border)
    node.expect(place < classes, "border names a class past those of 'offset'");
  const Edge out = node.real_output(in);
  if (!node.ok()) return kNoValue;
  std::vector<float> offset(classes * channels);
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t k = 0; k < classes; ++k) offset[k * channels + c] = values[c * classes + k];
  Value value = inputs[0];
  std::unique_ptr<Chain> chain = begin_chain(value, in, plan);
  chain->affine(scale, offset, std::move(border));
  return emit_chain(std::move(chain), {value}, out, plan);
}

Value build_add(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(2, 1 << 16)) return kNoValue;
  const Edge& in = node.input();
  bool ints = true;
  std::int64_t low = 0, high = 0;
  for (std::size_t i = 0; i < node.inputs(); ++i) {
    const Edge& edge = node.input(i);
    node.expect(edge.same_shape(in), "inputs differ in shape: " + describe(in) + ", " + describe(edge));
    node.expect(real_or_int(edge), "needs integers or reals, got " + describe(edge));
    ints = ints && edge.kind == Kind::kInt;
    low += edge.low, high += edge.high;
  }
  const Edge out = ints ? node.output(as_int(in, low, high)) : node.real_output(in);
  if (!node.ok()) return kNoValue;
  if (ints) {
    auto op = std::make_unique<AddInts>(plan.kernels(), node.inputs(), in.channels);
    return plan.emit(std::move(op), inputs, out, Storage::kInts);
  }
  // The chain goes on from what was made last; the first two may change places.
  std::vector<Value> read = inputs;
  if (read[1] > read[0]) std::swap(read[0], read[1]);
  std::unique_ptr<Chain> chain = begin_chain(read[0], plan.edge(read[0]), plan);
  for (std::size_t i = 1; i < read.size(); ++i) read[i] = plan.stored(read[i], Storage::kFloats);
  chain->add(read.size() - 1);
  return emit_chain(std::move(chain), std::move(read), out, plan);
}

Value build_prelu(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(real_or_int(in), "needs reals or integers, got " + describe(in));
  const std::size_t channels = in.channels;
  const std::vector<float> slope = node.array<float>("slope", {channels});
  std::vector<float> positive(channels, 1.0f);
  if (node.has("positive")) positive = node.array<float>("positive", {channels});
  const Edge out = node.real_output(in);
  if (!node.ok()) return kNoValue;
  Value value = inputs[0];
  std::unique_ptr<Chain> chain = begin_chain(value, in, plan);
  chain->prelu(slope, positive);
  return emit_chain(std::move(chain), {value}, out, plan);
}

Value build_hardtanh(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(real_or_int(in), "needs reals or integers, got " + describe(in));
  const auto low = static_cast<float>(node.real("low", -1.0)),
             high = static_cast<float>(node.real("high", 1.0));
  node.expect(low <= high, "low is above high");
  const Edge out = node.real_output(in);
  if (!node.ok()) return kNoValue;
  Value value = inputs[0];
  std::unique_ptr<Chain> chain = begin_chain(value, in, plan);
  chain->clamp(low, high);
  return emit_chain(std::move(chain), {value}, out, plan);
}

Value build_sign(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(real_or_int(in), "needs reals or integers, got " + describe(in));
  const int planes = static_cast<int>(node.integer("planes", 1, 2, 1));
  std::vector<float> shift;
  if (node.has("shift")) shift = node.array<float>("shift", {in.channels});
  const Edge out = node.output(as_bits(in, planes));
  if (!node.ok()) return kNoValue;
  if (planes == 1) {
    Value value = inputs[0];
    std::unique_ptr<Chain> chain = begin_chain(value, in, plan);
    chain->sign(shift);
    return emit_chain(std::move(chain), {value}, out, plan);
  }
  const KernelTable& kernels = plan.kernels();
  auto op = row_operator([&kernels, channels = in.channels, shift = std::move(shift)](const Call& call) {
    const std::size_t words = words_for(channels);
    for (std::size_t r = 0; r < call.rows; ++r) {
      Word* row = call.out<Word>() + r * words * 2;
      kernels.sign_two(call.in<float>(0) + r * channels, shift.empty() ? nullptr : shift.data(), channels,
                       row, row + words);
    }
  });
  return plan.emit(std::move(op), {plan.stored(inputs[0], Storage::kFloats)}, out, Storage::kBits);
}

Value build_where(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(3, 3)) return kNoValue;
  const Edge &condition = node.input(0), &yes = node.input(1), &no = node.input(2);
  node.expect(condition.same_shape(yes) && condition.same_shape(no), "inputs differ in shape");
  node.expect(condition.kind == Kind::kBits && condition.planes == 1,
              "the condition is not bits of one plane");
  if (!node.ok()) return kNoValue;
  const std::size_t channels = condition.channels;
  if (yes.kind == Kind::kInt && no.kind == Kind::kInt) {
    const Edge out = node.output(as_int(yes, std::min(yes.low, no.low), std::max(yes.high, no.high)));
    return plan.emit(row_operator(choose_rows<std::int32_t>(channels)), inputs, out, Storage::kInts);
  }
  if (yes.kind == Kind::kBits && no.kind == Kind::kBits && yes.planes == no.planes) {
    auto op = row_operator([words = words_for(channels), planes = yes.planes](const Call& call) {
      for (std::size_t r = 0; r < call.rows; ++r)
        for (std::size_t i = 0; i < words * planes; ++i) {
          const Word minus = call.in<Word>(0)[r * words + i % words];
          const std::size_t at = r * words * planes + i;
          call.out<Word>()[at] = (call.in<Word>(1)[at] & ~minus) | (call.in<Word>(2)[at] & minus);
        }
    });
    return plan.emit(std::move(op), inputs, yes, Storage::kBits);
  }
  node.expect(real_or_int(yes) && real_or_int(no),
              "cannot choose between " + describe(yes) + " and " + describe(no));
  const Edge out = node.real_output(yes);
  if (!node.ok()) return kNoValue;
  const Rounding rounding(plan.kernels(), out);
  auto op = row_operator([choose = choose_rows<float>(channels), rounding, channels](const Call& call) {
    choose(call);
    rounding.apply(call.out<float>(), call.rows * channels);
  });
  const Value real_yes = plan.stored(inputs[1], Storage::kFloats),
              real_no = plan.stored(inputs[2], Storage::kFloats);
  return plan.emit(std::move(op), {inputs[0], real_yes, real_no}, out, Storage::kFloats);
}

}  // namespace sb
