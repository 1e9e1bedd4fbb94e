// Builders of the nodes that only move values: Concat, Select, Roll, Flatten.
#include <algorithm>
#include <cstring>
#include <memory>

#include "ops/registry.h"

namespace sb {
namespace {

class Concat final : public Operator {
 public:
  Concat(std::vector<Edge> edges, const Edge& out, Storage storage)
      : edges_(std::move(edges)), out_(out), storage_(storage) {}

  void run(const Call& call) const noexcept override {
    const std::size_t bytes = row_bytes(out_, storage_);
    for (std::size_t r = 0; r < call.rows; ++r) {
      std::byte* row = call.output + r * bytes;
      if (storage_ == Storage::kBits) {
        join_bits(call, r, reinterpret_cast<Word*>(row));
        continue;
      }
      for (std::size_t i = 0; i < edges_.size(); ++i) {
        const std::size_t part = row_bytes(edges_[i], storage_);
        std::memcpy(row, call.inputs[i] + r * part, part);
        row += part;
      }
    }
  }
  bool by_rows(std::size_t) const override { return true; }

 private:
  void join_bits(const Call& call, std::size_t r, Word* row) const {
    for (int plane = 0; plane < out_.planes; ++plane) {
      BitWriter writer(row + plane * words_for(out_.channels));
      for (std::size_t i = 0; i < edges_.size(); ++i) {
        const std::size_t words = words_for(edges_[i].channels);
        writer.copy(call.in<Word>(i) + (r * out_.planes + plane) * words, 0, edges_[i].channels);
      }
      writer.flush();
    }
  }

  std::vector<Edge> edges_;
  Edge out_;
  Storage storage_;
};

// Copies channel by channel from a source place: what Select and Roll share.
template <class T>
void copy_channels(const Edge& in, std::size_t out_channels, const std::byte* row, const std::int32_t* index,
                   std::byte* out) {
  const T* values = reinterpret_cast<const T*>(row);
  for (std::size_t c = 0; c < out_channels; ++c) {
    const auto from = static_cast<std::size_t>(index[c]);
    reinterpret_cast<T*>(out)[c] = from < in.channels ? values[from] : T{0};
  }
}

class Select final : public Operator {
 public:
  Select(const Edge& in, Storage storage, std::vector<std::int32_t> index)
      : in_(in), storage_(storage), index_(std::move(index)) {}

  void run(const Call& call) const noexcept override {
    const std::size_t in_bytes = row_bytes(in_, storage_),
                      out_bytes = row_bytes(with_channels(in_, index_.size()), storage_);
    for (std::size_t r = 0; r < call.rows; ++r) {
      const std::byte* row = call.inputs[0] + r * in_bytes;
      std::byte* out = call.output + r * out_bytes;
      if (storage_ == Storage::kBits)
        select_bits(reinterpret_cast<const Word*>(row), reinterpret_cast<Word*>(out));
      else if (storage_ == Storage::kBytes)
        copy_channels<std::uint8_t>(in_, index_.size(), row, index_.data(), out);
      else
        copy_channels<std::uint32_t>(in_, index_.size(), row, index_.data(), out);
    }
  }
  bool by_rows(std::size_t) const override { return true; }

 private:
  void select_bits(const Word* row, Word* out) const {
    const std::size_t words = words_for(in_.channels);
    for (int plane = 0; plane < in_.planes; ++plane) {
      BitWriter writer(out + plane * words_for(index_.size()));
      for (std::int32_t from : index_)
        writer.append(get_bit(row + plane * words, static_cast<std::size_t>(from)), 1);
      writer.flush();
    }
  }

  Edge in_;
  Storage storage_;
  std::vector<std::int32_t> index_;
};

class Roll final : public Operator {
 public:
  Roll(const Edge& in, Storage storage, std::vector<std::size_t> down, std::vector<std::size_t> right)
      : in_(in), storage_(storage), down_(std::move(down)), right_(std::move(right)) {}

  void run(const Call& call) const noexcept override {
    const std::size_t bytes = row_bytes(in_, storage_);
    for (std::size_t r = 0; r < call.rows; ++r) {
      const std::size_t row = call.first + r, sample = row / in_.positions(), place = row % in_.positions();
      const std::byte* map = call.inputs[0] + sample * sample_bytes(in_, storage_);
      std::byte* out = call.output + r * bytes;
      const std::size_t y = place / in_.width, x = place % in_.width;
      for (int plane = 0; plane < (storage_ == Storage::kBits ? in_.planes : 1); ++plane) {
        const std::size_t skip = plane * words_for(in_.channels) * sizeof(Word);
        if (storage_ == Storage::kBits) std::memset(out + skip, 0, bytes / in_.planes);
        for (std::size_t c = 0; c < in_.channels; ++c) {
          const std::size_t from_y = (y + in_.height - down_[c]) % in_.height;
          const std::size_t from_x = (x + in_.width - right_[c]) % in_.width;
          copy(map + (from_y * in_.width + from_x) * bytes + skip, out + skip, c);
        }
      }
    }
  }
  bool by_rows(std::size_t) const override { return false; }

 private:
  void copy(const std::byte* from, std::byte* to, std::size_t c) const {
    if (storage_ == Storage::kBits)
      set_bit(reinterpret_cast<Word*>(to), c, get_bit(reinterpret_cast<const Word*>(from), c));
    else if (storage_ == Storage::kBytes)
      to[c] = from[c];
    else
      reinterpret_cast<std::uint32_t*>(to)[c] = reinterpret_cast<const std::uint32_t*>(from)[c];
  }

  Edge in_;
  Storage storage_;
  std::vector<std::size_t> down_, right_;  // per channel, 0..size-1
};

std::size_t modulo(int shift, std::size_t size) {
  const auto n = static_cast<std::int64_t>(size);
  return static_cast<std::size_t>((shift % n + n) % n);
}

}  // namespace

Value build_concat(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(2, 1 << 16)) return kNoValue;
  const Edge& first = node.input();
  std::vector<Edge> edges;
  Edge out = first;
  out.channels = 0;
  for (std::size_t i = 0; i < node.inputs(); ++i) {
    const Edge& edge = node.input(i);
    node.expect(edge.kind == first.kind && edge.vector == first.vector && edge.height == first.height &&
                    edge.width == first.width && (edge.kind != Kind::kBits || edge.planes == first.planes),
                "inputs differ in kind or size: " + describe(first) + ", " + describe(edge));
    out.channels += edge.channels;
    out.low = std::min(out.low, edge.low), out.high = std::max(out.high, edge.high);
    if (edge.format != first.format || edge.step != first.step) out = as_real(out);
    edges.push_back(edge);
  }
  if (!node.ok()) return kNoValue;
  out = node.output(out);
  if (!node.ok()) return kNoValue;
  const Storage storage = natural_storage(out);
  return plan.emit(std::make_unique<Concat>(std::move(edges), out, storage), inputs, out, storage);
}

Value build_select(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  const Tensor* given = node.tensor("index");
  if (!node.ok()) return kNoValue;
  std::vector<std::int32_t> index = node.array<std::int32_t>("index", {given->size()});
  const std::int32_t least = in.kind == Kind::kBits ? 0 : -1;
  for (std::int32_t from : index)
    node.expect(from >= least && from < static_cast<std::int64_t>(in.channels),
                "index names a channel that is not there");
  Edge out = with_channels(in, index.size());
  if (in.kind == Kind::kInt)
    out = as_int(out, std::min<std::int64_t>(0, in.low), std::max<std::int64_t>(0, in.high));
  out = node.output(out);
  if (!node.ok()) return kNoValue;
  const Storage storage = natural_storage(in);
  const Value value = plan.emit(std::make_unique<Select>(in, storage, index), inputs, out, storage);
  if (in.kind == Kind::kImage) plan.describe_channels(value, {inputs[0], std::move(index)});
  return value;
}

Value build_roll(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(!in.vector, "needs (channels, height, width), got " + describe(in));
  const std::vector<std::int8_t> shift = node.array<std::int8_t>("shift", {in.channels, 2});
  if (!node.ok()) return kNoValue;
  std::vector<std::size_t> down, right;
  for (std::size_t c = 0; c < in.channels; ++c) {
    down.push_back(modulo(shift[2 * c], in.height));
    right.push_back(modulo(shift[2 * c + 1], in.width));
  }
  const Storage storage = natural_storage(in);
  return plan.emit(std::make_unique<Roll>(in, storage, std::move(down), std::move(right)), inputs, in,
                   storage);
}

Value build_flatten(NodeReader& node, const std::vector<Value>& inputs, Emitter& plan) {
  if (!node.expect_inputs(1, 1)) return kNoValue;
  const Edge& in = node.input();
  node.expect(in.kind != Kind::kImage, "an image cannot be flattened");
  Edge out = with_shape(in, in.elements(), 1, 1);
  out.vector = true;
  out = node.output(out);
  if (!node.ok()) return kNoValue;
  return in.vector ? inputs[0] : plan.flatten(inputs[0], out);
}

}  // namespace sb
