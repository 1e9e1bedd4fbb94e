#include "ops/quantize.h"

#include <algorithm>

#include "base/memory.h"
#include "ops/pool.h"
#include "ops/registry.h"

namespace sb {

void Quantize::run(const Call& call) const noexcept {
  const std::size_t n = call.rows * channels_;
  if (bytes_)
    bytes(call.in<float>(0), n, call.out<std::uint8_t>());
  else
    kernels_.quantize(call.in<float>(0), line_.inverse_step, line_.zero, line_.low, line_.high, n,
                      call.out<std::int32_t>());
}

QuantizedPool::QuantizedPool(const KernelTable& kernels, const Edge& in, const Window& pool,
                             std::unique_ptr<Quantize> quantize)
    : kernels_(kernels),
      in_(in),
      pool_(pool),
      quantize_(std::move(quantize)),
      slots_((pool.kernel_y - 1) * pool.dilation_y + 1) {}

std::size_t QuantizedPool::scratch(std::size_t) const {
  return ring_bytes() + round_up(line_size() + kSlack, kAlignment) +
         std::max(pool_.kernel_y, pool_.kernel_x) * sizeof(void*);
}

void QuantizedPool::run(const Call& call) const noexcept {
  auto* ring = reinterpret_cast<std::uint8_t*>(call.scratch);
  const std::size_t width = pool_.out_width;
  const float* map = nullptr;
  std::size_t next = 0;
  for (std::size_t done = 0; done < call.rows; done += width) {
    const std::size_t line = (call.first + done) / width, y = line % pool_.out_height;
    const float* sample = call.in<float>(0) + line / pool_.out_height * in_.elements();
    if (sample != map) map = sample, next = 0;
    const Span lines = rows_of(pool_, in_.height, y);
    const std::size_t last = lines.place + (lines.count - 1) * pool_.dilation_y;
    for (next = std::max(next, lines.place); next <= last; ++next)
      quantize_->bytes(map + next * line_size(), line_size(), ring + next % slots_ * line_size());
    pool_line(y, ring, call.out<std::uint8_t>() + done * in_.channels);
  }
}

// First of the lines, then of the columns, all that are next to each other at once.
void QuantizedPool::pool_line(std::size_t y, std::uint8_t* ring, std::uint8_t* out) const {
  const std::size_t channels = in_.channels;
  std::uint8_t* highest = ring + ring_bytes();
  const auto** rows =
      reinterpret_cast<const std::uint8_t**>(highest + round_up(line_size() + kSlack, kAlignment));
  const Span lines = rows_of(pool_, in_.height, y);
  for (std::size_t i = 0; i < lines.count; ++i)
    rows[i] = ring + (lines.place + i * pool_.dilation_y) % slots_ * line_size();
  kernels_.rows.max_bytes(rows, lines.count, line_size(), highest);
  for (std::size_t x = 0, run = 1; x < pool_.out_width; x += run) {
    const Span columns = columns_of(pool_, in_.width, x);
    for (std::size_t j = 0; j < columns.count; ++j)
      rows[j] = highest + (columns.place + j * pool_.dilation_x) * channels;
    for (run = 1; pool_.stride_x == 1 && x + run < pool_.out_width; ++run) {
      const Span other = columns_of(pool_, in_.width, x + run);
      if (other.count != columns.count || other.place != columns.place + run) break;
    }
    kernels_.rows.max_bytes(rows, columns.count, run * channels, out + x * channels);
  }
}

Value build_quantize(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(in.kind == Kind::kReal, "needs reals, got " + describe(in));
  const auto inverse_step = static_cast<float>(node.real("inverse_step"));
  node.expect(inverse_step >= 0, "inverse_step must be positive");
  const std::int64_t low = node.integer("low", -(1 << 15), 1 << 16, -128);
  const std::int64_t high = node.integer("high", -(1 << 15), 1 << 16, 127);
  const std::int64_t zero = node.integer("zero", -(1 << 15), 1 << 16, 0);
  node.expect(low <= zero && zero <= high, "zero does not lie within low..high");
  const Edge out = node.output(as_int(in, low, high));
  if (!node.ok()) return kNoValue;
  const Quantize::Line line{inverse_step, static_cast<float>(zero), static_cast<float>(low),
                            static_cast<float>(high)};
  return plan.emit(std::make_unique<Quantize>(plan.kernels(), in.channels, line), inputs, out,
                   Storage::kInts);
}

}  // namespace sb
