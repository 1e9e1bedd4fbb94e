#include "plan/plan.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>

#include "plan/transfer.h"

namespace sb {
namespace {

// Samples run together as far as their values fit in about this much cache.
constexpr std::size_t kChunkBytes = std::size_t{4} << 20;
constexpr std::size_t kIdleMemories = 8;

std::size_t pointer_bytes(const Stage& stage) {
  return round_up(stage.inputs.size() * sizeof(void*), kAlignment);
}

}  // namespace

std::unique_ptr<Plan::Memory> Plan::borrow(std::size_t samples) const {
  std::unique_ptr<Memory> memory;
  {
    const std::lock_guard lock(memory_lock_);
    if (!idle_.empty()) {
      memory = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (memory == nullptr) {
    memory = std::make_unique<Memory>();
    memory->scratch = Buffer(scratch_per_thread_ * static_cast<std::size_t>(pool_.threads()));
  }
  if (memory->values.size() < bytes_per_sample_ * samples)
    memory->values = Buffer(bytes_per_sample_ * samples);
  return memory;
}

void Plan::give_back(std::unique_ptr<Memory> memory) const {
  const std::lock_guard lock(memory_lock_);
  if (idle_.size() < kIdleMemories) idle_.push_back(std::move(memory));
}

std::byte* Plan::address(const Memory& memory, Value value, std::size_t samples) const {
  return const_cast<std::byte*>(memory.values.data()) + values_[value].offset * samples;
}

bool Plan::run(const std::vector<const void*>& inputs, std::size_t samples, void* output, std::string& error,
               double* step_seconds) const {
  if (samples == 0) return true;
  const auto threads = static_cast<std::size_t>(pool_.threads());
  const std::size_t chunk = std::min(samples, std::max(kChunkBytes / bytes_per_sample_, threads));
  std::unique_ptr<Memory> memory = borrow(chunk);
  std::atomic<std::size_t> invalid{inputs.size()};
  for (std::size_t begin = 0; begin < samples && invalid == inputs.size(); begin += chunk) {
    const std::size_t count = std::min(chunk, samples - begin);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Edge& edge = values_[i].edge;
      const std::size_t array_bytes = edge.elements() * array_element_bytes(edge);
      const auto* array = static_cast<const std::byte*>(inputs[i]) + begin * array_bytes;
      std::byte* rows = address(*memory, static_cast<Value>(i), count);
      const std::size_t bytes = sample_bytes(edge, values_[i].storage);
      pool_.run(count, [&, i](std::size_t n, int) {
        if (!import_sample(kernels_.rows, edge, array + n * array_bytes, rows + n * bytes)) invalid = i;
      });
    }
    if (invalid != inputs.size()) break;
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      const auto start = std::chrono::steady_clock::now();
      run_step(steps_[s], *memory, count);
      if (step_seconds != nullptr)
        step_seconds[s] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    const PlanValue& result = values_[output_];
    const std::size_t array_bytes = result.edge.elements() * array_element_bytes(result.edge);
    auto* array = static_cast<std::byte*>(output) + begin * array_bytes;
    const std::byte* rows = address(*memory, output_, count);
    const std::size_t bytes = sample_bytes(result.edge, result.storage);
    pool_.run(count, [&](std::size_t n, int) {
      export_sample(result.edge, rows + n * bytes, array + n * array_bytes);
    });
  }
  give_back(std::move(memory));
  if (invalid == inputs.size()) return true;
  const InputDescription& input = inputs_[invalid];
  error = "input '" + input.name + "' holds a value that its edge " + describe(input.edge) + " (" +
          std::to_string(input.edge.low) + ".." + std::to_string(input.edge.high) + ") does not allow";
  return false;
}

std::size_t Plan::step_scratch(const Step& step, std::size_t rows) const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < step.stages.size(); ++i) {
    const Stage& stage = stages_[step.stages[i]];
    bytes += pointer_bytes(stage) + round_up(stage.op->scratch(rows), kAlignment);
    if (i + 1 < step.stages.size())
      bytes += round_up(rows * values_[stage.output].row_size() + kSlack, kAlignment);
  }
  return bytes;
}

void Plan::run_step(const Step& step, const Memory& memory, std::size_t samples) const {
  const auto threads = static_cast<std::size_t>(pool_.ready());
  const std::size_t total = samples * values_[stages_[step.stages.back()].output].edge.positions();
  if (step.splits && threads > 1 && total < 2 * threads) return run_split(step, threads, memory, samples);
  if (threads > 1 && run_divided(step, total, threads, memory, samples)) return;
  const std::size_t even = divide_up(total, threads);
  const std::size_t share =
      round_up(even, even < step.tile_rows ? step.granule : std::lcm(step.granule, step.tile_rows));
  const std::size_t block = std::min(step.block_rows, share);
  pool_.run(divide_up(total, block), [&](std::size_t index, int thread) {
    const std::size_t first = index * block;
    run_block(step, 0, first, std::min(block, total - first), thread, memory, samples);
  });
}

// Few tiles: as the operator that holds most of the time divides them.
bool Plan::run_divided(const Step& step, std::size_t total, std::size_t threads, const Memory& memory,
                       std::size_t samples) const {
  if (step.granule > 1) return false;
  Share shares[kMostShares];
  const Operator& head = *stages_[step.stages.front()].op;
  const std::size_t count = head.divide(total, threads, step.stages.size() == 1, shares);
  pool_.run(count, [&](std::size_t index, int thread) {
    const Share& share = shares[index];
    for (std::size_t done = 0; done < share.rows; done += step.block_rows)
      run_block(step, 0, share.first + done, std::min(step.block_rows, share.rows - done), thread, memory,
                samples, share.filter_begin, share.filter_end);
  });
  return count > 0;
}

std::vector<std::pair<std::size_t, std::vector<Choice>>> Plan::choices(std::size_t samples) const {
  std::vector<std::pair<std::size_t, std::vector<Choice>>> list;
  for (const Step& step : steps_)
    for (std::size_t s : step.stages) {
      const Stage& stage = stages_[s];
      std::vector<Choice> found = stage.op->choices(samples * values_[stage.output].edge.positions());
      if (!found.empty()) list.emplace_back(stage.node, std::move(found));
    }
  return list;
}

void Plan::run_split(const Step& step, std::size_t threads, const Memory& memory, std::size_t samples) const {
  const Stage& head = stages_[step.stages.front()];
  const PlanValue& value = values_[head.output];
  const std::size_t filters = value.edge.channels, rows = samples * value.edge.positions();
  const std::size_t width = round_up(divide_up(filters, threads), head.op->filter_granule());
  const std::byte* input = address(memory, head.inputs[0], samples);
  pool_.run(divide_up(filters, width), [&](std::size_t index, int thread) {
    std::byte* scratch = const_cast<std::byte*>(memory.scratch.data()) + thread * scratch_per_thread_;
    const std::size_t block = step.block_rows;
    for (std::size_t first = 0; first < rows; first += block) {
      const std::size_t skipped = head.op->by_rows(0) ? first * values_[head.inputs[0]].row_size() : 0;
      const std::byte* inputs[1] = {input + skipped};
      head.op->run({first, std::min(block, rows - first), inputs,
                    address(memory, head.output, samples) + first * value.row_size(), scratch, index * width,
                    std::min(filters, (index + 1) * width)});
    }
  });
  if (step.stages.size() == 1) return;
  for (std::size_t first = 0; first < rows; first += step.block_rows)
    run_block(step, 1, first, std::min(step.block_rows, rows - first), 0, memory, samples);
}

void Plan::run_block(const Step& step, std::size_t from_stage, std::size_t first, std::size_t rows,
                     int thread, const Memory& memory, std::size_t samples, std::size_t filter_begin,
                     std::size_t filter_end) const {
  std::byte* scratch = const_cast<std::byte*>(memory.scratch.data()) + thread * scratch_per_thread_;
  Value passed = kNoValue;
  const std::byte* passed_rows = nullptr;
  for (std::size_t i = from_stage; i < step.stages.size(); ++i) {
    const Stage& stage = stages_[step.stages[i]];
    auto** inputs = reinterpret_cast<const std::byte**>(scratch);
    scratch += pointer_bytes(stage);
    for (std::size_t k = 0; k < stage.inputs.size(); ++k) {
      const Value value = stage.inputs[k];
      if (value == passed) {
        inputs[k] = passed_rows;
      } else {
        inputs[k] = address(memory, value, samples);
        if (stage.op->by_rows(k)) inputs[k] += first * values_[value].row_size();
      }
    }
    std::byte* own = scratch;
    scratch += round_up(stage.op->scratch(rows), kAlignment);
    const std::size_t row = values_[stage.output].row_size();
    std::byte* out = scratch;
    if (i + 1 == step.stages.size())
      out = address(memory, stage.output, samples) + first * row;
    else
      scratch += round_up(rows * row + kSlack, kAlignment);
    Call call{first, rows, inputs, out, own};
    if (stage.second != kNoValue)
      call.second = address(memory, stage.second, samples) + first * values_[stage.second].row_size();
    call.filter_begin = filter_begin, call.filter_end = filter_end;
    stage.op->run(call);
    passed = stage.output;
    passed_rows = out;
  }
}

}  // namespace sb
