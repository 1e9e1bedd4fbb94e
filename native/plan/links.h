// Who makes each value of a plan, and how many read it, while stages become one.
#pragma once

#include <cstddef>
#include <deque>
#include <numeric>
#include <utility>
#include <vector>

#include "plan/plan.h"

namespace sb {

inline constexpr std::size_t kNoStage = static_cast<std::size_t>(-1);

struct Links {
  Links(std::vector<Stage>& stages, std::size_t values, Value output)
      : stages(stages), uses(values, 0), producer(values, kNoStage), done_by(stages.size()) {
    std::iota(done_by.begin(), done_by.end(), std::size_t{0});
    for (std::size_t i = 0; i < stages.size(); ++i) {
      producer[stages[i].output] = i;
      for (Value input : stages[i].inputs) ++uses[input];
    }
    ++uses[output];
  }

  // Readers may have found another way.
  void drop_unread() {
    for (std::size_t i = stages.size(); i-- > 0;) {
      if (stages[i].op == nullptr || uses[stages[i].output] > 0) continue;
      for (Value input : stages[i].inputs) --uses[input];
      stages[i].op = nullptr;
    }
  }

  // The stage that makes a value which nobody but the reader at hand reads, or kNoStage.
  std::size_t sole_producer(Value value) const {
    const std::size_t stage = producer[value];
    return stage != kNoStage && uses[value] == 1 && stages[stage].second != value ? stage : kNoStage;
  }

  // Whether a stage is a product of bits that other operators may compute together with their own part.
  bool is_product(std::size_t stage) const {
    return stage != kNoStage && stages[stage].op != nullptr && stages[stage].product != nullptr;
  }

  // Per stage, the one that does its work in the end.
  std::vector<std::size_t> finish() {
    for (Stage& stage : stages) stage.product = nullptr;
    for (std::size_t& stage : done_by)
      while (done_by[stage] != stage) stage = done_by[stage];
    return std::move(done_by);
  }

  std::vector<Stage>& stages;
  std::vector<std::size_t> uses, producer;  // per value
  std::vector<std::size_t> done_by;         // per stage
};

}  // namespace sb
