// Every usable table against plain loops, and bit for bit against the generic table.
#include <cmath>
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

constexpr std::size_t kSizes[] = {1, 2, 3, 7, 15, 16, 17, 63, 64, 65, 127, 128, 130};

// Two lines of rows; every four bytes of one lie apart from the next, in another order, but for bits.
template <class Element, class Weight, class Sum, class Value>
void test_product(const Gemm& gemm, Random& random, std::size_t count, std::size_t filters, std::size_t depth,
                  Value value) {
  constexpr bool kBits = std::is_same_v<Element, Word>;
  constexpr std::size_t kTogether = kBits ? 1 : 4 / sizeof(Element), kLines = 2;
  const std::size_t fours = divide_up(depth, kTogether), stride = fours * 8, line = count * stride + 24;
  std::vector<std::uint32_t> places;
  for (std::size_t i = 0; i < fours; ++i)
    places.push_back(static_cast<std::uint32_t>(8 * (kBits ? i : fours - 1 - i)));
  const auto element = [&](const Buffer& rows, std::size_t r, std::size_t k) {
    return *reinterpret_cast<const Element*>(rows.data() + r / count * line + r % count * stride +
                                             places[k / kTogether] + k % kTogether * sizeof(Element));
  };
  Buffer rows(kLines * line);
  std::vector<Weight> weights(filters * depth);
  for (std::size_t i = 0; i < rows.size() / sizeof(Element); ++i)
    reinterpret_cast<Element*>(rows.data())[i] = static_cast<Element>(value(random));
  for (Weight& w : weights) w = static_cast<Weight>(value(random));
  Buffer packed(gemm.packed_bytes(filters, depth));
  gemm.pack(weights.data(), filters, depth, packed.data());
  std::vector<Sum> start(filters), out(kLines * count * (filters + 3), Sum{77});
  for (Sum& s : start) s = static_cast<Sum>(random.between(-100, 100));
  gemm.run({rows.data(), stride, count, kLines, line, places.data(), packed.data(), depth, filters,
            start.data(), out.data(), filters + 3});
  for (std::size_t r = 0; r < kLines * count; ++r) {
    for (std::size_t f = 0; f < filters; ++f) {
      double sum = static_cast<double>(start[f]);
      for (std::size_t k = 0; k < depth; ++k) {
        const Weight w = weights[f * depth + k];
        if constexpr (kBits)
          sum -= 2 * std::popcount(element(rows, r, k) ^ w);
        else
          sum += static_cast<double>(element(rows, r, k)) * static_cast<double>(w);
      }
      CHECK(out[r * (filters + 3) + f] == static_cast<Sum>(sum));
    }
    for (std::size_t f = filters; f < filters + 3; ++f) CHECK(out[r * (filters + 3) + f] == Sum{77});
  }
}

void test_products(const KernelTable& table) {
  Random random(3);
  for (std::size_t filters : {1, 5, 8, 31, 64, 70})
    for (std::size_t count : {1, 2, 5, 13})
      for (std::size_t depth : {1, 2, 3, 4, 30, 31, 32, 70}) {
        test_product<Word, Word, std::int32_t>(table.bits, random, count, filters, depth,
                                               [](Random& r) { return r.next(); });
        test_product<std::uint8_t, std::int8_t, std::int32_t>(table.bytes, random, count, filters, depth,
                                                              [](Random& r) { return r.next() >> 32; });
        test_product<std::int32_t, std::int8_t, std::int32_t>(table.ints, random, count, filters, depth,
                                                              [](Random& r) { return r.between(-127, 127); });
        // Small integers as floats: every order of summation is exact.
        test_product<float, float, float>(table.float32, random, count, filters, depth,
                                          [](Random& r) { return r.between(-9, 9); });
      }
}

float any_float(Random& random) {
  static const float kSpecial[] = {0.0f,     -0.0f,    1.0f,     -1.0f,     0.5f,   1.5f,
                                   2.5f,     65504.0f, 65519.0f, 65520.0f,  -1e30f, 6e-8f,
                                   2.98e-8f, 6.1e-5f,  INFINITY, -INFINITY, NAN};
  if (random.between(0, 3) == 0) return kSpecial[random.between(0, 16)];
  return std::ldexp(static_cast<float>(random.between(-8'000'000, 8'000'000)), random.between(-46, 2));
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if constexpr (std::is_same_v<T, float>) {
      if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    }
    if (a[i] != b[i]) return false;
  }
  return true;
}

// Rounds to half precision by the definition: the nearest of the two neighbours, the even one on a tie.
float nearest_half(float x) {
  if (std::isnan(x) || std::isinf(x) || x == 0) return x;
  int exponent = 0;
  std::frexp(x, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double rounded = std::nearbyint(x / unit) * unit;
  return static_cast<float>(std::abs(rounded) > 65504 ? std::copysign(INFINITY, rounded) : rounded);
}

void test_elementwise(const KernelTable& table) {
  const KernelTable& plain = kGenericKernels;
  Random random(4);
  for (std::size_t n : kSizes)
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<float> x(n), a(n), b(n), got(n), want(n);
      std::vector<std::int32_t> ints(n), cut(n), invert(n), got_ints(n), want_ints(n);
      for (std::size_t i = 0; i < n; ++i) {
        x[i] = any_float(random), a[i] = any_float(random), b[i] = any_float(random);
        ints[i] = random.between(-1000, 1000), cut[i] = random.between(-1000, 1000);
        if (random.between(0, 5) == 0) cut[i] = std::numeric_limits<std::int32_t>::max();
        if (random.between(0, 5) == 0) cut[i] = std::numeric_limits<std::int32_t>::min();
        if (random.between(0, 5) == 0) ints[i] = cut[i];
        invert[i] = -random.between(0, 1);
      }
      std::vector<Word> bits(words_for(n)), other(words_for(n)), want_bits(words_for(n)),
          want_other(words_for(n));

      table.threshold(ints.data(), invert.data(), cut.data(), n, bits.data());
      for (std::size_t i = 0; i < n; ++i)
        CHECK(get_bit(bits.data(), i) == (invert[i] == 0 ? ints[i] < cut[i] : ints[i] > ~cut[i]));
      CHECK((bits.back() & ~low_bits((n - 1) % 64 + 1)) == 0);

      for (const float* shift : {static_cast<const float*>(nullptr), static_cast<const float*>(a.data())}) {
        table.sign_two(x.data(), shift, n, bits.data(), other.data());
        plain.sign_two(x.data(), shift, n, want_bits.data(), want_other.data());
        CHECK(bits == want_bits && other == want_other);
      }

      table.two_levels(ints.data(), a.data(), b.data(), 3.0f, n, got.data());
      for (std::size_t i = 0; i < n; ++i) {
        const volatile float first = a[i] * static_cast<float>(ints[i]), second = b[i] * 3.0f;
        want[i] = first + second;
      }
      CHECK(same(got, want));
      table.multiply(x.data(), a.data(), n, got.data());
      plain.multiply(x.data(), a.data(), n, want.data());
      CHECK(same(got, want));
      table.quantize(x.data(), 0.5f, 3.0f, -128.0f, 127.0f, n, got_ints.data());
      plain.quantize(x.data(), 0.5f, 3.0f, -128.0f, 127.0f, n, want_ints.data());
      std::vector<std::uint8_t> narrow(n + 1, 77);
      table.quantize_bytes(x.data(), 0.5f, 3.0f, -128.0f, 127.0f, 128, n, narrow.data());
      for (std::size_t i = 0; i < n; ++i) CHECK(narrow[i] == want_ints[i] + 128);
      CHECK(narrow[n] == 77);
      CHECK(got_ints == want_ints);
      got = x;
      table.round_float16(got.data(), n);
      for (std::size_t i = 0; i < n; ++i) want[i] = nearest_half(x[i]);
      CHECK(same(got, want));
      got = want = x;
      table.round_int16(got.data(), 0.37f, n);
      plain.round_int16(want.data(), 0.37f, n);
      CHECK(same(got, want));
    }
}

}  // namespace
}  // namespace sb

int main() {
  for (const sb::KernelTable* table : sb::usable_kernels()) {
    const int before = sb::test::failures;
    sb::test_products(*table);
    sb::test_elementwise(*table);
    std::printf("%s: %s\n", table->name, sb::test::failures == before ? "ok" : "FAILED");
  }
  return sb::test::finish();
}
