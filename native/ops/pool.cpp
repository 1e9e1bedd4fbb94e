// Builder of Pool: maximum, sum or mean over a window, padding left out.
#include "ops/pool.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "ops/registry.h"
#include "ops/rounding.h"

namespace sb {
namespace {

// Visits every input row (position) under the windows of the requested output rows.
class PoolBase : public Operator {
 public:
  PoolBase(const Edge& in, const Window& window, Storage storage)
      : in_(in), window_(window), row_bytes_(row_bytes(in, storage)) {}
  bool by_rows(std::size_t) const final { return false; }

 protected:
  struct Place {
    const std::byte* sample;
    Span rows, columns;
    std::size_t count() const { return rows.count * columns.count; }
  };

  Place place(const Call& call, std::size_t r) const {
    const std::size_t positions = window_.out_height * window_.out_width;
    const std::size_t row = call.first + r, at = row % positions;
    return {call.inputs[0] + row / positions * in_.positions() * row_bytes_,
            rows_of(window_, in_.height, at / window_.out_width),
            columns_of(window_, in_.width, at % window_.out_width)};
  }

  template <class T, class Visit>
  void visit(const Place& place, Visit visit) const {
    for (std::size_t i = 0; i < place.rows.count; ++i)
      for (std::size_t j = 0; j < place.columns.count; ++j) {
        const std::size_t y = place.rows.place + i * window_.dilation_y;
        const std::size_t x = place.columns.place + j * window_.dilation_x;
        visit(reinterpret_cast<const T*>(place.sample + (y * in_.width + x) * row_bytes_));
      }
  }

  Edge in_;
  Window window_;
  std::size_t row_bytes_;
};

// Reals, by the kernels: the largest, or the mean in double, of the rows under a window.
class RealPool final : public PoolBase {
 public:
  RealPool(const KernelTable& kernels, const Edge& in, const Window& window, bool mean, bool count_padding,
           const Edge& out)
      : PoolBase(in, window, Storage::kFloats),
        kernels_(kernels),
        rounding_(kernels, out),
        mean_(mean),
        count_padding_(count_padding) {}

  void run(const Call& call) const noexcept override {
    const std::size_t channels = in_.channels;
    const auto** rows = reinterpret_cast<const float**>(call.scratch);
    for (std::size_t r = 0; r < call.rows; ++r) {
      std::size_t count = 0;
      visit<float>(place(call, r), [&](const float* x) { rows[count++] = x; });
      float* out = call.out<float>() + r * channels;
      if (mean_)
        kernels_.rows.mean(rows, count, static_cast<double>(count_padding_ ? window_.taps() : count),
                           channels, out);
      else
        kernels_.rows.max(rows, count, channels, out);
    }
    if (mean_) rounding_.apply(call.out<float>(), call.rows * channels);
  }
  std::size_t scratch(std::size_t) const override {
    return std::min(window_.taps(), in_.positions()) * sizeof(float*);
  }
  const Window* maximum() const { return mean_ ? nullptr : &window_; }

 private:
  const KernelTable& kernels_;
  Rounding rounding_;
  bool mean_, count_padding_;
};

template <class T>
class MaxPool final : public PoolBase {
 public:
  MaxPool(const Edge& in, const Window& window, Storage storage, T least)
      : PoolBase(in, window, storage), least_(least) {}

  void run(const Call& call) const noexcept override {
    const std::size_t channels = in_.channels;
    for (std::size_t r = 0; r < call.rows; ++r) {
      T* out = call.out<T>() + r * channels;
      std::fill_n(out, channels, least_);
      visit<T>(place(call, r), [=](const T* x) {
        for (std::size_t c = 0; c < channels; ++c) out[c] = std::max(out[c], x[c]);
      });
    }
  }

 private:
  T least_;
};

// The largest of bits has a one only where all have; of two planes (2·high + low) the smaller code is the
// larger value.
class MaxPoolBits final : public PoolBase {
 public:
  using PoolBase::PoolBase;

  void run(const Call& call) const noexcept override {
    const std::size_t words = words_for(in_.channels);
    for (std::size_t r = 0; r < call.rows; ++r) {
      Word* out = call.out<Word>() + r * words * in_.planes;
      for (std::size_t i = 0; i < words * in_.planes; ++i)
        out[i] = low_bits(std::min(in_.channels - i % words * kWordBits, kWordBits));
      visit<Word>(place(call, r), [=, this](const Word* x) {
        for (std::size_t i = 0; i < words; ++i) {
          if (in_.planes == 2) {
            const Word differ = x[i] ^ out[i];
            const Word of_smaller = (x[i] & out[words + i]) | (~x[i] & x[words + i]);
            out[words + i] = (differ & of_smaller) | (~differ & x[words + i] & out[words + i]);
          }
          out[i] &= x[i];
        }
      });
    }
  }
};

class SumPool final : public PoolBase {
 public:
  using PoolBase::PoolBase;

  void run(const Call& call) const noexcept override {
    const std::size_t channels = in_.channels;
    for (std::size_t r = 0; r < call.rows; ++r) {
      std::int32_t* out = call.out<std::int32_t>() + r * channels;
      std::fill_n(out, channels, 0);
      visit<std::int32_t>(place(call, r), [=](const std::int32_t* x) {
        for (std::size_t c = 0; c < channels; ++c) out[c] += x[c];
      });
    }
  }
};

// Sums integers exactly, then divides once.
class MeanPool final : public PoolBase {
 public:
  MeanPool(const KernelTable& kernels, const Edge& in, const Window& window, bool count_padding,
           const Edge& out)
      : PoolBase(in, window, Storage::kInts), rounding_(kernels, out), count_padding_(count_padding) {}

  void run(const Call& call) const noexcept override {
    const std::size_t channels = in_.channels;
    auto* total = reinterpret_cast<std::int64_t*>(call.scratch);
    for (std::size_t r = 0; r < call.rows; ++r) {
      const Place here = place(call, r);
      std::fill_n(total, channels, 0);
      visit<std::int32_t>(here, [=](const std::int32_t* x) {
        for (std::size_t c = 0; c < channels; ++c) total[c] += x[c];
      });
      const auto count = static_cast<float>(count_padding_ ? window_.taps() : here.count());
      float* out = call.out<float>() + r * channels;
      for (std::size_t c = 0; c < channels; ++c) out[c] = static_cast<float>(total[c]) / count;
    }
    rounding_.apply(call.out<float>(), call.rows * channels);
  }
  std::size_t scratch(std::size_t) const override { return in_.channels * sizeof(std::int64_t); }

 private:
  Rounding rounding_;
  bool count_padding_;
};

bool every_window_meets_the_map(const Window& w, const Edge& in) {
  for (std::size_t y = 0; y < w.out_height; ++y)
    if (rows_of(w, in.height, y).count == 0) return false;
  for (std::size_t x = 0; x < w.out_width; ++x)
    if (columns_of(w, in.width, x).count == 0) return false;
  return true;
}

Value emit_max(const Edge& in, const Edge& out, const Window& window, Value input, Emitter& plan) {
  const Storage storage = natural_storage(in);
  std::unique_ptr<Operator> op;
  if (storage == Storage::kBits) op = std::make_unique<MaxPoolBits>(in, window, storage);
  if (storage == Storage::kBytes)
    op = std::make_unique<MaxPool<std::uint8_t>>(in, window, storage, std::uint8_t{0});
  if (storage == Storage::kInts)
    op = std::make_unique<MaxPool<std::int32_t>>(in, window, storage,
                                                 std::numeric_limits<std::int32_t>::min());
  if (storage == Storage::kFloats)
    op = std::make_unique<RealPool>(plan.kernels(), in, window, false, false, out);
  return plan.emit(std::move(op), {input}, out, storage);
}

}  // namespace

const Window* real_maximum(const Operator* op) {
  const auto* pool = dynamic_cast<const RealPool*>(op);
  return pool == nullptr ? nullptr : pool->maximum();
}

Value build_pool(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  const Window window = node.window();
  const std::size_t mode = node.choice("mode", {"max", "sum", "mean"});
  const bool count_padding = node.flag("count_padding");
  if (!node.ok()) return kNoValue;
  node.expect(every_window_meets_the_map(window, in), "a window sees nothing but padding");
  const Edge shape = with_shape(in, in.channels, window.out_height, window.out_width);
  if (mode == 0) {
    const Edge out = node.output(shape);
    return node.ok() ? emit_max(in, out, window, inputs[0], plan) : kNoValue;
  }
  if (mode == 1) {
    node.expect(in.integral(), "the sum needs integers or bits, got " + describe(in));
    const auto taps = static_cast<std::int64_t>(window.taps());
    const Edge out = node.output(
        as_int(shape, std::min<std::int64_t>(0, taps * in.low), std::max<std::int64_t>(0, taps * in.high)));
    if (!node.ok()) return kNoValue;
    return plan.emit(std::make_unique<SumPool>(in, window, Storage::kInts),
                     {plan.stored(inputs[0], Storage::kInts)}, out, Storage::kInts);
  }
  const Edge out = node.real_output(shape);
  if (!node.ok()) return kNoValue;
  const Storage storage = in.integral() ? Storage::kInts : Storage::kFloats;
  const Value input = plan.stored(inputs[0], storage);
  std::unique_ptr<Operator> op;
  if (in.integral())
    op = std::make_unique<MeanPool>(plan.kernels(), in, window, count_padding, out);
  else
    op = std::make_unique<RealPool>(plan.kernels(), in, window, true, count_padding, out);
  return plan.emit(std::move(op), {input}, out, Storage::kFloats);
}

}  // namespace sb
