// What is done to every value by itself, one operation after another, while it is in a register.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/operator.h"

namespace sb {

struct Cuts;

// Rows of which a chain takes some channels.
struct ChainRows {
  ChainSource source;
  const void* rows;  // its first row is row `done` of the call
  std::size_t stride;
  std::size_t column_stride = 0;
  const float* base = nullptr;
  const std::uint8_t* base_places = nullptr;
  float scale = 0;
  ChainLevels levels = {};
};

// Begins with input 0; further inputs are rows of floats that are added. Its result is reals, or their signs,
// or both: the bits then go to the second output.
class Chain final : public Operator {
 public:
  Chain(const KernelTable& kernels, const Edge& in, Storage from);

  // `offset` (place, channel); no places: one.
  void affine(const std::vector<float>& scale, const std::vector<float>& offset,
              std::vector<std::uint8_t> places);
  void prelu(const std::vector<float>& slope, const std::vector<float>& positive);
  void clamp(float low, float high);
  void add(std::size_t inputs);
  void round(const Edge& out);
  void sign(const std::vector<float>& shift);

  // Whether its first two inputs may change places.
  bool begins_with_add() const {
    return from_ == Storage::kFloats && !steps_.empty() && steps_[0].kind == kChainAdd;
  }
  bool signs() const { return signs_; }
  bool only_signs() const { return signs_ && steps_.empty(); }
  bool stores_reals() const { return reals_; }
  // What a sign adds first, per channel; empty: nothing.
  const std::vector<float>& shift() const { return shift_; }
  // Whether the largest of several values of one place becomes the largest result, or, per channel, the
  // smallest does, so that a maximum may be taken before the chain. `in` is what it reads.
  bool monotone(const Edge& in, std::vector<bool>& falls) const;
  // Whether it treats all positions alike; these two.
  bool placed() const;
  bool alike(std::size_t position, std::size_t other) const;
  // The same on other positions: as it treated these.
  void move(const std::vector<std::size_t>& positions);
  // The signs of its result become its second output if they are what `cuts` make of `in`, of which every
  // `step`-th number from the lowest on occurs.
  bool take_signs(const Cuts& cuts, const Edge& in, std::int64_t step);
  // Takes over what `next` does to this one's result. With `keep`, the reals stay an output.
  bool append(Chain& next, bool keep);

  void run(const Call& call) const noexcept override;
  bool by_rows(std::size_t) const override { return true; }
  // Registers are read whole: past the last channel lies what another thread writes.
  bool in_place(std::size_t input) const override {
    return input > 0 && reals_ && channels_ % kChainPadding == 0;
  }

  // Channels [begin, end) of `count` rows; `inputs` are those of the call from its second on, unless all.
  void run_rows(const ChainRows& rows, const Call& call, const std::byte* const* inputs, std::size_t done,
                std::size_t count, std::size_t begin, std::size_t end) const noexcept;

 private:
  struct Step {
    ChainKind kind;
    std::vector<float> a = {}, b = {};
    float low = 0, high = 0;
    std::size_t input = 0;
    std::vector<std::uint8_t> places = {};
  };

  static constexpr std::size_t kMostSteps = 32, kMostInputs = 8;

  // Whether it makes `number` of a channel negative; of chains that are monotone and do not round to a step.
  bool negative(std::size_t channel, std::int64_t number) const;
  bool follow(const Step& step, std::size_t channel, bool& falls, float& low, float& high) const;
  std::vector<float> padded(const std::vector<float>& values) const;
  void push(Step step);

  const KernelTable& kernels_;
  std::size_t channels_, positions_;
  Storage from_;
  std::size_t inputs_ = 0;  // added
  std::vector<Step> steps_;
  std::vector<ChainOp> ops_;  // views of steps_
  std::vector<float> shift_;
  bool signs_ = false, reals_ = true;
};

}  // namespace sb
