// Turns descriptions into a plan. Nothing described is trusted.
#include <algorithm>
#include <map>
#include <utility>

#include "ops/conversion.h"
#include "ops/convolution.h"
#include "ops/registry.h"
#include "plan/plan.h"

namespace sb {
namespace {

constexpr std::size_t kMaxNodes = 10'000;
constexpr std::size_t kMaxTotal = std::size_t{1} << 30;
constexpr int kMaxThreads = 256;
constexpr std::size_t kMaxScratch = std::size_t{1} << 34;
// A block of rows with all that passes between its stages should stay in the second cache.
constexpr std::size_t kBlockBytes = std::size_t{96} << 10;
constexpr std::size_t kMostBlockRows = 512;

}  // namespace

class PlanBuilder final : public Emitter {
 public:
  PlanBuilder(Plan& plan, Layout layout, std::string& error) : plan_(plan), layout_(layout), error_(error) {}

  bool build(const std::vector<InputDescription>& inputs, const std::vector<NodeDescription>& nodes,
             const std::string& output) {
    if (nodes.size() > kMaxNodes) return fail(std::to_string(nodes.size()) + " nodes are more than 10000");
    if (inputs.empty()) return fail("there is no input");
    for (const InputDescription& input : inputs)
      if (!add_input(input)) return false;
    for (const NodeDescription& node : nodes)
      for (const std::string& source : node.inputs) ++readers_of_name_[source];
    ++readers_of_name_[output];
    for (const NodeDescription& node : nodes)
      if (!add_node(node)) return false;
    const auto found = names_.find(output);
    if (found == names_.end()) return fail("output '" + output + "' is not a node");
    plan_.output_ = resolve(found->second);
    done_by_ = fuse(plan_.stages_, plan_.values_, plan_.output_, kernels(), layout_);
    join();
    describe_nodes();
    lay_out();
    return measure_scratch();
  }

  const KernelTable& kernels() const override { return plan_.kernels_; }
  Layout layout() const override { return layout_; }
  const Edge& edge(Value value) const override { return plan_.values_[value].edge; }
  Value unflattened(Value value) const override { return plan_.values_[value].map; }
  void explain(std::string why) override { plan_.nodes_.back().why = std::move(why); }

  Value flatten(Value source, const Edge& edge) override {
    const Value value = add_value(edge, natural_storage(edge));
    plan_.values_[value].map = source;
    plan_.nodes_.back().kernel = "view";
    return value;
  }

  Value stored(Value value, Storage storage) override {
    value = resolve(value);
    const Storage held = plan_.values_[value].storage;
    if (held == storage) return value;
    const auto [place, added] = stored_.try_emplace({value, storage}, kNoValue);
    if (added) {
      const Edge from = edge(value);
      auto op = make_conversion(kernels(), from, held, storage);
      if (op == nullptr) return value;
      place->second = add_stage(std::move(op), {value}, from, storage);
    }
    return place->second;
  }

  Value emit(std::unique_ptr<Operator> op, std::vector<Value> inputs, const Edge& edge,
             Storage storage) override {
    for (Value& input : inputs) input = resolve(input);
    NodePlan& node = plan_.nodes_.back();
    if (taken_from_ != kNoNode) {
      plan_.nodes_[taken_from_].kernel = op->kernel();
      node.kernel = std::string(op->kernel()) + ", fused with '" + plan_.nodes_[taken_from_].name + "'";
    } else if (node.kernel.empty()) {
      node.kernel = op->kernel();
      main_stage_.back() = plan_.stages_.size();
    }
    return add_stage(std::move(op), std::move(inputs), edge, storage);
  }

  void describe_product(std::shared_ptr<const BinaryProduct> product) override {
    plan_.stages_.back().product = std::move(product);
  }

  const BinaryProduct* sole_product(Value value) override {
    const bool last = !plan_.stages_.empty() && plan_.stages_.back().output == value;
    return last && readers_[value] == 1 ? plan_.stages_.back().product.get() : nullptr;
  }

  void describe_pixels(Value value, PixelLine line) override { pixels_.emplace(value, std::move(line)); }

  const PixelLine* pixels(Value value) const override {
    const auto found = pixels_.find(value);
    return found == pixels_.end() ? nullptr : &found->second;
  }

  void describe_channels(Value value, PixelChannels channels) override {
    channels_.emplace(value, std::move(channels));
  }

  const PixelChannels* channels(Value value) const override {
    const auto found = channels_.find(value);
    return found == channels_.end() ? nullptr : &found->second;
  }

  std::unique_ptr<Operator> take_product() override {
    Stage stage = std::move(plan_.stages_.back());
    plan_.stages_.pop_back();
    taken_from_ = stage.node;
    return std::move(stage.op);
  }

 private:
  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  bool count_elements(const Edge& edge, const std::string& name) {
    total_ += edge.elements();
    return total_ <= kMaxTotal || fail("node '" + name + "': the edges of one sample hold too many values");
  }

  bool add_input(const InputDescription& input) {
    const std::string wrong = check_edge(input.edge);
    if (!wrong.empty()) return fail("input '" + input.name + "': " + wrong);
    if (!names_.emplace(input.name, add_value(input.edge, natural_storage(input.edge))).second)
      return fail("input '" + input.name + "' is given twice");
    plan_.inputs_.push_back(input);
    return count_elements(input.edge, input.name);
  }

  bool add_node(const NodeDescription& node) {
    if (node.name.empty() || names_.contains(node.name))
      return fail("node '" + node.name + "': the name is empty or taken");
    const BuildNode build = find_node(node.op);
    if (build == nullptr) return fail("node '" + node.name + "': unknown operator '" + node.op + "'");
    std::vector<Value> inputs;
    std::vector<const Edge*> edges;
    for (const std::string& source : node.inputs) {
      const auto found = names_.find(source);
      if (found == names_.end())
        return fail("node '" + node.name + "': input '" + source + "' is not an earlier node");
      inputs.push_back(found->second);
      edges.push_back(&edge(found->second));
    }
    plan_.nodes_.push_back({node.name, node.op, "", "", {}});
    main_stage_.push_back(kNoStage);
    NodeReader reader(node, std::move(edges));
    const Value value = build(reader, inputs, *this);
    if (!reader.ok()) return fail(reader.error());
    plan_.nodes_.back().edge = edge(value);
    names_.emplace(node.name, value);
    readers_[value] += readers_of_name_[node.name];
    return count_elements(edge(value), node.name);
  }

  Value add_value(const Edge& edge, Storage storage) {
    PlanValue value;
    value.edge = edge;
    value.storage = storage;
    plan_.values_.push_back(value);
    return static_cast<Value>(plan_.values_.size() - 1);
  }

  Value add_stage(std::unique_ptr<Operator> op, std::vector<Value> inputs, const Edge& edge,
                  Storage storage) {
    const Value output = add_value(edge, storage);
    const std::size_t last = plan_.nodes_.empty() ? 0 : plan_.nodes_.size() - 1;
    const std::size_t node = std::exchange(taken_from_, kNoNode);
    plan_.stages_.push_back(
        {std::move(op), std::move(inputs), output, node == kNoNode ? last : node, kNoValue, nullptr});
    return output;
  }

  // A value that lies in memory: a flattened vector in its own order if it was only a view until now.
  Value resolve(Value value) {
    const Value map = plan_.values_[value].map;
    if (map == kNoValue) return value;
    const auto [place, added] = flat_.try_emplace(value, kNoValue);
    if (added) {
      const Edge vector = edge(value);
      const Storage storage = natural_storage(vector);
      place->second = add_stage(make_flatten(edge(map), storage), {map}, vector, storage);
    }
    return place->second;
  }

  // Joins a stage to the one before it when it reads its rows, and nobody else does.
  void join() {
    const std::size_t count = plan_.stages_.size();
    std::vector<std::size_t> uses(plan_.values_.size(), 0), producer(plan_.values_.size(), kNoStage);
    for (std::size_t i = 0; i < count; ++i) {
      if (plan_.stages_[i].op == nullptr) continue;
      producer[plan_.stages_[i].output] = i;
      for (Value input : plan_.stages_[i].inputs) ++uses[input];
    }
    ++uses[plan_.output_];
    std::vector<std::size_t> before(count, kNoStage);
    std::vector<bool> inner(count, false);
    for (std::size_t i = 0; i < count; ++i) {
      const Stage& stage = plan_.stages_[i];
      if (stage.op == nullptr || stage.op->begins_step()) continue;
      for (std::size_t k = 0; k < stage.inputs.size(); ++k) {
        const std::size_t source = producer[stage.inputs[k]];
        const bool alone = source != kNoStage && uses[stage.inputs[k]] == 1;
        if (alone && stage.op->by_rows(k) && (before[i] == kNoStage || source > before[i]))
          before[i] = source;
      }
      if (before[i] != kNoStage) inner[before[i]] = true;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (inner[i] || plan_.stages_[i].op == nullptr) continue;
      Step step;
      for (std::size_t s = i; s != kNoStage; s = before[s]) step.stages.push_back(s);
      std::reverse(step.stages.begin(), step.stages.end());
      for (std::size_t s : step.stages) {
        step.granule = std::max(step.granule, plan_.stages_[s].op->granule());
        step.tile_rows = std::max(step.tile_rows, plan_.stages_[s].op->tile_rows());
      }
      plan_.steps_.push_back(std::move(step));
    }
  }

  void describe_nodes() {
    std::vector<std::size_t> heads(plan_.stages_.size());
    for (const Step& step : plan_.steps_)
      for (std::size_t s : step.stages) heads[s] = plan_.stages_[step.stages.front()].node;
    for (std::size_t node = 0; node < plan_.nodes_.size(); ++node) {
      if (main_stage_[node] == kNoStage) continue;
      const std::size_t stage = done_by_[main_stage_[node]], head = heads[stage];
      if (plan_.stages_[stage].op == nullptr) {
        plan_.nodes_[node].kernel = "done by its readers";
        continue;
      }
      if (node == head)
        plan_.nodes_[node].kernel = plan_.stages_[stage].op->kernel();
      else
        plan_.nodes_[node].kernel += ", fused with '" + plan_.nodes_[head].name + "'";
    }
  }

  // Gives every value that outlives a step its place: first fit among those alive at the same time.
  void lay_out() {
    struct Life {
      Value value;
      std::size_t begin, end, size;
    };
    const std::size_t last = plan_.steps_.size() + 1;
    std::map<Value, Life> lives;
    for (std::size_t i = 0; i < plan_.inputs_.size(); ++i) add_life(lives, static_cast<Value>(i), 0);
    for (std::size_t s = 0; s < plan_.steps_.size(); ++s) {
      Step& step = plan_.steps_[s];
      const Stage& head = plan_.stages_[step.stages.front()];
      step.splits = head.op->filter_granule() > 0 && head.inputs.size() == 1 &&
                    plan_.values_[head.output].edge.positions() == 1;
      add_life(lives, plan_.stages_[step.stages.back()].output, s + 1);
      for (std::size_t stage : step.stages)
        if (plan_.stages_[stage].second != kNoValue) add_life(lives, plan_.stages_[stage].second, s + 1);
      if (step.splits) add_life(lives, head.output, s + 1);
      for (std::size_t stage : step.stages)
        for (Value input : plan_.stages_[stage].inputs)
          if (const auto life = lives.find(input); life != lives.end()) life->second.end = s + 1;
    }
    lives.at(plan_.output_).end = last;

    // An output that may lie where an input lay that nobody reads any more: a stream stays in the cache.
    std::map<Value, Value> home;
    for (std::size_t s = 0; s < plan_.steps_.size(); ++s) {
      const Stage& stage = plan_.stages_[plan_.steps_[s].stages.back()];
      for (const Value input : stage.inputs) {
        const auto life = lives.find(home.contains(input) ? home[input] : input);
        if (life == lives.end() || life->second.end != s + 1 || !lies_over(plan_.steps_[s], input)) continue;
        life->second.end = lives.at(stage.output).end;
        lives.erase(stage.output);
        home[stage.output] = life->first;
        break;
      }
    }

    std::vector<Life> placed;
    for (auto& [value, life] : lives) {
      std::vector<std::pair<std::size_t, std::size_t>> taken;
      for (const Life& other : placed)
        if (other.begin <= life.end && life.begin <= other.end)
          taken.emplace_back(plan_.values_[other.value].offset, other.size);
      std::sort(taken.begin(), taken.end());
      std::size_t offset = 0;
      for (const auto& [start, size] : taken) {
        if (offset + life.size <= start) break;
        offset = std::max(offset, start + size);
      }
      plan_.values_[value].offset = offset;
      plan_.bytes_per_sample_ = std::max(plan_.bytes_per_sample_, offset + life.size);
      placed.push_back(life);
    }
    for (const auto& [value, place] : home) plan_.values_[value].offset = plan_.values_[place].offset;
  }

  // Whether what a step makes may replace an input of its last stage, row by row.
  bool lies_over(const Step& step, Value input) const {
    const Stage& last = plan_.stages_[step.stages.back()];
    const PlanValue &from = plan_.values_[input], &to = plan_.values_[last.output];
    if (from.row_size() != to.row_size() || from.edge.positions() != to.edge.positions()) return false;
    for (std::size_t s : step.stages)
      for (std::size_t k = 0; k < plan_.stages_[s].inputs.size(); ++k)
        if (plan_.stages_[s].inputs[k] == input && (s != step.stages.back() || !last.op->in_place(k)))
          return false;
    return true;
  }

  template <class Lives>
  void add_life(Lives& lives, Value value, std::size_t step) {
    const PlanValue& held = plan_.values_[value];
    const std::size_t size = round_up(sample_bytes(held.edge, held.storage) + kSlack, kAlignment);
    lives.try_emplace(value, typename Lives::mapped_type{value, step, step, size});
  }

  bool measure_scratch() {
    for (Step& step : plan_.steps_) {
      const std::size_t per_row = (plan_.step_scratch(step, 64) - plan_.step_scratch(step, 0)) / 64 + 1;
      std::size_t rows = std::clamp(kBlockBytes / per_row, std::size_t{1}, kMostBlockRows);
      if (rows > 4) rows = rows / 4 * 4;
      for (std::size_t s : step.stages) rows = std::max(rows, plan_.stages_[s].op->least_rows());
      step.block_rows = round_up(rows, step.granule);
      plan_.scratch_per_thread_ =
          std::max(plan_.scratch_per_thread_, plan_.step_scratch(step, step.block_rows));
    }
    plan_.scratch_per_thread_ += kSlack;
    plan_.scratch_per_thread_ = round_up(plan_.scratch_per_thread_, kAlignment);
    return plan_.scratch_per_thread_ <= kMaxScratch || fail("its nodes need too much memory");
  }

  static constexpr std::size_t kNoStage = static_cast<std::size_t>(-1);
  static constexpr std::size_t kNoNode = static_cast<std::size_t>(-1);

  Plan& plan_;
  Layout layout_;
  std::string& error_;
  std::map<std::string, Value> names_;
  std::map<std::pair<Value, Storage>, Value> stored_;
  std::map<Value, Value> flat_;
  std::map<Value, PixelLine> pixels_;
  std::map<Value, PixelChannels> channels_;
  std::map<std::string, std::size_t> readers_of_name_;
  std::map<Value, std::size_t> readers_;
  std::size_t taken_from_ = kNoNode;     // whose stage the next one replaces
  std::vector<std::size_t> main_stage_;  // per node
  std::vector<std::size_t> done_by_;     // per stage, after fusion
  std::size_t total_ = 0;
};

std::unique_ptr<Plan> Plan::build(const std::vector<InputDescription>& inputs,
                                  const std::vector<NodeDescription>& nodes, const std::string& output,
                                  const KernelTable& kernels, int threads, std::string& error,
                                  Layout layout) {
  if (threads < 1 || threads > kMaxThreads) {
    error = "threads must be 1.." + std::to_string(kMaxThreads) + ", got " + std::to_string(threads);
    return nullptr;
  }
  std::unique_ptr<Plan> plan(new Plan(kernels, threads));
  PlanBuilder builder(*plan, layout, error);
  return builder.build(inputs, nodes, output) ? std::move(plan) : nullptr;
}

}  // namespace sb
