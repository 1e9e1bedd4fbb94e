#include "ops/pixel_signs.h"

#include <algorithm>

#include "base/bits.h"

namespace sb {
namespace {

constexpr std::size_t kMostTables = 16;  // of 2 kB

}  // namespace

std::unique_ptr<PixelSigns> PixelSigns::make(const Edge& image, const std::vector<std::int32_t>& from,
                                             const std::vector<std::int32_t>& cuts,
                                             const std::vector<std::int32_t>& inverted) {
  auto signs = std::make_unique<PixelSigns>();
  signs->colours_ = image.channels;
  signs->words_ = words_for(from.size());
  std::vector<Part>& parts = signs->parts_;
  for (std::size_t c = 0; c < from.size(); ++c) {
    if (from[c] < 0) return nullptr;
    const std::size_t word = c / kWordBits, colour = static_cast<std::size_t>(from[c]);
    auto part = std::find_if(parts.begin(), parts.end(),
                             [&](const Part& p) { return p.word == word && p.colour == colour; });
    if (part == parts.end()) {
      if (parts.size() == kMostTables) return nullptr;
      part = parts.insert(parts.end(), {word, colour, std::vector<Word>(256)});
    }
    for (std::int32_t pixel = 0; pixel < 256; ++pixel)
      part->table[static_cast<std::size_t>(pixel)] |= Word{(pixel ^ inverted[c]) < cuts[c]}
                                                      << (c % kWordBits);
  }
  return signs;
}

void PixelSigns::run(const Call& call) const noexcept {
  const auto* pixels = call.in<std::uint8_t>(0);
  Word* out = call.out<Word>();
  std::fill_n(out, call.rows * words_, Word{0});
  for (const Part& part : parts_) {
    const Word* table = part.table.data();
    const std::uint8_t* pixel = pixels + part.colour;
    Word* word = out + part.word;
    for (std::size_t r = 0; r < call.rows; ++r) word[r * words_] |= table[pixel[r * colours_]];
  }
}

}  // namespace sb
