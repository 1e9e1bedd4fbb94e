// Which products run on planes of bits.
#include "plan/place.h"

#include <memory>
#include <utility>

#include "ops/bitplane.h"
#include "ops/chain.h"
#include "ops/convolution.h"
#include "ops/sequence.h"
#include "ops/threshold.h"
#include "ops/two_levels.h"

namespace sb {
namespace {

class Placement {
 public:
  Placement(Links& links, const KernelTable& kernels, Layout layout)
      : links_(links), stages_(links.stages), kernels_(kernels), layout_(layout) {}

  // Bits of sums of two levels, or of the sum of two products, are made of the lists of rare weights where
  // that costs less.
  void place_bits() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (stages_[i].op == nullptr) continue;
      const std::size_t before = links_.sole_producer(stages_[i].inputs[0]);
      if (before == kNoStage) continue;
      if (const auto* chain = dynamic_cast<const Chain*>(stages_[i].op.get());
          chain != nullptr && chain->only_signs())
        place_levels(i, before, *chain);
      else if (const auto* threshold = dynamic_cast<const Threshold*>(stages_[i].op.get());
               threshold != nullptr && !threshold->reads_table())
        place_pair(i, before, *threshold);
    }
    links_.drop_unread();
  }

  // Sums that only a chain reads, of a product, of two levels or of two products, are counted on bit-planes
  // where that costs less.
  void place_sums() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      auto* chain = dynamic_cast<Chain*>(stages_[i].op.get());
      const std::size_t before = chain == nullptr ? kNoStage : links_.sole_producer(stages_[i].inputs[0]);
      if (before == kNoStage || stages_[before].op == nullptr) continue;
      if (links_.is_product(before))
        place_product(i, before, chain);
      else if (const auto* levels = dynamic_cast<const TwoLevels*>(stages_[before].op.get());
               levels != nullptr)
        place_level_sums(i, before, chain, *levels);
      else
        place_pair_sums(i, before, chain);
    }
    links_.drop_unread();
  }

 private:
  void place_levels(std::size_t i, std::size_t before, const Chain& chain) {
    const auto* levels = dynamic_cast<const TwoLevels*>(stages_[before].op.get());
    const std::size_t first = levels == nullptr ? kNoStage : level_product(before, *levels);
    if (first == kNoStage) return;
    const BinaryProduct& product = *stages_[first].product;
    const std::size_t filters = product.shape.filters;
    TwoLevelRule rule{levels->half(), levels->middle(), chain.shift()};
    rule.shift.resize(filters, 0.0f);
    auto planes = BitplaneConvolution::make(kernels_, product, rule, layout_);
    if (planes == nullptr) return;
    std::unique_ptr<Sequence> popcount = level_sums(first, before);
    popcount->add(std::move(stages_[i].op), {3}, words_for(filters) * sizeof(Word));
    planes->keep_popcount(std::move(popcount), nullptr);
    replace(i, {first, before}, std::move(planes));
  }

  void place_product(std::size_t i, std::size_t before, const Chain* chain) {
    auto planes = BitplaneConvolution::make(kernels_, *stages_[before].product, nullptr, layout_);
    if (planes == nullptr) return;
    planes->keep_popcount(std::move(stages_[before].op), std::move(stages_[i].op), chain);
    replace(i, {before}, std::move(planes));
  }

  void place_level_sums(std::size_t i, std::size_t before, const Chain* chain, const TwoLevels& levels) {
    const std::size_t first = level_product(before, levels);
    if (first == kNoStage) return;
    auto planes = BitplaneConvolution::make(kernels_, *stages_[first].product, &levels, layout_);
    if (planes == nullptr) return;
    planes->keep_popcount(level_sums(first, before), std::move(stages_[i].op), chain, kChainFloats);
    replace(i, {first, before}, std::move(planes));
  }

  void place_pair_sums(std::size_t i, std::size_t before, const Chain* chain) {
    const auto [first, second] = pair_products(before);
    if (first == kNoStage) return;
    const BinaryProduct &a = *stages_[first].product, &b = *stages_[second].product;
    auto planes = BitplaneConvolution::make(kernels_, a, b, layout_);
    if (planes == nullptr) return;
    planes->keep_popcount(pair_sums(first, second, before), std::move(stages_[i].op), chain);
    replace(i, {first, second, before}, std::move(planes));
  }

  // The product whose sums weights of two levels turn into reals, if nobody else reads them.
  std::size_t level_product(std::size_t stage, const TwoLevels& levels) const {
    if (levels.rounds() || levels.groups() != 1) return kNoStage;
    const std::size_t first = links_.sole_producer(stages_[stage].inputs[0]);
    return links_.is_product(first) ? first : kNoStage;
  }

  // Takes the product and its levels over, with a window sum of their own.
  std::unique_ptr<Sequence> level_sums(std::size_t first, std::size_t before) {
    ConvolutionShape window = stages_[first].product->shape;
    auto popcount = std::make_unique<Sequence>(row_bytes(window.in, Storage::kBits));
    popcount->add(std::move(stages_[first].op), {0}, window.filters * sizeof(std::int32_t));
    const std::size_t filters = std::exchange(window.filters, 1);
    Filters ones;  // whose sum all filters share
    ones.signs = SignRows(1, window.depth());
    popcount->add(std::make_unique<Convolution>(kernels_, window, ones, std::vector<float>()), {0},
                  sizeof(std::int32_t));
    popcount->add(std::move(stages_[before].op), {1, 2}, filters * sizeof(float));
    --links_.uses[stages_[before].inputs[1]];
    return popcount;
  }

  // Two products of the same inputs that nobody reads but the stage which adds them, or kNoStage.
  std::pair<std::size_t, std::size_t> pair_products(std::size_t stage) const {
    const std::pair<std::size_t, std::size_t> none = {kNoStage, kNoStage};
    if (dynamic_cast<const AddInts*>(stages_[stage].op.get()) == nullptr) return none;
    if (stages_[stage].inputs.size() != 2) return none;
    const std::size_t first = links_.sole_producer(stages_[stage].inputs[0]);
    const std::size_t second = links_.sole_producer(stages_[stage].inputs[1]);
    if (!links_.is_product(first) || !links_.is_product(second)) return none;
    const BinaryProduct &a = *stages_[first].product, &b = *stages_[second].product;
    const bool same = a.input == b.input && a.shape.filters == b.shape.filters &&
                      a.shape.window == b.shape.window && a.shape.pad_value == b.shape.pad_value &&
                      a.shape.groups == b.shape.groups;
    return same ? std::pair{first, second} : none;
  }

  std::unique_ptr<Sequence> pair_sums(std::size_t first, std::size_t second, std::size_t before) {
    const BinaryProduct& product = *stages_[first].product;
    const std::size_t row = product.shape.filters * sizeof(std::int32_t);
    auto popcount = std::make_unique<Sequence>(row_bytes(product.shape.in, Storage::kBits));
    popcount->add(std::move(stages_[first].op), {0}, row);
    popcount->add(std::move(stages_[second].op), {0}, row);
    popcount->add(std::move(stages_[before].op), {1, 2}, row);
    --links_.uses[product.input];
    return popcount;
  }

  void place_pair(std::size_t i, std::size_t before, const Threshold& threshold) {
    const auto [first, second] = pair_products(before);
    if (first == kNoStage) return;
    const BinaryProduct &a = *stages_[first].product, &b = *stages_[second].product;
    auto planes = BitplaneConvolution::make(kernels_, a, b, threshold.plain_cuts(), layout_);
    if (planes == nullptr) return;
    std::unique_ptr<Sequence> popcount = pair_sums(first, second, before);
    popcount->add(std::move(stages_[i].op), {3}, words_for(a.shape.filters) * sizeof(Word));
    planes->keep_popcount(std::move(popcount), nullptr);
    replace(i, {first, second, before}, std::move(planes));
  }

  // Stage i does the work of others; the first of them names it, and its input is read.
  void replace(std::size_t i, const std::vector<std::size_t>& others, std::unique_ptr<Operator> op) {
    Stage& stage = stages_[i];
    stage.op = std::move(op);
    stage.inputs[0] = stages_[others.front()].product->input;
    stage.node = stages_[others.front()].node;
    for (std::size_t other : others) links_.done_by[other] = i;
  }

  Links& links_;
  std::vector<Stage>& stages_;
  const KernelTable& kernels_;
  const Layout layout_;
};

}  // namespace

void place_products(Links& links, const KernelTable& kernels, Layout layout) {
  Placement placement(links, kernels, layout);
  // Bits first: a chain that only takes signs could be given sums too, but needs none.
  placement.place_bits();
  placement.place_sums();
}

}  // namespace sb
