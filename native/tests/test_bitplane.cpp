// The bit-plane kernels of every usable table and width against counting, and the transposition between the
// layouts.
#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/bits.h"
#include "base/memory.h"
#include "check.h"
#include "ops/bitplane.h"
#include "ops/bitplane_filters.h"
#include "plan/isa.h"

namespace sb {
namespace {

using test::Random;

void test_transpose(const PlaneTable& table) {
  Random random(1);
  for (std::size_t in_stride : {1, 3})
    for (std::size_t out_stride : {1, 8, 10}) {
      std::vector<Word> in(64 * in_stride), out(64 * out_stride, 7);
      for (Word& word : in) word = random.next();
      table.transpose(in.data(), in_stride, out.data(), out_stride);
      for (std::size_t i = 0; i < 64; ++i) {
        for (std::size_t j = 0; j < 64; ++j)
          CHECK(get_bit(out.data() + i * out_stride, j) == get_bit(in.data() + j * in_stride, i));
        for (std::size_t skipped = 1; skipped < out_stride; ++skipped)
          CHECK(out[i * out_stride + skipped] == 7);
      }
    }
}

struct Layer {
  std::size_t filters, depth, classes;
  SignRows signs;
  PlaneOutputs outputs;

  // One sign in `ones` is -1: 2 for even buckets, more for long ones.
  Layer(Random& random, std::size_t filters_, std::size_t depth_, std::size_t classes_, int ones)
      : filters(filters_), depth(depth_), classes(classes_), signs(filters_, depth_) {
    for (std::size_t f = 0; f < filters; ++f)
      for (std::size_t k = 0; k < depth; ++k) set_bit(signs.row(f), k, random.between(1, ones) == 1);
    outputs.classes = classes;
    const auto all = static_cast<int>(depth);
    for (std::size_t i = 0; i < classes * filters; ++i) {
      const int extreme[] = {0, 1, all, all + 1};
      const bool near = random.between(0, 2) > 0;
      outputs.least.push_back(near ? std::clamp(all / 2 + random.between(-9, 9), 0, all + 1)
                                   : extreme[random.between(0, 3)]);
    }
    for (std::size_t f = 0; f < filters; ++f) outputs.inverted.push_back(random.between(0, 1) == 1);
  }

  bool output(std::size_t filter, std::size_t type, std::size_t differing) const {
    const bool reached = static_cast<std::int64_t>(differing) >= outputs.least[type * filters + filter];
    return reached != (outputs.inverted[filter] != 0);
  }
};

void test_products(const PlaneTable& table, const PlaneWidth& width, const Layer& layer, std::size_t group,
                   Random& random) {
  const std::optional<PlaneFilters> filters = plane_filters(table, layer.signs, group, layer.outputs);
  CHECK(filters.has_value());
  if (!filters.has_value()) return;
  const std::size_t words = width.lanes / kWordBits;
  Buffer planes_buffer((layer.depth + 1) * words * sizeof(Word)),
      masks_buffer(layer.classes * words * sizeof(Word)),
      out_buffer(filters->padded() * words * sizeof(Word));
  auto* planes = reinterpret_cast<Word*>(planes_buffer.data());
  auto* masks = reinterpret_cast<Word*>(masks_buffer.data());
  const auto* out = reinterpret_cast<const Word*>(out_buffer.data());
  for (std::size_t i = 0; i < (layer.depth + 1) * words; ++i)
    planes[i] = i < layer.depth * words ? random.next() : 0;
  std::vector<std::size_t> type(width.lanes);
  std::fill_n(masks, layer.classes * words, Word{0});
  for (std::size_t lane = 0; lane < width.lanes; ++lane) {
    type[lane] = static_cast<std::size_t>(random.between(0, static_cast<int>(layer.classes) - 1));
    if (type[lane] > 0) set_bit(masks + (type[lane] - 1) * words, lane, true);
  }
  std::vector<const Word*> differing;
  for (std::size_t c = 1; c < layer.classes; ++c)
    differing.push_back(filters->starts.data() + c * filters->class_stride());
  width.select(group, filters->bits)({planes, filters->lists.data(), filters->groups, filters->starts.data(),
                                      filters->inverted.data(), out_buffer.data(), false, layer.classes - 1,
                                      masks, differing.data()});
  for (std::size_t f = 0; f < layer.filters; ++f)
    for (std::size_t lane = 0; lane < width.lanes; ++lane) {
      std::size_t count = 0;
      for (std::size_t k = 0; k < layer.depth; ++k)
        count += get_bit(planes + k * words, lane) != layer.signs.get(f, k);
      CHECK(get_bit(out + f * words, lane) == layer.output(f, type[lane], count));
    }
}

// Counts bit by bit, and then as numbers; padding filters count nothing that is asked for.
void test_counts(const PlaneTable& table, const PlaneWidth& width, Layer layer, std::size_t group,
                 Random& random) {
  layer.outputs.least.assign(layer.filters, 0);
  const std::optional<PlaneFilters> filters = plane_filters(table, layer.signs, group, layer.outputs);
  CHECK(filters.has_value());
  if (!filters.has_value()) return;
  const std::size_t bits = filters->bits + group - 1, streams = count_streams(width.lanes);
  const std::size_t words = width.lanes / kWordBits, side = count_columns(bits);
  const std::size_t columns = round_up(filters->padded(), side);
  Buffer planes_buffer((layer.depth + 1) * words * sizeof(Word)),
      counts_buffer(columns * kCountRows * words * sizeof(Word)),
      numbers_buffer(columns / side * width.lanes * kCountBytes);
  auto* planes = reinterpret_cast<Word*>(planes_buffer.data());
  auto* counts = reinterpret_cast<Word*>(counts_buffer.data());
  for (std::size_t i = 0; i < (layer.depth + 1) * words; ++i)
    planes[i] = i < layer.depth * words ? random.next() : 0;
  for (std::size_t i = 0; i < columns * kCountRows * words; ++i) counts[i] = random.next();
  width.select(group, filters->bits)({planes, filters->lists.data(), filters->groups, filters->starts.data(),
                                      filters->inverted.data(), counts, true, 0, nullptr, nullptr});
  for (std::size_t f = 0; f < columns; f += side)
    width.spread(counts + f * kCountRows * words, bits,
                 reinterpret_cast<Word*>(numbers_buffer.data() + f / side * width.lanes * kCountBytes));
  for (std::size_t f = 0; f < layer.filters; ++f)
    for (std::size_t lane = 0; lane < width.lanes; ++lane) {
      std::size_t count = 0;
      for (std::size_t k = 0; k < layer.depth; ++k)
        count += get_bit(planes + k * words, lane) != layer.signs.get(f, k);
      const std::size_t place = lane % 128 * streams + lane / 128;
      const std::byte* number = numbers_buffer.data() + (f / side * width.lanes + place) * kCountBytes +
                                f % side * (kCountBytes / side);
      CHECK(std::to_integer<std::size_t>(number[0]) +
                (side == 8 ? 256 * std::to_integer<std::size_t>(number[1]) : 0) ==
            count);
    }
}

void test_widths(const PlaneTable& table) {
  Random random(3);
  for (std::size_t i = 0; i < table.count; ++i) {
    for (std::size_t group : {4, 5}) {
      for (std::size_t depth : {1, 7, 8, 64, 65, 577})
        for (std::size_t filters : {1, 4, 5, 9})
          for (int ones : {1, 2, 20})
            test_products(table, table.widths[i], Layer(random, filters, depth, 1 + depth % 3, ones), group,
                          random);
      for (std::size_t depth : {1, 64, 577})
        for (std::size_t filters : {1, 9, 40})
          test_counts(table, table.widths[i], Layer(random, filters, depth, 1, 2), group, random);
      test_products(table, table.widths[i], Layer(random, 5, 4608, 1, 2), group, random);
      test_products(table, table.widths[i], Layer(random, 5, 4608, 2, 4608), group, random);
    }
  }
}

void test_what_does_not_fit_is_refused(const PlaneTable& table) {
  Random random(4);
  const Layer layer(random, 1, (std::size_t{1} << (kMostPlaneBits - 1)) * 20, 1, 1);
  CHECK(!plane_filters(table, layer.signs, 4, layer.outputs).has_value());
}

struct Shape {
  std::size_t side, channels, filters;
};

// So many weights in a hundred are -1.
BinaryProduct product_of(const Shape& size, int percent) {
  Random random(size.side);
  BinaryProduct product;
  product.shape.in = as_bits(with_shape({}, size.channels, size.side, size.side));
  product.shape.storage = Storage::kBits;
  product.shape.filters = size.filters;
  product.shape.pad_value = 1;
  Window& window = product.shape.window;
  window.kernel_y = window.kernel_x = 3;
  window.top = window.left = window.bottom = window.right = 1;
  window.out_height = window.out_width = size.side;
  SignRows& signs = product.filters.signs;
  signs = SignRows(size.filters, product.shape.depth());
  for (std::size_t f = 0; f < signs.filters(); ++f)
    for (std::size_t k = 0; k < signs.depth(); ++k)
      set_bit(signs.row(f), k, random.between(1, 100) <= percent);
  return product;
}

std::unique_ptr<BitplaneConvolution> layer_of(const KernelTable& kernels, const Shape& size) {
  Cuts cuts;
  cuts.cuts.assign(size.filters, 0);
  cuts.inverted.assign(size.filters, 0);
  return BitplaneConvolution::make(kernels, product_of(size, 50), cuts, Layout::kChosen);
}

// Every row and filter once, and for two threads equal work within 5 %.
void check_division(const KernelTable& kernels, const BitplaneConvolution* op, const Shape& size) {
  CHECK(op != nullptr);
  if (op == nullptr) return;
  const std::size_t rows = size.side * size.side;
  for (std::size_t threads : {2, 3, 4, 7}) {
    Share shares[kMostShares];
    const std::size_t count = op->divide(rows, threads, true, shares);
    if (rows > 8 * threads * kernels.planes.widths[0].lanes) {
      CHECK(count == 0);  // many tiles
      continue;
    }
    CHECK(count > 1 && count <= kMostShares);
    std::vector<int> covered(rows * size.filters);
    double total = 0;
    std::vector<double> ends(threads);
    for (std::size_t begin = 0, end = count; begin < end;) {  // as the threads claim them
      const auto next = std::min_element(ends.begin(), ends.end());
      const Share& s = shares[next == ends.begin() ? begin++ : --end];
      total += s.cost, *next += s.cost;
      CHECK(s.filter_begin % kWordBits == 0);
      for (std::size_t row = s.first; row < s.first + s.rows; ++row)
        for (std::size_t f = s.filter_begin; f < s.filter_end; ++f) ++covered[row * size.filters + f];
    }
    CHECK(std::all_of(covered.begin(), covered.end(), [](int n) { return n == 1; }));
    if (threads == 2) CHECK(std::max(ends[0], ends[1]) <= 1.05 * total / 2);
  }
  Share unused[kMostShares];
  CHECK(op->divide(rows, 1, true, unused) == 0);
  CHECK(op->divide(rows * 1000, 2, true, unused) == 0);
}

void test_division(const KernelTable& kernels) {
  for (const Shape& size : {Shape{56, 64, 64}, Shape{28, 128, 128}, Shape{14, 256, 256}, Shape{7, 512, 512},
                            Shape{32, 128, 128}, Shape{16, 128, 256}, Shape{8, 256, 512}})
    check_division(kernels, layer_of(kernels, size).get(), size);
  // Sums of few rare weights.
  for (const Shape& size :
       {Shape{32, 64, 64}, Shape{16, 128, 128}, Shape{8, 256, 256}, Shape{7, 512, 512}, Shape{4, 512, 512}}) {
    const TwoLevels* none = nullptr;
    const auto op = BitplaneConvolution::make(kernels, product_of(size, 5), none, Layout::kSparse);
    check_division(kernels, op.get(), size);
  }
}

}  // namespace
}  // namespace sb

int main() {
  for (const sb::KernelTable* kernels : sb::usable_kernels()) {
    sb::test_transpose(kernels->planes);
    sb::test_widths(kernels->planes);
    sb::test_division(*kernels);
    sb::test_what_does_not_fit_is_refused(kernels->planes);
  }
  return sb::test::finish();
}
