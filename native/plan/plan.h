// A graph made ready to run: operators joined into steps, and memory laid out.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "ops/node.h"
#include "ops/operator.h"
#include "plan/threads.h"

namespace sb {

struct InputDescription {
  std::string name;
  Edge edge;
};

// How one node runs.
struct NodePlan {
  std::string name, op, kernel;
  std::string why;  // it does not run on packed bits
  Edge edge;
};

// One operator of a step. Inputs and output are values of the plan.
struct Stage {
  std::unique_ptr<Operator> op;
  std::vector<Value> inputs;
  Value output = kNoValue;
  std::size_t node = 0;
  Value second = kNoValue;                       // a further output, always in memory
  std::shared_ptr<const BinaryProduct> product;  // what it computes, while the plan is built
};

struct PlanValue {
  Edge edge;
  Storage storage = Storage::kFloats;
  Value map = kNoValue;            // of a flattened vector that nobody has asked for in its own order
  std::size_t offset = kNoOffset;  // bytes for one sample; none inside a step
  static constexpr std::size_t kNoOffset = static_cast<std::size_t>(-1);

  std::size_t row_size() const { return row_bytes(edge, storage); }
};

// Stages that run one after another on a block of rows, so that what passes between them stays in the cache.
struct Step {
  std::vector<std::size_t> stages;
  std::size_t block_rows = 1;
  std::size_t granule = 1;
  std::size_t tile_rows = 1;  // preferred, where there are enough for every thread
  // The first stage may be run for itself, filters divided among the threads; its output then has memory.
  bool splits = false;
};

// Joins element-wise chains with each other and with the products before them, and pools with convolutions
// (docs/engine.md). What is taken up loses its operator; entry i of the result is the stage that does the
// work of stage i.
std::vector<std::size_t> fuse(std::vector<Stage>& stages, std::deque<PlanValue>& values, Value output,
                              const KernelTable& kernels, Layout layout);

class Plan {
 public:
  // Null, and the reason in `error`, if the description is wrong in any way. Throws std::bad_alloc only.
  static std::unique_ptr<Plan> build(const std::vector<InputDescription>& inputs,
                                     const std::vector<NodeDescription>& nodes, const std::string& output,
                                     const KernelTable& kernels, int threads, std::string& error,
                                     Layout layout = Layout::kChosen);

  // Runs `samples` samples. inputs[i]: (N, C, H, W) uint8, int8 (the values of bits), int32 or float;
  // likewise the output. False, and the reason in `error`, for an input out of its range. `step_seconds` (one
  // per step, or null) is increased by the time spent. Safe to call from several threads at once.
  bool run(const std::vector<const void*>& inputs, std::size_t samples, void* output, std::string& error,
           double* step_seconds = nullptr) const;

  const std::vector<InputDescription>& inputs() const { return inputs_; }
  const Edge& output() const { return values_[output_].edge; }
  const std::vector<NodePlan>& nodes() const { return nodes_; }
  std::size_t steps() const { return steps_.size(); }
  // The node that a step's time is booked on.
  std::size_t step_node(std::size_t step) const { return stages_[steps_[step].stages.front()].node; }
  const KernelTable& kernels() const { return kernels_; }
  // What the node of each step can choose from for `samples` samples, and chooses.
  std::vector<std::pair<std::size_t, std::vector<Choice>>> choices(std::size_t samples) const;

 private:
  friend class PlanBuilder;
  Plan(const KernelTable& kernels, int threads) : kernels_(kernels), pool_(threads) {}

  struct Memory {
    Buffer values, scratch;
  };
  std::unique_ptr<Memory> borrow(std::size_t samples) const;
  void give_back(std::unique_ptr<Memory> memory) const;
  std::byte* address(const Memory& memory, Value value, std::size_t samples) const;
  void run_step(const Step& step, const Memory& memory, std::size_t samples) const;
  void run_split(const Step& step, std::size_t threads, const Memory& memory, std::size_t samples) const;
  bool run_divided(const Step& step, std::size_t total, std::size_t threads, const Memory& memory,
                   std::size_t samples) const;
  void run_block(const Step& step, std::size_t from_stage, std::size_t first, std::size_t rows, int thread,
                 const Memory& memory, std::size_t samples, std::size_t filter_begin = 0,
                 std::size_t filter_end = static_cast<std::size_t>(-1)) const;
  std::size_t step_scratch(const Step& step, std::size_t rows) const;

  const KernelTable& kernels_;
  std::vector<InputDescription> inputs_;
  std::vector<NodePlan> nodes_;
  std::deque<PlanValue> values_;  // the inputs first
  std::vector<Stage> stages_;
  std::vector<Step> steps_;
  Value output_ = kNoValue;
  std::size_t bytes_per_sample_ = 0, scratch_per_thread_ = 0;
  mutable ThreadPool pool_;
  mutable std::mutex memory_lock_;
  mutable std::vector<std::unique_ptr<Memory>> idle_;
};

}  // namespace sb
