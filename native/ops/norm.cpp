// Builders of Norm and Gate.
#include <algorithm>
#include <cmath>
#include <memory>

#include "ops/registry.h"
#include "ops/rounding.h"

namespace sb {
namespace {

// Layer normalisation over `terms` values behind one another: a position's channels, or a whole sample.
class Norm final : public Operator {
 public:
  Norm(const KernelTable& kernels, const Edge& out, bool whole_sample, double eps, std::vector<float> scale,
       std::vector<float> offset)
      : rounding_(kernels, out),
        edge_(out),
        rows_(whole_sample ? out.positions() : 1),
        eps_(eps),
        scale_(std::move(scale)),
        offset_(std::move(offset)) {}

  void run(const Call& call) const noexcept override {
    const std::size_t terms = rows_ * edge_.channels;
    for (std::size_t r = 0; r < call.rows; r += rows_)
      normalise(call.in<float>(0) + r * edge_.channels, terms, call.out<float>() + r * edge_.channels);
    rounding_.apply(call.out<float>(), call.rows * edge_.channels);
  }
  bool by_rows(std::size_t) const override { return true; }
  std::size_t granule() const override { return rows_; }

 private:
  void normalise(const float* x, std::size_t terms, float* out) const {
    const auto count = static_cast<double>(terms);
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < terms; ++i) mean += x[i];
    mean /= count;
    for (std::size_t i = 0; i < terms; ++i) variance += (x[i] - mean) * (x[i] - mean);
    const double deviation = std::sqrt(variance / count + eps_);
    for (std::size_t i = 0; i < terms; ++i) {
      double z = (x[i] - mean) / deviation;
      if (!scale_.empty()) z *= scale_[i % scale_.size()];
      if (!offset_.empty()) z += offset_[i % offset_.size()];
      out[i] = static_cast<float>(z);
    }
  }

  Rounding rounding_;
  Edge edge_;
  std::size_t rows_;
  double eps_;
  std::vector<float> scale_, offset_;  // over a whole sample in memory order
};

// Per-channel values as they are; values per (channel, row, column) in memory order.
std::vector<float> sample_values(NodeReader& node, const char* name, bool whole_sample) {
  const Edge& in = node.input();
  const Tensor* given = node.tensor(name);
  if (given == nullptr) return {};
  if (!whole_sample || in.vector || given->shape.size() == 1) return node.array<float>(name, {in.channels});
  const std::vector<float> values = node.array<float>(name, {in.channels, in.height, in.width});
  if (!node.ok()) return {};
  std::vector<float> ordered(values.size());
  for (std::size_t c = 0; c < in.channels; ++c)
    for (std::size_t p = 0; p < in.positions(); ++p)
      ordered[p * in.channels + c] = values[c * in.positions() + p];
  return ordered;
}

enum class GateFunction { kIdentity, kSigmoid, kHardSigmoid };

// Turns a gate into factors, before they are spread over the map.
class Opening final : public Operator {
 public:
  Opening(GateFunction function, std::size_t channels) : function_(function), channels_(channels) {}

  void run(const Call& call) const noexcept override {
    const float* x = call.in<float>(0);
    float* out = call.out<float>();
    for (std::size_t i = 0; i < call.rows * channels_; ++i)
      out[i] = function_ == GateFunction::kSigmoid
                   ? static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x[i]))))
                   : std::clamp(x[i] / 6.0f + 0.5f, 0.0f, 1.0f);
  }
  bool by_rows(std::size_t) const override { return true; }

 private:
  GateFunction function_;
  std::size_t channels_;
};

// x times a gate whose every size is x's or 1.
class Gate final : public Operator {
 public:
  Gate(const KernelTable& kernels, const Edge& out, const Edge& gate)
      : kernels_(kernels), rounding_(kernels, out), edge_(out), gate_(gate) {}

  void run(const Call& call) const noexcept override {
    for (std::size_t r = 0; r < call.rows; ++r) {
      const float* x = call.in<float>(0) + r * edge_.channels;
      const float* factors = call.in<float>(1) + gate_row(call.first + r) * gate_.channels;
      float* out = call.out<float>() + r * edge_.channels;
      if (gate_.channels == edge_.channels)
        kernels_.multiply(x, factors, edge_.channels, out);
      else
        kernels_.multiply_by(x, *factors, edge_.channels, out);
    }
    rounding_.apply(call.out<float>(), call.rows * edge_.channels);
  }
  bool by_rows(std::size_t input) const override { return input == 0; }

 private:
  std::size_t gate_row(std::size_t row) const {
    const std::size_t sample = row / edge_.positions(), place = row % edge_.positions();
    const std::size_t y = gate_.height == 1 ? 0 : place / edge_.width;
    const std::size_t x = gate_.width == 1 ? 0 : place % edge_.width;
    return (sample * gate_.height + y) * gate_.width + x;
  }

  const KernelTable& kernels_;
  Rounding rounding_;
  Edge edge_, gate_;
};

bool fits(std::size_t gate, std::size_t size) { return gate == 1 || gate == size; }

}  // namespace

Value build_norm(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(in.kind == Kind::kReal || in.kind == Kind::kInt,
              "needs reals or integers, got " + describe(in));
  const bool whole_sample = node.choice("over", {"channels", "sample"}) == 1;
  const double eps = node.real("eps", 1e-5);
  node.expect(eps > 0, "eps must be positive");
  std::vector<float> scale, offset;
  if (node.has("scale")) scale = sample_values(node, "scale", whole_sample);
  if (node.has("offset")) offset = sample_values(node, "offset", whole_sample);
  const Edge out = node.real_output(in);
  if (!node.ok()) return kNoValue;
  auto op =
      std::make_unique<Norm>(plan.kernels(), out, whole_sample, eps, std::move(scale), std::move(offset));
  return plan.emit(std::move(op), {plan.stored(inputs[0], Storage::kFloats)}, out, Storage::kFloats);
}

Value build_gate(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(2, 2)) return kNoValue;
  const Edge &in = node.input(0), &gate = node.input(1);
  for (const Edge* edge : {&in, &gate})
    node.expect(edge->kind == Kind::kReal || edge->kind == Kind::kInt,
                "needs reals or integers, got " + describe(*edge));
  const bool same_rank = in.vector == gate.vector && fits(gate.channels, in.channels) &&
                         fits(gate.height, in.height) && fits(gate.width, in.width);
  const bool per_channel = gate.vector && gate.channels == in.channels;
  node.expect(same_rank || per_channel, "a gate " + describe(gate) + " does not fit " + describe(in));
  const auto function =
      static_cast<GateFunction>(node.choice("function", {"identity", "sigmoid", "hardsigmoid"}));
  const Edge out = node.real_output(in);
  if (!node.ok()) return kNoValue;
  Value factors = plan.stored(inputs[1], Storage::kFloats);
  const Edge gate_edge = gate;
  if (function != GateFunction::kIdentity)
    factors = plan.emit(std::make_unique<Opening>(function, gate_edge.channels), {factors},
                        as_real(gate_edge), Storage::kFloats);
  const Value x = plan.stored(inputs[0], Storage::kFloats);
  return plan.emit(std::make_unique<Gate>(plan.kernels(), out, gate_edge), {x, factors}, out,
                   Storage::kFloats);
}

}  // namespace sb
