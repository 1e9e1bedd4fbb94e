// Which operators of a plan become one.
#include <algorithm>
#include <memory>
#include <utility>

#include "ops/chain.h"
#include "ops/conversion.h"
#include "ops/convolution.h"
#include "ops/pool.h"
#include "ops/pooled.h"
#include "ops/quantize.h"
#include "ops/threshold.h"
#include "plan/links.h"
#include "plan/place.h"
#include "plan/plan.h"

namespace sb {
namespace {

class Fusion {
 public:
  Fusion(Links& links, std::deque<PlanValue>& values, const KernelTable& kernels)
      : links_(links), stages_(links.stages), values_(values), kernels_(kernels) {}

  // The largest of real values that a chain makes of a convolution's sums is found while lines of them lie in
  // the cache; where the chain keeps their order, among the sums, so that it has fewer values to work on.
  void pool_sums() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      const Window* pool = real_maximum(stage.op.get());
      const std::size_t between = pool == nullptr ? kNoStage : links_.sole_producer(stage.inputs[0]);
      if (between == kNoStage) continue;
      auto* chain = dynamic_cast<Chain*>(stages_[between].op.get());
      if (chain == nullptr || chain->signs() || stages_[between].inputs.size() > 1) continue;
      const Value sums = stages_[between].inputs[0];
      const std::size_t before = links_.sole_producer(sums);
      if (before == kNoStage || !is_convolution(stages_[before])) continue;
      const Edge edge = values_[sums].edge;
      if (!PooledConvolution::fits(edge, *pool)) continue;
      std::vector<bool> falls;
      bool ordered = chain->monotone(edge, falls);
      ordered = ordered && (edge.integral() || std::find(falls.begin(), falls.end(), true) == falls.end());
      if (!ordered) falls.clear();
      const bool moves = ordered && !chain->placed();
      const Window window = *pool;
      Edge& pooled = values_[sums].edge;
      pooled = with_shape(moves ? edge : values_[stage.output].edge, edge.channels, window.out_height,
                          window.out_width);
      std::unique_ptr<Chain> first(static_cast<Chain*>(stages_[between].op.release())), then;
      if (moves) {
        then = std::move(first);
        then->move(std::vector<std::size_t>(pooled.positions()));
      } else {
        values_[sums].storage = Storage::kFloats;
        then = std::make_unique<Chain>(kernels_, pooled, Storage::kFloats);  // what comes next may join it
      }
      stages_[before].op = std::make_unique<PooledConvolution>(kernels_, std::move(stages_[before].op), edge,
                                                               window, std::move(first), ordered, falls);
      --links_.uses[stage.inputs[0]];
      stage.op = std::move(then);
      stage.inputs[0] = sums;
      links_.done_by[between] = i;
    }
  }

  // Integers of which both reals and bits are made are read once; the bits are mostly the signs of the reals.
  void join_thresholds() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const Value sums = stages_[i].inputs.empty() ? kNoValue : stages_[i].inputs[0];
      if (dynamic_cast<Threshold*>(stages_[i].op.get()) == nullptr || stages_[i].inputs.size() > 1) continue;
      if (links_.producer[sums] == kNoStage || links_.uses[sums] != 2) continue;
      for (std::size_t k = 0; k < stages_.size(); ++k) {
        auto* chain = dynamic_cast<Chain*>(stages_[k].op.get());
        if (chain == nullptr || chain->signs() || stages_[k].inputs != stages_[i].inputs) continue;
        const std::size_t first = std::min(i, k), other = std::max(i, k);
        const Value reals = stages_[k].output, bits = stages_[i].output;
        const Cuts cuts = static_cast<Threshold&>(*stages_[i].op).plain_cuts();
        std::unique_ptr<Operator> both = std::move(stages_[k].op);
        if (!chain->take_signs(cuts, values_[sums].edge, sum_step(sums)))
          both = std::make_unique<ThresholdedChain>(std::move(both), std::move(stages_[i].op));
        Stage& stage = stages_[first];
        stage.op = std::move(both), stage.output = reals, stage.second = bits;
        stages_[other].op = nullptr;
        links_.producer[reals] = links_.producer[bits] = links_.done_by[other] = first;
        --links_.uses[sums];
        break;
      }
    }
  }

  // What a pooled convolution makes is read by a chain, which it then runs on every pooled line itself.
  void give_chains() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      if (dynamic_cast<Chain*>(stage.op.get()) == nullptr) continue;
      const std::size_t before = links_.sole_producer(stage.inputs[0]);
      if (before == kNoStage) continue;
      Stage& source = stages_[before];
      auto* pooled = dynamic_cast<PooledConvolution*>(source.op.get());
      if (pooled == nullptr) continue;
      pooled->take(std::unique_ptr<Chain>(static_cast<Chain*>(stage.op.release())));
      stage.op = std::move(source.op);
      stage.inputs[0] = source.inputs[0];
      stage.node = source.node;
      links_.done_by[before] = i;
    }
  }

  // A chain goes on from the one before it, or leaves it its signs.
  void join_chains() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      auto* chain = dynamic_cast<Chain*>(stage.op.get());
      if (chain == nullptr) continue;
      if (chain->begins_with_add() && !follows_product(stage.inputs[0]) && follows_product(stage.inputs[1]))
        std::swap(stage.inputs[0], stage.inputs[1]);
      const Value value = stage.inputs[0];
      const std::size_t before = links_.producer[value];
      if (before == kNoStage) continue;
      Stage& source = stages_[before];
      auto* first = dynamic_cast<Chain*>(source.op.get());
      if (first == nullptr) continue;
      const bool alone = links_.uses[value] == 1;
      if (!first->append(*chain, !alone)) continue;
      if (alone) {
        stage.op = std::move(source.op);
        stage.inputs.erase(stage.inputs.begin());
        stage.inputs.insert(stage.inputs.begin(), source.inputs.begin(), source.inputs.end());
        stage.node = source.node;
        links_.done_by[before] = i;
      } else {
        source.second = stage.output;
        --links_.uses[value];
        stage.op = nullptr;
        links_.done_by[i] = before;
      }
    }
  }

  // Integers that are only read as bytes are made as bytes, and the largest of them is found among bytes.
  void narrow_integers() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      if (!narrows(stage.op.get())) continue;
      const std::size_t before = links_.sole_producer(stage.inputs[0]);
      auto* quantize = before == kNoStage ? nullptr : dynamic_cast<Quantize*>(stages_[before].op.get());
      if (quantize == nullptr) continue;
      quantize->narrow(values_[stage.output].storage);
      take_over(stage, before);
      links_.done_by[before] = i;
      const std::size_t first = links_.sole_producer(stage.inputs[0]);
      const Window* pool = first == kNoStage ? nullptr : real_maximum(stages_[first].op.get());
      if (pool == nullptr) continue;
      const Edge& map = values_[stages_[first].inputs[0]].edge;
      std::unique_ptr<Quantize> bytes(static_cast<Quantize*>(stage.op.release()));
      stages_[first].op = std::make_unique<QuantizedPool>(kernels_, map, Window(*pool), std::move(bytes));
      take_over(stage, first);
      links_.done_by[first] = i;
    }
  }

 private:
  // The stage gets the operator of the one before it, of which nothing is left.
  void take_over(Stage& stage, std::size_t before) {
    stage.op = std::move(stages_[before].op);
    stage.inputs = stages_[before].inputs;
    stage.node = stages_[before].node;
  }

  // The difference of neighbouring sums that occur: all of a product of signs are even, or all are odd.
  std::int64_t sum_step(Value sums) const {
    const std::size_t stage = links_.producer[sums];
    return links_.is_product(stage) && stages_[stage].product->shape.pad_value != 0 ? 2 : 1;
  }

  // Whether a chain makes the value of sums that it may be given as counts.
  bool follows_product(Value value) const {
    const std::size_t stage = links_.producer[value];
    return stage != kNoStage && links_.uses[value] == 1 &&
           dynamic_cast<Chain*>(stages_[stage].op.get()) != nullptr &&
           links_.uses[stages_[stage].inputs[0]] == 1 &&
           links_.is_product(links_.producer[stages_[stage].inputs[0]]);
  }

  static bool is_convolution(const Stage& stage) {
    return stage.product == nullptr && dynamic_cast<Convolution*>(stage.op.get()) != nullptr &&
           !stage.op->by_rows(0);
  }

  Links& links_;
  std::vector<Stage>& stages_;
  std::deque<PlanValue>& values_;
  const KernelTable& kernels_;
};

}  // namespace

std::vector<std::size_t> fuse(std::vector<Stage>& stages, std::deque<PlanValue>& values, Value output,
                              const KernelTable& kernels, Layout layout) {
  Links links(stages, values.size(), output);
  // First: a reader that is gone would keep a value from having only one.
  links.drop_unread();
  Fusion fusion(links, values, kernels);
  // Before chains join: it leaves a chain behind the pool, which the next one can still join.
  fusion.pool_sums();
  // Before a chain is given away, by the next two in either order: nothing joins it then.
  fusion.join_chains();
  fusion.give_chains();
  fusion.join_thresholds();
  // After pool_sums, which finds a maximum where the sums are made; what is left is found among bytes.
  fusion.narrow_integers();
  // Last: a product takes along the whole chain behind it, in which join_chains has put its sums first.
  if (layout != Layout::kPopcount) place_products(links, kernels, layout);
  return links.finish();
}

}  // namespace sb
