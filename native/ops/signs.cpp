// Builder of the node that makes bits of integers: Threshold.
#include <algorithm>
#include <memory>
#include <numeric>

#include "ops/bitplane.h"
#include "ops/pixel_signs.h"
#include "ops/registry.h"
#include "ops/threshold.h"

namespace sb {

void Threshold::run(const Call& call) const noexcept {
  const std::size_t channels = in_.channels, words = words_for(channels);
  auto* gathered = reinterpret_cast<std::int32_t*>(call.scratch);
  for (std::size_t r = 0; r < call.rows; ++r) {
    const std::int32_t* cut = cuts_.data();
    if (!border_.empty()) cut += border_[(call.first + r) % in_.positions()] * channels;
    if (groups_ > 0) {
      const std::size_t width = channels / groups_;
      for (std::size_t g = 0; g < groups_; ++g) {
        const std::int64_t entry = (call.in<std::int32_t>(1)[r * groups_ + g] - low_) / step_;
        std::copy_n(cuts_.data() + static_cast<std::size_t>(entry) * channels + g * width, width,
                    gathered + g * width);
      }
      cut = gathered;
    }
    kernels_.threshold(call.in<std::int32_t>(0) + r * channels, invert_.data(), cut, channels,
                       call.out<Word>() + r * words);
  }
}

Cuts Threshold::plain_cuts() const {
  Cuts plain;
  for (std::size_t i = 0; i < cuts_.size(); ++i) plain.cuts.push_back(cuts_[i] ^ invert_[i % invert_.size()]);
  for (std::int32_t turned : invert_) plain.inverted.push_back(turned != 0);
  plain.border = border_;
  return plain;
}

Value build_threshold(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 2)) return kNoValue;
  const Edge& in = node.input();
  const std::size_t channels = in.channels;
  node.expect(in.integral(), "needs integers or bits, got " + describe(in));
  const std::vector<std::int8_t> direction = node.array<std::int8_t>("direction", {channels});
  node.expect(std::all_of(direction.begin(), direction.end(), [](int d) { return d == 1 || d == -1; }),
              "direction holds a value other than -1 and 1");
  std::vector<std::uint8_t> border;
  if (node.has("border")) border = node.array<std::uint8_t>("border", {in.height, in.width});
  const bool table = inputs.size() == 2;
  node.expect(!(table && node.has("border")), "a threshold takes one window sum, and then no border");
  const Tensor* given = node.tensor("threshold");
  if (!node.ok()) return kNoValue;

  std::size_t rows = 1;
  std::vector<std::size_t> shape = {channels};
  if (table || !border.empty()) {
    node.expect(given->shape.size() == 2 && given->shape[1] >= 1 && given->shape[1] <= kMaxElements,
                "tensor 'threshold' has the wrong rank");
    if (!node.ok()) return kNoValue;
    rows = given->shape[1];
    shape = {channels, rows};
  }
  const std::vector<std::int32_t> values = node.array<std::int32_t>("threshold", shape);
  for (std::uint8_t place : border)
    node.expect(place < rows, "border names a class past those of 'threshold'");
  const std::int64_t low = node.integer("table_low", -kInt32Max, kInt32Max, 0);
  const std::int64_t step = node.integer("table_step", 1, kInt32Max, 1);
  if (!node.ok()) return kNoValue;
  if (table) {
    const Edge& s = node.input(1);
    node.expect(s.kind == Kind::kInt && s.vector == in.vector && s.height == in.height &&
                    s.width == in.width && channels % s.channels == 0,
                "the window sum " + describe(s) + " does not fit " + describe(in));
    node.expect(
        s.low >= low && (s.high - low) / step < static_cast<std::int64_t>(rows),
        "the table of thresholds misses some of " + std::to_string(s.low) + ".." + std::to_string(s.high));
    if (!node.ok()) return kNoValue;
  }

  std::vector<std::int32_t> cuts(rows * channels), invert(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    invert[c] = direction[c] > 0 ? 0 : -1;
    for (std::size_t row = 0; row < rows; ++row)
      cuts[row * channels + c] = values[c * rows + row] ^ invert[c];
  }
  if (in.kind == Kind::kImage && !table && border.empty()) {
    PixelChannels pixels{inputs[0], std::vector<std::int32_t>(channels)};
    std::iota(pixels.from.begin(), pixels.from.end(), 0);
    if (const PixelChannels* chosen = plan.channels(inputs[0]); chosen != nullptr) pixels = *chosen;
    if (auto signs = PixelSigns::make(plan.edge(pixels.image), pixels.from, cuts, invert); signs != nullptr)
      return plan.emit(std::move(signs), {pixels.image}, node.output(as_bits(in)), Storage::kBits);
  }
  const BinaryProduct* product =
      table || plan.layout() == Layout::kPopcount ? nullptr : plan.sole_product(inputs[0]);
  auto op =
      std::make_unique<Threshold>(plan.kernels(), in, std::move(cuts), std::move(invert), std::move(border));
  std::unique_ptr<BitplaneConvolution> planes;
  if (product != nullptr)
    planes = BitplaneConvolution::make(plan.kernels(), *product, op->plain_cuts(), plan.layout());
  if (planes != nullptr) {
    const Value input = product->input;
    planes->keep_popcount(plan.take_product(), std::move(op));
    return plan.emit(std::move(planes), {input}, node.output(as_bits(in)), Storage::kBits);
  }
  std::vector<Value> read = {plan.stored(inputs[0], Storage::kInts)};
  if (table) {
    op->read_table(node.input(1).channels, low, step);
    read.push_back(inputs[1]);
  }
  return plan.emit(std::move(op), read, node.output(as_bits(in)), Storage::kBits);
}

}  // namespace sb
