#include "ops/chain.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/memory.h"
#include "ops/bitplane_outputs.h"

namespace sb {

Chain::Chain(const KernelTable& kernels, const Edge& in, Storage from)
    : kernels_(kernels), channels_(in.channels), positions_(in.positions()), from_(from) {}

// Rows of `channels` values, each filled up.
std::vector<float> Chain::padded(const std::vector<float>& values) const {
  const std::size_t width = round_up(channels_, kChainPadding);
  std::vector<float> result(divide_up(values.size(), channels_) * width, 0.0f);
  for (std::size_t i = 0; i < values.size(); ++i) result[i / channels_ * width + i % channels_] = values[i];
  return result;
}

void Chain::push(Step step) {
  steps_.push_back(std::move(step));
  const Step& kept = steps_.back();
  ops_.push_back(
      {kept.kind, kept.a.data(), kept.b.data(), kept.low, kept.high, kept.input, kept.places.data()});
}

void Chain::affine(const std::vector<float>& scale, const std::vector<float>& offset,
                   std::vector<std::uint8_t> places) {
  const ChainKind kind = places.empty() ? kChainAffine : kChainAffineAt;
  push({kind, padded(scale), padded(offset), 0, 0, 0, std::move(places)});
}

void Chain::prelu(const std::vector<float>& slope, const std::vector<float>& positive) {
  push({kChainPrelu, padded(slope), padded(positive)});
}

void Chain::clamp(float low, float high) { push({kChainClamp, {}, {}, low, high}); }

void Chain::add(std::size_t inputs) {
  for (std::size_t i = 0; i < inputs; ++i) push({kChainAdd, {}, {}, 0, 0, inputs_++});
}

void Chain::round(const Edge& out) {
  if (out.kind != Kind::kReal) return;
  if (out.format == Format::kFloat16) push({kChainRoundHalf});
  if (out.format == Format::kInt16) push({kChainRoundStep, {}, {}, out.step});
}

void Chain::sign(const std::vector<float>& shift) {
  shift_ = padded(shift);
  signs_ = true, reals_ = false;
}

// What a step makes of the range low..high, at whose ends it must stay finite; false where it is not
// monotone.
bool Chain::follow(const Step& step, std::size_t channel, bool& falls, float& low, float& high) const {
  switch (step.kind) {
    case kChainAffine:
    case kChainAffineAt: {
      const std::size_t width = round_up(channels_, kChainPadding);
      const float a = step.a[channel];
      float least = step.b[channel], most = least;
      for (std::size_t i = channel; i < step.b.size(); i += width)
        least = std::min(least, step.b[i]), most = std::max(most, step.b[i]);
      low = low * a + (a < 0 ? most : least), high = high * a + (a < 0 ? least : most);
      if (a < 0) falls = !falls, std::swap(low, high);
      return a != 0 && std::isfinite(low) && std::isfinite(high);
    }
    case kChainPrelu:
      low *= low >= 0 ? step.b[channel] : step.a[channel];
      high *= high >= 0 ? step.b[channel] : step.a[channel];
      return step.a[channel] > 0 && step.b[channel] > 0 && std::isfinite(low) && std::isfinite(high);
    case kChainClamp:
      low = std::clamp(low, step.low, step.high), high = std::clamp(high, step.low, step.high);
      return step.low <= step.high;
    case kChainRoundStep:
      return true;
    case kChainAdd:
    case kChainRoundHalf:  // may overflow
      break;
  }
  return false;
}

bool Chain::monotone(const Edge& in, std::vector<bool>& falls) const {
  if (signs_ || inputs_ > 0) return false;
  falls.assign(channels_, false);
  for (std::size_t c = 0; c < channels_; ++c) {
    bool fall = false;
    float low = in.integral() ? static_cast<float>(in.low) : -1,
          high = in.integral() ? static_cast<float>(in.high) : 1;
    for (const Step& step : steps_)
      if (!follow(step, c, fall, low, high)) return false;
    falls[c] = fall;
  }
  return true;
}

bool Chain::negative(std::size_t channel, std::int64_t number) const {
  bool falls = false;
  float value = static_cast<float>(number), same = value;
  for (const Step& step : steps_) follow(step, channel, falls, value, same);
  return value < 0;
}

bool Chain::take_signs(const Cuts& cuts, const Edge& in, std::int64_t step) {
  std::vector<bool> falls;
  const bool rounds =
      std::any_of(steps_.begin(), steps_.end(), [](const Step& s) { return s.kind == kChainRoundStep; });
  if (!reals_ || rounds || placed() || !cuts.border.empty() || !monotone(in, falls)) return false;
  // It is monotone, so that the numbers on both sides of a cut stand for all others.
  for (std::size_t c = 0; c < channels_; ++c) {
    const bool inverted = cuts.inverted[c] != 0;
    const std::int64_t cut = cuts.cuts[c] + (inverted ? 1 : 0), beyond = std::max(cut, in.low) - in.low;
    const std::int64_t above = in.low + (beyond + step - 1) / step * step;
    if (above <= in.high && negative(c, above) != inverted) return false;
    if (above > in.low && negative(c, std::min(above, in.high + step) - step) == inverted) return false;
  }
  signs_ = true;
  return true;
}

bool Chain::placed() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) { return !step.places.empty(); });
}

bool Chain::alike(std::size_t position, std::size_t other) const {
  return std::all_of(steps_.begin(), steps_.end(), [=](const Step& step) {
    return step.places.empty() || step.places[position] == step.places[other];
  });
}

void Chain::move(const std::vector<std::size_t>& positions) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].places.empty()) continue;
    std::vector<std::uint8_t> places;
    for (std::size_t position : positions) places.push_back(steps_[i].places[position]);
    steps_[i].places = std::move(places);
    ops_[i].places = steps_[i].places.data();
  }
  positions_ = positions.size();
}

bool Chain::append(Chain& next, bool keep) {
  if (signs_ || steps_.size() + next.steps_.size() > kMostSteps) return false;
  if (inputs_ + next.inputs_ > kMostInputs || (keep && !next.only_signs())) return false;
  for (Step& step : next.steps_) {
    step.input += inputs_;
    push(std::move(step));
  }
  inputs_ += next.inputs_;
  shift_ = std::move(next.shift_);
  signs_ = next.signs_, reals_ = keep || next.reals_;
  return true;
}

void Chain::run(const Call& call) const noexcept {
  const ChainSource source = from_ == Storage::kInts ? kChainInts : kChainFloats;
  run_rows({source, call.inputs[0], channels_}, call, call.inputs + 1, 0, call.rows, 0, channels_);
}

void Chain::run_rows(const ChainRows& rows, const Call& call, const std::byte* const* inputs,
                     std::size_t done, std::size_t count, std::size_t begin, std::size_t end) const noexcept {
  const float* added[kMostInputs];
  for (std::size_t i = 0; i < inputs_; ++i)
    added[i] = reinterpret_cast<const float*>(inputs[i]) + done * channels_;
  auto* bits = reinterpret_cast<Word*>(reals_ ? call.second : call.output);
  ChainCall chain;
  chain.source = rows.source;
  chain.rows = rows.rows;
  chain.row_stride = rows.stride;
  chain.column_stride = rows.column_stride;
  chain.base = rows.base;
  chain.base_places = rows.base_places;
  chain.scale = rows.scale;
  chain.levels = rows.levels;
  chain.positions = positions_;
  chain.first = (call.first + done) % positions_;
  chain.count = count;
  chain.begin = begin;
  chain.end = end;
  chain.channels = channels_;
  chain.ops = ops_.data();
  chain.op_count = ops_.size();
  chain.inputs = added;
  chain.reals = reals_ ? call.out<float>() + done * channels_ : nullptr;
  chain.bits = signs_ ? bits + done * words_for(channels_) : nullptr;
  chain.shift = shift_.empty() ? nullptr : shift_.data();
  kernels_.rows.chain(chain);
}

}  // namespace sb
