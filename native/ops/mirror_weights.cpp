// What the mirrored form keeps of a layer: weights as planes of filters, and tables of thresholds.
#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "ops/mirror.h"

namespace sb {
namespace {

constexpr std::size_t kMostTables = 64;

}  // namespace

void MirroredConvolution::pack_weights(const SignRows& signs) {
  std::size_t lane_words = 0;
  for (const Column& column : columns_) lane_words += column.words();
  planes_ = Buffer((depth_ + 1) * lane_words * sizeof(Word));
  auto* planes = reinterpret_cast<Word*>(planes_.data());
  for (Column& column : columns_) {
    const std::size_t words = column.words();
    column.planes = planes;
    for (std::size_t w = 0; w < words; ++w) {
      const std::size_t first = column.first_filter + w * kWordBits;
      for (std::size_t k = 0; k < depth_; k += kWordBits) {
        const std::size_t inputs = std::min(kWordBits, depth_ - k);
        Word block[kWordBits], turned[kWordBits];
        for (std::size_t i = 0; i < kWordBits; ++i)
          block[i] = first + i < shape_.filters ? signs.row(first + i)[k / kWordBits] : 0;
        table_.transpose(block, 1, turned, 1);
        for (std::size_t i = 0; i < inputs; ++i) planes[(k + i) * words + w] = turned[i];
      }
    }
    std::fill_n(planes + depth_ * words, words, Word{0});
    planes += (depth_ + 1) * words;
  }
}

// Positions share a table when they have the same class and leave out the same rows of the window.
bool MirroredConvolution::choose_tables(const SignRows& signs, const OutputClasses& classes) {
  const Window& w = shape_.window;
  std::vector<std::vector<bool>> left_out;
  std::map<std::pair<std::size_t, std::vector<bool>>, std::size_t> found;
  std::vector<std::pair<std::size_t, std::vector<bool>>> keys;
  for (std::size_t p = 0; p < positions_; ++p) {
    std::size_t type = 0;
    for (std::size_t c = 1; c < classes.outputs.classes; ++c)
      if (get_bit(classes.members.data() + c * words_for(positions_), p)) type = c;
    std::vector<bool> outside;
    for (std::size_t row = 0; row < w.kernel_y; ++row) outside.push_back(input_row(p / w.out_width, row) < 0);
    const auto [place, added] = found.try_emplace({type, std::move(outside)}, keys.size());
    if (added) keys.push_back(place->first);
    if (keys.size() > kMostTables) return false;
    table_of_.push_back(static_cast<std::uint8_t>(place->second));
  }

  // What the padding of a row of the window counts, per filter and row.
  std::vector<std::int64_t> padded(shape_.filters * w.kernel_y);
  for (std::size_t i = 0; i < padded.size(); ++i) {
    const std::size_t ones = signs.ones(i / w.kernel_y, i % w.kernel_y * row_inputs_, row_inputs_);
    padded[i] = static_cast<std::int64_t>(shape_.pad_value < 0 ? row_inputs_ - ones : ones);
  }

  least_bits_ = std::bit_width(depth_ + 1);
  std::size_t table_words = 0;
  for (const Column& column : columns_) table_words += (keys.size() * least_bits_ + 1) * column.words();
  tables_ = Buffer(table_words * sizeof(Word));
  auto* words = reinterpret_cast<Word*>(tables_.data());
  std::fill_n(words, table_words, Word{0});
  for (Column& column : columns_) {
    const std::size_t lanes = column.width->lanes;
    column.tables = words;
    for (const auto& [type, outside] : keys) {
      std::int64_t inputs = static_cast<std::int64_t>(depth_);
      for (bool out : outside) inputs -= out ? static_cast<std::int64_t>(row_inputs_) : 0;
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::size_t f = column.first_filter + lane;
        std::int64_t least = inputs + 1;  // of no filter: never
        if (f < shape_.filters) {
          least = classes.outputs.least[type * shape_.filters + f];
          for (std::size_t row = 0; row < w.kernel_y; ++row)
            if (outside[row]) least -= padded[f * w.kernel_y + row];
        }
        const std::int64_t complement = ~std::clamp<std::int64_t>(least, 0, inputs + 1);
        for (std::size_t bit = 0; bit < least_bits_; ++bit)
          set_bit(words + bit * column.words(), lane, (complement >> bit & 1) != 0);
      }
      words += least_bits_ * column.words();
    }
    column.inverted = words;
    for (std::size_t lane = 0; lane < lanes && column.first_filter + lane < shape_.filters; ++lane)
      set_bit(words, lane, classes.outputs.inverted[column.first_filter + lane] != 0);
    words += column.words();
  }
  return true;
}

}  // namespace sb
