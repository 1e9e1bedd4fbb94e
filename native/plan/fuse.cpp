// Which operators of a plan become one.
#include <memory>
#include <numeric>
#include <utility>

#include "ops/bitplane.h"
#include "ops/chain.h"
#include "plan/plan.h"

namespace sb {
namespace {

constexpr std::size_t kNoStage = static_cast<std::size_t>(-1);

class Fusion {
 public:
  Fusion(std::vector<Stage>& stages, std::size_t values, Value output)
      : stages_(stages), uses_(values, 0), producer_(values, kNoStage), done_by_(stages.size()) {
    std::iota(done_by_.begin(), done_by_.end(), std::size_t{0});
    for (std::size_t i = 0; i < stages.size(); ++i) {
      producer_[stages[i].output] = i;
      for (Value input : stages[i].inputs) ++uses_[input];
    }
    ++uses_[output];
  }

  // Readers may have found another way.
  void drop_unread() {
    for (std::size_t i = stages_.size(); i-- > 0;) {
      if (uses_[stages_[i].output] > 0) continue;
      for (Value input : stages_[i].inputs) --uses_[input];
      stages_[i].op = nullptr;
    }
  }

  // A chain goes on from the one before it, or leaves it its signs.
  void join_chains() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      auto* chain = dynamic_cast<Chain*>(stage.op.get());
      if (chain == nullptr) continue;
      const Value value = stage.inputs[0];
      const std::size_t before = producer_[value];
      if (before == kNoStage) continue;
      Stage& source = stages_[before];
      auto* first = dynamic_cast<Chain*>(source.op.get());
      if (first == nullptr) continue;
      const bool alone = uses_[value] == 1;
      if (!first->append(*chain, !alone)) continue;
      if (alone) {
        stage.op = std::move(source.op);
        stage.inputs.erase(stage.inputs.begin());
        stage.inputs.insert(stage.inputs.begin(), source.inputs.begin(), source.inputs.end());
        stage.node = source.node;
        done_by_[before] = i;
      } else {
        source.second = stage.output;
        --uses_[value];
        stage.op = nullptr;
        done_by_[i] = before;
      }
    }
  }

  // Sums that only a chain reads are counted on bit-planes where that costs less.
  void place_products(const KernelTable& kernels, Layout layout) {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      auto* chain = dynamic_cast<Chain*>(stage.op.get());
      if (chain == nullptr) continue;
      const Value value = stage.inputs[0];
      const std::size_t before = producer_[value];
      if (before == kNoStage || stages_[before].product == nullptr || uses_[value] != 1) continue;
      Stage& source = stages_[before];
      auto planes = BitplaneConvolution::make(kernels, *source.product, layout == Layout::kPlanes);
      if (planes == nullptr) continue;
      planes->keep_packed(std::move(source.op), std::move(stage.op), chain);
      stage.op = std::move(planes);
      stage.inputs[0] = source.product->input;
      stage.node = source.node;
      done_by_[before] = i;
    }
  }

  std::vector<std::size_t> finish() {
    for (Stage& stage : stages_) stage.product = nullptr;
    for (std::size_t& stage : done_by_)
      while (done_by_[stage] != stage) stage = done_by_[stage];
    return std::move(done_by_);
  }

 private:
  std::vector<Stage>& stages_;
  std::vector<std::size_t> uses_, producer_, done_by_;
};

}  // namespace

std::vector<std::size_t> fuse(std::vector<Stage>& stages, std::size_t values, Value output,
                              const KernelTable& kernels, Layout layout) {
  Fusion fusion(stages, values, output);
  fusion.drop_unread();
  fusion.join_chains();
  if (layout != Layout::kPacked) fusion.place_products(kernels, layout);
  return fusion.finish();
}

}  // namespace sb
