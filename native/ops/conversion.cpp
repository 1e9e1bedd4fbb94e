#include "ops/conversion.h"

#include <algorithm>

namespace sb {
namespace {

template <class T>
void unpack(const Word* row, std::size_t channels, int planes, std::int32_t bias, T* out) {
  const std::size_t words = words_for(channels);
  for (std::size_t w = 0; w < words; ++w) {
    const std::size_t count = std::min(channels - w * kWordBits, kWordBits);
    T* values = out + w * kWordBits;
    const Word high = row[w];
    if (planes == 1) {
      for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<T>(bias + 1 - 2 * static_cast<std::int32_t>((high >> i) & 1));
    } else {
      const Word low = row[words + w];
      for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<T>(bias + 3 - 4 * static_cast<std::int32_t>((high >> i) & 1) -
                                   2 * static_cast<std::int32_t>((low >> i) & 1));
    }
  }
}

class Conversion final : public Operator {
 public:
  Conversion(const KernelTable& kernels, const Edge& edge, Storage from, Storage to)
      : kernels_(kernels), edge_(edge), from_(from), to_(to) {}

  void run(const Call& call) const noexcept override {
    const std::size_t n = call.rows * edge_.channels;
    if (from_ == Storage::kBits) return from_bits(call);
    if (from_ == Storage::kBytes && to_ == Storage::kInts)
      kernels_.bytes_to_ints(call.in<std::uint8_t>(0), n, call.out<std::int32_t>());
    if (from_ == Storage::kBytes && to_ == Storage::kFloats)
      kernels_.bytes_to_float(call.in<std::uint8_t>(0), n, call.out<float>());
    if (from_ == Storage::kInts && to_ == Storage::kFloats)
      kernels_.ints_to_float(call.in<std::int32_t>(0), n, call.out<float>());
    if (from_ == Storage::kInts && (to_ == Storage::kBytes || to_ == Storage::kSigned))
      kernels_.ints_to_bytes(call.in<std::int32_t>(0), to_ == Storage::kSigned ? kSignedBias : 0, n,
                             call.out<std::uint8_t>());
  }
  bool by_rows(std::size_t) const override { return true; }
  bool narrows() const {
    return from_ == Storage::kInts && (to_ == Storage::kBytes || to_ == Storage::kSigned);
  }

 private:
  void from_bits(const Call& call) const {
    const std::size_t words = edge_.planes * words_for(edge_.channels);
    for (std::size_t r = 0; r < call.rows; ++r) {
      const Word* row = call.in<Word>(0) + r * words;
      const std::size_t first = r * edge_.channels;
      if (to_ == Storage::kSigned)
        unpack(row, edge_.channels, edge_.planes, kSignedBias, call.out<std::uint8_t>() + first);
      if (to_ == Storage::kInts)
        unpack(row, edge_.channels, edge_.planes, 0, call.out<std::int32_t>() + first);
      if (to_ == Storage::kFloats) unpack(row, edge_.channels, edge_.planes, 0, call.out<float>() + first);
    }
  }

  const KernelTable& kernels_;
  Edge edge_;
  Storage from_, to_;
};

class Flatten final : public Operator {
 public:
  Flatten(const Edge& edge, Storage storage) : edge_(edge), storage_(storage) {}

  void run(const Call& call) const noexcept override {
    const std::size_t from_bytes = sample_bytes(edge_, storage_);
    const std::size_t to_bytes =
        storage_ == Storage::kBits ? edge_.planes * words_for(edge_.elements()) * sizeof(Word) : from_bytes;
    for (std::size_t r = 0; r < call.rows; ++r) {
      const std::byte* map = call.inputs[0] + (call.first + r) * from_bytes;
      std::byte* vector = call.output + r * to_bytes;
      switch (storage_) {
        case Storage::kBits:
          flatten_bits(reinterpret_cast<const Word*>(map), reinterpret_cast<Word*>(vector));
          break;
        case Storage::kBytes:
        case Storage::kSigned:
          transpose(map, vector);
          break;
        default:
          transpose(reinterpret_cast<const std::uint32_t*>(map), reinterpret_cast<std::uint32_t*>(vector));
      }
    }
  }
  bool by_rows(std::size_t) const override { return false; }

 private:
  template <class T>
  void transpose(const T* map, T* vector) const {
    const std::size_t channels = edge_.channels, positions = edge_.positions();
    for (std::size_t p = 0; p < positions; ++p)
      for (std::size_t c = 0; c < channels; ++c) vector[c * positions + p] = map[p * channels + c];
  }

  void flatten_bits(const Word* map, Word* vector) const {
    const std::size_t words = words_for(edge_.channels), row_words = edge_.planes * words;
    for (int plane = 0; plane < edge_.planes; ++plane) {
      BitWriter writer(vector + plane * words_for(edge_.elements()));
      for (std::size_t c = 0; c < edge_.channels; ++c)
        for (std::size_t p = 0; p < edge_.positions(); ++p)
          writer.append(get_bit(map + p * row_words + plane * words, c), 1);
      writer.flush();
    }
  }

  Edge edge_;
  Storage storage_;
};

}  // namespace

std::unique_ptr<Operator> make_conversion(const KernelTable& kernels, const Edge& edge, Storage from,
                                          Storage to) {
  const bool wider = to == Storage::kInts || to == Storage::kFloats;
  const bool known = (from == Storage::kBits && (wider || to == Storage::kSigned)) ||
                     (from == Storage::kBytes && wider) ||
                     (from == Storage::kInts && to != Storage::kBits && to != Storage::kInts);
  if (!known) return nullptr;
  return std::make_unique<Conversion>(kernels, edge, from, to);
}

bool narrows(const Operator* op) {
  const auto* conversion = dynamic_cast<const Conversion*>(op);
  return conversion != nullptr && conversion->narrows();
}

std::unique_ptr<Operator> make_flatten(const Edge& edge, Storage storage) {
  return std::make_unique<Flatten>(edge, storage);
}

}  // namespace sb
