// The kernels on rows of channels, every usable table against plain loops.
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/bits.h"
#include "base/memory.h"
#include "check.h"
#include "plan/isa.h"

namespace sb {
namespace {

using test::Random;

constexpr std::size_t kRows = 7;
constexpr std::size_t kChannels[] = {1, 7, 8, 15, 16, 17, 40, 63, 64, 65, 100, 130};

// Values that end where reading past them ends.
template <class T>
class Values {
 public:
  explicit Values(std::size_t size) : buffer_(size * sizeof(T)), size_(size) {
    std::fill_n(data(), size, T{});
  }
  T* data() { return reinterpret_cast<T*>(buffer_.data()); }
  T& operator[](std::size_t i) { return data()[i]; }
  std::size_t size() const { return size_; }

 private:
  Buffer buffer_;
  std::size_t size_;
};

float some_float(Random& random) {
  if (random.between(0, 9) == 0) return random.between(0, 1) == 0 ? -0.0f : 0.0f;
  return static_cast<float>(random.between(-3000, 3000)) / 256.0f;
}

bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// `kind` of counts: 0 plain, 1 with totals, 2 with two levels, 3 with both.
void test_chain(const KernelTable& table, std::size_t channels, ChainSource source, int kind,
                Random& random) {
  const std::size_t padded = round_up(channels, kChainPadding), words = words_for(channels), positions = 5;
  Values<float> floats(kRows * channels), shortcut(kRows * channels), reals(kRows * channels), a(padded),
      b(3 * padded), shift(padded), base(3 * padded), totals(kRows), signs(padded);
  Values<std::int32_t> ints(kRows * channels);
  const std::size_t size = source == kChainShorts ? 2 : 1, columns = divide_up(padded * size, kChainColumn);
  Values<std::uint8_t> counts(kRows * (columns + 1) * kChainColumn);
  Values<Word> bits(kRows * words);
  std::vector<std::uint8_t> places(positions);
  for (auto& place : places) place = static_cast<std::uint8_t>(random.between(0, 2));
  for (std::size_t i = 0; i < kRows * channels; ++i)
    floats[i] = some_float(random), shortcut[i] = some_float(random), ints[i] = random.between(-5000, 5000);
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = static_cast<std::uint8_t>(random.next() >> 40);
  for (std::size_t r = 0; r < kRows; ++r) totals[r] = static_cast<float>(random.between(-5000, 5000));
  for (std::size_t i = 0; i < padded; ++i) a[i] = some_float(random), shift[i] = some_float(random);
  for (std::size_t i = 0; i < 3 * padded; ++i)
    b[i] = some_float(random), base[i] = static_cast<float>(random.between(0, 9999));
  for (std::size_t i = 0; i < padded; ++i) signs[i] = static_cast<float>(random.between(-1, 1));

  const float* inputs[] = {shortcut.data()};
  const ChainOp ops[] = {
      {kChainAffine, a.data(), b.data(), 0, 0, 0, nullptr},
      {kChainAdd, nullptr, nullptr, 0, 0, 0, nullptr},
      {kChainAffineAt, a.data(), b.data(), 0, 0, 0, places.data()},
      {kChainPrelu, b.data(), a.data(), 0, 0, 0, nullptr},
      {kChainClamp, nullptr, nullptr, -90.0f, 70.5f, 0, nullptr},
      {kChainRoundStep, nullptr, nullptr, 0.25f, 0, 0, nullptr},
      {kChainRoundHalf, nullptr, nullptr, 0, 0, 0, nullptr},
  };
  ChainCall call{};
  call.source = source;
  call.rows = source == kChainFloats ? static_cast<void*>(floats.data())
              : source == kChainInts ? static_cast<void*>(ints.data())
                                     : static_cast<void*>(counts.data());
  const bool counted = source == kChainShorts || source == kChainBytes;
  call.row_stride = counted ? kChainColumn : channels;
  call.column_stride = kRows * kChainColumn;
  call.base = base.data();
  call.scale = -4;
  if (kind > 0) call.levels.totals = totals.data();
  if (kind % 2 == 1) call.levels.signs = signs.data();
  if (kind > 1) call.levels.half = a.data(), call.levels.middle = b.data();
  call.base_places = places.data();
  call.positions = positions;
  call.first = 3;
  call.count = kRows;
  call.end = call.channels = channels;
  call.ops = ops;
  call.op_count = sizeof ops / sizeof *ops;
  call.inputs = inputs;
  call.reals = reals.data();
  call.bits = bits.data();
  call.shift = shift.data();
  table.rows.chain(call);

  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t i = r * channels + c, place = places[(3 + r) % positions] * padded;
      volatile float x = floats[i];
      if (source == kChainInts) x = static_cast<float>(ints[i]);
      if (counted) {
        const std::size_t at =
            c * size / kChainColumn * call.column_stride + r * kChainColumn + c * size % kChainColumn;
        const int count = counts[at] + (size == 2 ? 256 * counts[at + 1] : 0);
        x = base[place + c] - 4 * static_cast<float>(count);
        if (kind % 2 == 1) x = x + signs[c] * totals[r];
        if (kind > 1) {
          volatile const float own = x * a[c], shared = totals[r] * b[c];
          x = own + shared;
        }
      }
      x = x * a[c];
      x = x + b[c];
      x = x + shortcut[i];
      x = x * a[c];
      x = x + b[place + c];
      x = x * (x >= 0 ? a[c] : b[c]);
      x = x < -90.0f ? -90.0f : x > 70.5f ? 70.5f : x;
      float rounded = x;
      table.round_int16(&rounded, 0.25f, 1);
      table.round_float16(&rounded, 1);
      CHECK(same(reals[i], rounded));
      CHECK(get_bit(bits.data() + r * words, c) == (rounded + shift[c] < 0));
    }
  for (std::size_t r = 0; r < kRows; ++r)
    CHECK((bits[r * words + words - 1] & ~low_bits((channels - 1) % kWordBits + 1)) == 0);
}

void test_windows(const KernelTable& table, std::size_t channels, Random& random) {
  Values<float> rows(kRows * channels), weights(kRows * channels), start(channels), out(channels + 1);
  Values<std::uint8_t> bytes(kRows * channels);
  Values<std::int8_t> signed_bytes(kRows * channels);
  Values<std::int32_t> sums(channels + 1);
  for (std::size_t i = 0; i < kRows * channels; ++i) {
    rows[i] = some_float(random), weights[i] = some_float(random);
    bytes[i] = static_cast<std::uint8_t>(random.next() >> 32);
    signed_bytes[i] = static_cast<std::int8_t>(random.next() >> 32);
  }
  Values<std::int32_t> numbers(kRows * channels), turns(channels);
  for (std::size_t i = 0; i < kRows * channels; ++i)
    numbers[i] = static_cast<std::int32_t>(random.next() >> 32);
  for (std::size_t c = 0; c < channels; ++c) turns[c] = -random.between(0, 1);
  rows[0] = std::numeric_limits<float>::quiet_NaN();
  const float *at[kRows], *weight[kRows];
  const std::uint8_t* byte[kRows];
  const std::int8_t* factor[kRows];
  for (std::size_t r = 0; r < kRows; ++r) {
    at[r] = rows.data() + r * channels, weight[r] = weights.data() + r * channels;
    byte[r] = bytes.data() + r * channels, factor[r] = signed_bytes.data() + r * channels;
  }
  for (std::size_t count : {std::size_t{1}, std::size_t{4}, kRows}) {
    out[channels] = 77;
    table.rows.max(at, count, channels, out.data());
    for (std::size_t c = 0; c < channels; ++c) {
      float most = rows[c];
      for (std::size_t r = 1; r < count; ++r)
        if (rows[r * channels + c] > most) most = rows[r * channels + c];
      CHECK(same(out[c], most) || (out[c] != out[c] && most != most));
    }
    const std::int32_t* ints[kRows];
    for (std::size_t r = 0; r < kRows; ++r) ints[r] = numbers.data() + r * channels;
    for (const std::int32_t* turn : {static_cast<std::int32_t*>(nullptr), turns.data()}) {
      sums[channels] = 77;
      table.rows.max_ints(ints, turn, count, channels, sums.data());
      for (std::size_t c = 0; c < channels; ++c) {
        std::int32_t most = numbers[c], least = numbers[c];
        for (std::size_t r = 1; r < count; ++r) {
          most = std::max(most, numbers[r * channels + c]);
          least = std::min(least, numbers[r * channels + c]);
        }
        CHECK(sums[c] == (turn != nullptr && turn[c] != 0 ? least : most));
      }
      CHECK(sums[channels] == 77);
    }
    std::vector<std::uint8_t> largest(channels + 1, 77);
    table.rows.max_bytes(byte, count, channels, largest.data());
    for (std::size_t c = 0; c < channels; ++c) {
      std::uint8_t most = 0;
      for (std::size_t r = 0; r < count; ++r) most = std::max(most, bytes[r * channels + c]);
      CHECK(largest[c] == most);
    }
    CHECK(largest[channels] == 77);
    table.rows.mean(at, count, 3.0, channels, out.data());
    for (std::size_t c = 1; c < channels; ++c) {
      double total = 0;
      for (std::size_t r = 0; r < count; ++r) total += rows[r * channels + c];
      CHECK(same(out[c], static_cast<float>(total / 3.0)));
    }
    table.rows.multiply(at, weight, count, start.data(), channels, out.data());
    for (std::size_t c = 1; c < channels; ++c) {
      double total = 0;
      for (std::size_t r = 0; r < count; ++r)
        total += static_cast<double>(rows[r * channels + c]) * weights[r * channels + c];
      CHECK(std::abs(out[c] - total) < 1e-3);
    }
    CHECK(out[channels] == 77);
    table.rows.multiply_bytes(byte, factor, count, 128, channels, sums.data());
    for (std::size_t c = 0; c < channels; ++c) {
      int total = 0;
      for (std::size_t r = 0; r < count; ++r)
        total += (bytes[r * channels + c] - 128) * signed_bytes[r * channels + c];
      CHECK(sums[c] == total);
    }
    CHECK(sums[channels] == 77);
  }
}

}  // namespace
}  // namespace sb

int main() {
  sb::test::Random random(6);
  for (const sb::KernelTable* table : sb::usable_kernels())
    for (std::size_t channels : sb::kChannels) {
      for (auto source : {sb::kChainFloats, sb::kChainInts})
        sb::test_chain(*table, channels, source, 0, random);
      for (auto source : {sb::kChainShorts, sb::kChainBytes})
        for (int kind = 0; kind < 4; ++kind) sb::test_chain(*table, channels, source, kind, random);
      sb::test_windows(*table, channels, random);
    }
  return sb::test::finish();
}
