// Sums of the mirrored form: a row of counts for each position, which a chain takes.
#include "ops/mirror.h"

namespace sb {

bool MirroredConvolution::take(const SignRows& signs, const SumBases& bases) {
  const std::vector<std::uint8_t>& given = bases.places;
  std::vector<std::size_t> types(positions_, 0);
  if (!given.empty()) types.assign(given.begin(), given.end());
  if (!find_places(types)) return false;
  pack_weights(signs);

  // Rows outside the map are left out of the counts: what their padding would count is in the base.
  const std::vector<std::int64_t> padded = padded_rows(signs);
  const std::size_t width = round_up(shape_.filters, kChainPadding), rows = shape_.window.kernel_y;
  bases_.assign(places_.size() * width, 0);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto& [type, outside] = places_[i];
    for (std::size_t f = 0; f < shape_.filters; ++f) {
      auto base = static_cast<std::int64_t>(bases.sums[type * width + f]);
      for (std::size_t row = 0; row < rows; ++row)
        if (outside[row]) base -= 2 * padded[f * rows + row];
      bases_[i * width + f] = static_cast<float>(base);
    }
  }
  return true;
}

// Within 128 filters, eight neighbours lie together.
void MirroredConvolution::chain_counts(const Call& call, const Chain& chain, const std::uint16_t* counts,
                                       std::size_t done, std::size_t rows) const {
  constexpr std::size_t kNeighbours = kCountBytes / sizeof(std::uint16_t);
  for (const Column& column : columns_) {
    const std::size_t streams = count_streams(column.width->lanes), stream = column.width->lanes / streams;
    for (std::size_t s = 0; s < streams; ++s) {
      const std::size_t begin = column.first_filter + s * stream;
      if (begin >= shape_.filters) break;
      ChainRows source{kChainShorts, counts + column.first_filter + s * kNeighbours,
                       row_counts_ * sizeof(std::uint16_t)};
      source.column_stride = streams * kCountBytes;
      source.base = bases_.data();
      source.scale = -2;
      source.base_places = places_.size() == 1 ? nullptr : table_of_.data();
      chain.run_rows(source, call, call.inputs + 1, done, rows, begin,
                     std::min(begin + stream, shape_.filters));
    }
  }
}

}  // namespace sb
