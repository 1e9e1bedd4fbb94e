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

bool MirroredConvolution::take(const SignRows& signs, const OutputClasses& classes) {
  std::vector<std::size_t> types(positions_, 0);
  for (std::size_t c = 1; c < classes.outputs.classes; ++c)
    for (std::size_t p = 0; p < positions_; ++p)
      if (get_bit(classes.members.data() + c * words_for(positions_), p)) types[p] = c;
  if (!find_places(types)) return false;
  pack_weights(signs);
  choose_tables(signs, classes);
  return true;
}

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

bool MirroredConvolution::find_places(const std::vector<std::size_t>& types) {
  const Window& w = shape_.window;
  std::map<Place, std::size_t> found;
  for (std::size_t p = 0; p < positions_; ++p) {
    std::vector<bool> outside;
    for (std::size_t row = 0; row < w.kernel_y; ++row) outside.push_back(input_row(p / w.out_width, row) < 0);
    const auto [place, added] = found.try_emplace({types[p], std::move(outside)}, places_.size());
    if (added) places_.push_back(place->first);
    if (places_.size() > kMostTables) return false;
    table_of_.push_back(static_cast<std::uint8_t>(place->second));
  }
  return true;
}

// Per filter and row of the window.
std::vector<std::int64_t> MirroredConvolution::padded_rows(const SignRows& signs) const {
  const std::size_t rows = shape_.window.kernel_y;
  std::vector<std::int64_t> padded(shape_.filters * rows);
  for (std::size_t i = 0; i < padded.size(); ++i) {
    const std::size_t ones = signs.ones(i / rows, i % rows * row_inputs_, row_inputs_);
    padded[i] = static_cast<std::int64_t>(shape_.pad_value < 0 ? row_inputs_ - ones : ones);
  }
  return padded;
}

void MirroredConvolution::choose_tables(const SignRows& signs, const OutputClasses& classes) {
  const Window& w = shape_.window;
  const std::vector<std::int64_t> padded = padded_rows(signs);
  least_bits_ = std::bit_width(depth_ + 1);
  std::size_t table_words = 0;
  for (const Column& column : columns_) table_words += (places_.size() * least_bits_ + 1) * column.words();
  tables_ = Buffer(table_words * sizeof(Word));
  auto* words = reinterpret_cast<Word*>(tables_.data());
  std::fill_n(words, table_words, Word{0});
  for (Column& column : columns_) {
    const std::size_t lanes = column.width->lanes;
    column.tables = words;
    for (const auto& [type, outside] : places_) {
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
}

}  // namespace sb
