// Which operators of a plan become one.
#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "ops/bitplane.h"
#include "ops/chain.h"
#include "ops/conversion.h"
#include "ops/convolution.h"
#include "ops/pool.h"
#include "ops/pooled.h"
#include "ops/quantize.h"
#include "ops/sequence.h"
#include "ops/threshold.h"
#include "ops/two_levels.h"
#include "plan/plan.h"

namespace sb {
namespace {

constexpr std::size_t kNoStage = static_cast<std::size_t>(-1);

class Fusion {
 public:
  Fusion(std::vector<Stage>& stages, std::deque<PlanValue>& values, Value output)
      : stages_(stages),
        values_(values),
        uses_(values.size(), 0),
        producer_(values.size(), kNoStage),
        done_by_(stages.size()) {
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
      if (stages_[i].op == nullptr || uses_[stages_[i].output] > 0) continue;
      for (Value input : stages_[i].inputs) --uses_[input];
      stages_[i].op = nullptr;
    }
  }

  // The largest of real values that a chain makes of a convolution's sums is found while lines of them lie in
  // the cache; where the chain keeps their order, among the sums, so that it has fewer values to work on.
  void pool_sums(const KernelTable& kernels) {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      const Window* pool = real_maximum(stage.op.get());
      const std::size_t between = pool == nullptr ? kNoStage : sole_producer(stage.inputs[0]);
      if (between == kNoStage) continue;
      auto* chain = dynamic_cast<Chain*>(stages_[between].op.get());
      if (chain == nullptr || chain->signs() || stages_[between].inputs.size() > 1) continue;
      const Value sums = stages_[between].inputs[0];
      const std::size_t before = sole_producer(sums);
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
        then = std::make_unique<Chain>(kernels, pooled, Storage::kFloats);  // what comes next may join it
      }
      stages_[before].op = std::make_unique<PooledConvolution>(kernels, std::move(stages_[before].op), edge,
                                                               window, std::move(first), ordered, falls);
      --uses_[stage.inputs[0]];
      stage.op = std::move(then);
      stage.inputs[0] = sums;
      done_by_[between] = i;
    }
  }

  // Integers of which both reals and bits are made are read once.
  void join_thresholds() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const Value sums = stages_[i].inputs.empty() ? kNoValue : stages_[i].inputs[0];
      if (dynamic_cast<Threshold*>(stages_[i].op.get()) == nullptr || stages_[i].inputs.size() > 1) continue;
      if (producer_[sums] == kNoStage || uses_[sums] != 2) continue;
      for (std::size_t k = 0; k < stages_.size(); ++k) {
        auto* chain = dynamic_cast<Chain*>(stages_[k].op.get());
        if (chain == nullptr || chain->signs() || stages_[k].inputs != stages_[i].inputs) continue;
        const std::size_t first = std::min(i, k), other = std::max(i, k);
        const Value reals = stages_[k].output, bits = stages_[i].output;
        auto both = std::make_unique<ThresholdedChain>(std::move(stages_[k].op), std::move(stages_[i].op));
        Stage& stage = stages_[first];
        stage.op = std::move(both), stage.output = reals, stage.second = bits;
        producer_[reals] = producer_[bits] = done_by_[other] = first;
        --uses_[sums];
        break;
      }
    }
  }

  // It runs on every pooled line.
  void give_chains() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      if (dynamic_cast<Chain*>(stage.op.get()) == nullptr) continue;
      const std::size_t before = sole_producer(stage.inputs[0]);
      if (before == kNoStage) continue;
      Stage& source = stages_[before];
      auto* pooled = dynamic_cast<PooledConvolution*>(source.op.get());
      if (pooled == nullptr) continue;
      pooled->take(std::unique_ptr<Chain>(static_cast<Chain*>(stage.op.release())));
      stage.op = std::move(source.op);
      stage.inputs[0] = source.inputs[0];
      stage.node = source.node;
      done_by_[before] = i;
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

  // Integers that are only read as bytes are made as bytes, and the largest of them is found among bytes.
  void narrow_integers(const KernelTable& kernels) {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      Stage& stage = stages_[i];
      if (!narrows(stage.op.get())) continue;
      const std::size_t before = sole_producer(stage.inputs[0]);
      auto* quantize = before == kNoStage ? nullptr : dynamic_cast<Quantize*>(stages_[before].op.get());
      if (quantize == nullptr) continue;
      quantize->narrow(values_[stage.output].storage);
      take_over(stage, before);
      done_by_[before] = i;
      const std::size_t first = sole_producer(stage.inputs[0]);
      const Window* pool = first == kNoStage ? nullptr : real_maximum(stages_[first].op.get());
      if (pool == nullptr) continue;
      const Edge& map = values_[stages_[first].inputs[0]].edge;
      std::unique_ptr<Quantize> bytes(static_cast<Quantize*>(stage.op.release()));
      stages_[first].op = std::make_unique<QuantizedPool>(kernels, map, Window(*pool), std::move(bytes));
      take_over(stage, first);
      done_by_[first] = i;
    }
  }

  // Bits of sums of two levels, or of the sum of two products, are made of the lists of rare weights where
  // that costs less.
  void place_sparse(const KernelTable& kernels, Layout layout) {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (stages_[i].op == nullptr) continue;
      const std::size_t before = sole_source(i, 0);
      if (before == kNoStage) continue;
      if (const auto* chain = dynamic_cast<const Chain*>(stages_[i].op.get());
          chain != nullptr && chain->only_signs())
        place_levels(i, before, *chain, kernels, layout);
      else if (const auto* threshold = dynamic_cast<const Threshold*>(stages_[i].op.get());
               threshold != nullptr && !threshold->reads_table())
        place_pair(i, before, *threshold, kernels, layout);
    }
    drop_unread();
  }

  // Sums that only a chain reads, of a product, of two levels or of two products, are counted on bit-planes
  // where that costs less.
  void place_sums(const KernelTable& kernels, Layout layout) {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      auto* chain = dynamic_cast<Chain*>(stages_[i].op.get());
      const std::size_t before = chain == nullptr ? kNoStage : sole_source(i, 0);
      if (before == kNoStage || stages_[before].op == nullptr) continue;
      if (is_product(before))
        place_product(i, before, chain, kernels, layout);
      else if (const auto* levels = dynamic_cast<const TwoLevels*>(stages_[before].op.get());
               levels != nullptr)
        place_level_sums(i, before, chain, *levels, kernels, layout);
      else
        place_pair_sums(i, before, chain, kernels, layout);
    }
    drop_unread();
  }

  std::vector<std::size_t> finish() {
    for (Stage& stage : stages_) stage.product = nullptr;
    for (std::size_t& stage : done_by_)
      while (done_by_[stage] != stage) stage = done_by_[stage];
    return std::move(done_by_);
  }

 private:
  // The stage gets the operator of the one before it, of which nothing is left.
  void take_over(Stage& stage, std::size_t before) {
    stage.op = std::move(stages_[before].op);
    stage.inputs = stages_[before].inputs;
    stage.node = stages_[before].node;
  }

  // The stage that makes an input which nobody else reads.
  std::size_t sole_source(std::size_t stage, std::size_t input) const {
    const Value value = stages_[stage].inputs[input];
    return uses_[value] == 1 ? producer_[value] : kNoStage;
  }

  // Whether a chain makes the value of sums that it may be given as counts.
  bool follows_product(Value value) const {
    const std::size_t stage = producer_[value];
    return stage != kNoStage && uses_[value] == 1 &&
           dynamic_cast<Chain*>(stages_[stage].op.get()) != nullptr && uses_[stages_[stage].inputs[0]] == 1 &&
           is_product(producer_[stages_[stage].inputs[0]]);
  }

  bool is_product(std::size_t stage) const {
    return stage != kNoStage && stages_[stage].op != nullptr && stages_[stage].product != nullptr;
  }

  void place_levels(std::size_t i, std::size_t before, const Chain& chain, const KernelTable& kernels,
                    Layout layout) {
    const auto* levels = dynamic_cast<const TwoLevels*>(stages_[before].op.get());
    const std::size_t first = levels == nullptr ? kNoStage : level_product(before, *levels);
    if (first == kNoStage) return;
    const BinaryProduct& product = *stages_[first].product;
    const std::size_t filters = product.shape.filters;
    TwoLevelRule rule{levels->half(), levels->middle(), chain.shift()};
    rule.shift.resize(filters, 0.0f);
    auto planes = BitplaneConvolution::make(kernels, product, rule, layout);
    if (planes == nullptr) return;
    std::unique_ptr<Sequence> packed = level_sums(first, before, kernels);
    packed->add(std::move(stages_[i].op), {3}, words_for(filters) * sizeof(Word));
    planes->keep_packed(std::move(packed), nullptr);
    replace(i, {first, before}, std::move(planes));
  }

  void place_product(std::size_t i, std::size_t before, const Chain* chain, const KernelTable& kernels,
                     Layout layout) {
    auto planes = BitplaneConvolution::make(kernels, *stages_[before].product, nullptr, layout);
    if (planes == nullptr) return;
    planes->keep_packed(std::move(stages_[before].op), std::move(stages_[i].op), chain);
    replace(i, {before}, std::move(planes));
  }

  void place_level_sums(std::size_t i, std::size_t before, const Chain* chain, const TwoLevels& levels,
                        const KernelTable& kernels, Layout layout) {
    const std::size_t first = level_product(before, levels);
    if (first == kNoStage) return;
    auto planes = BitplaneConvolution::make(kernels, *stages_[first].product, &levels, layout);
    if (planes == nullptr) return;
    planes->keep_packed(level_sums(first, before, kernels), std::move(stages_[i].op), chain, kChainFloats);
    replace(i, {first, before}, std::move(planes));
  }

  void place_pair_sums(std::size_t i, std::size_t before, const Chain* chain, const KernelTable& kernels,
                       Layout layout) {
    const auto [first, second] = pair_products(before);
    if (first == kNoStage) return;
    const BinaryProduct &a = *stages_[first].product, &b = *stages_[second].product;
    auto planes = BitplaneConvolution::make(kernels, a, b, layout);
    if (planes == nullptr) return;
    planes->keep_packed(pair_sums(first, second, before), std::move(stages_[i].op), chain);
    replace(i, {first, second, before}, std::move(planes));
  }

  // The product whose sums weights of two levels turn into reals, if nobody else reads them.
  std::size_t level_product(std::size_t stage, const TwoLevels& levels) const {
    if (levels.rounds() || levels.groups() != 1) return kNoStage;
    const std::size_t first = sole_source(stage, 0);
    return is_product(first) ? first : kNoStage;
  }

  // Takes the product and its levels over, with a window sum of their own.
  std::unique_ptr<Sequence> level_sums(std::size_t first, std::size_t before, const KernelTable& kernels) {
    ConvolutionShape window = stages_[first].product->shape;
    auto packed = std::make_unique<Sequence>(row_bytes(window.in, Storage::kBits));
    packed->add(std::move(stages_[first].op), {0}, window.filters * sizeof(std::int32_t));
    const std::size_t filters = std::exchange(window.filters, 1);
    Filters ones;  // whose sum all filters share
    ones.signs = SignRows(1, window.depth());
    packed->add(std::make_unique<Convolution>(kernels, window, ones, std::vector<float>()), {0},
                sizeof(std::int32_t));
    packed->add(std::move(stages_[before].op), {1, 2}, filters * sizeof(float));
    --uses_[stages_[before].inputs[1]];
    return packed;
  }

  // Two products of the same inputs that nobody reads but the stage which adds them, or kNoStage.
  std::pair<std::size_t, std::size_t> pair_products(std::size_t stage) const {
    const std::pair<std::size_t, std::size_t> none = {kNoStage, kNoStage};
    if (dynamic_cast<const AddInts*>(stages_[stage].op.get()) == nullptr) return none;
    if (stages_[stage].inputs.size() != 2) return none;
    const std::size_t first = sole_source(stage, 0), second = sole_source(stage, 1);
    if (!is_product(first) || !is_product(second)) return none;
    const BinaryProduct &a = *stages_[first].product, &b = *stages_[second].product;
    const bool same = a.input == b.input && a.shape.filters == b.shape.filters &&
                      a.shape.window == b.shape.window && a.shape.pad_value == b.shape.pad_value &&
                      a.shape.groups == b.shape.groups;
    return same ? std::pair{first, second} : none;
  }

  std::unique_ptr<Sequence> pair_sums(std::size_t first, std::size_t second, std::size_t before) {
    const BinaryProduct& product = *stages_[first].product;
    const std::size_t row = product.shape.filters * sizeof(std::int32_t);
    auto packed = std::make_unique<Sequence>(row_bytes(product.shape.in, Storage::kBits));
    packed->add(std::move(stages_[first].op), {0}, row);
    packed->add(std::move(stages_[second].op), {0}, row);
    packed->add(std::move(stages_[before].op), {1, 2}, row);
    --uses_[product.input];
    return packed;
  }

  void place_pair(std::size_t i, std::size_t before, const Threshold& threshold, const KernelTable& kernels,
                  Layout layout) {
    const auto [first, second] = pair_products(before);
    if (first == kNoStage) return;
    const BinaryProduct &a = *stages_[first].product, &b = *stages_[second].product;
    auto planes = BitplaneConvolution::make(kernels, a, b, threshold.plain_cuts(), layout);
    if (planes == nullptr) return;
    std::unique_ptr<Sequence> packed = pair_sums(first, second, before);
    packed->add(std::move(stages_[i].op), {3}, words_for(a.shape.filters) * sizeof(Word));
    planes->keep_packed(std::move(packed), nullptr);
    replace(i, {first, second, before}, std::move(planes));
  }

  // Stage i does the work of others; the first of them names it, and its input is read.
  void replace(std::size_t i, const std::vector<std::size_t>& others, std::unique_ptr<Operator> op) {
    Stage& stage = stages_[i];
    stage.op = std::move(op);
    stage.inputs[0] = stages_[others.front()].product->input;
    stage.node = stages_[others.front()].node;
    for (std::size_t other : others) done_by_[other] = i;
  }

  // The stage that makes a value which nobody but the reader at hand reads, or kNoStage.
  std::size_t sole_producer(Value value) const {
    const std::size_t stage = producer_[value];
    return stage != kNoStage && uses_[value] == 1 && stages_[stage].second != value ? stage : kNoStage;
  }

  static bool is_convolution(const Stage& stage) {
    return stage.product == nullptr && dynamic_cast<Convolution*>(stage.op.get()) != nullptr &&
           !stage.op->by_rows(0);
  }

  std::vector<Stage>& stages_;
  std::deque<PlanValue>& values_;
  std::vector<std::size_t> uses_, producer_, done_by_;
};

}  // namespace

std::vector<std::size_t> fuse(std::vector<Stage>& stages, std::deque<PlanValue>& values, Value output,
                              const KernelTable& kernels, Layout layout) {
  Fusion fusion(stages, values, output);
  fusion.drop_unread();
  fusion.pool_sums(kernels);
  fusion.join_chains();
  fusion.give_chains();
  fusion.join_thresholds();
  fusion.narrow_integers(kernels);
  if (layout != Layout::kPacked) {
    fusion.place_sparse(kernels, layout);
    fusion.place_sums(kernels, layout);
  }
  return fusion.finish();
}

}  // namespace sb
