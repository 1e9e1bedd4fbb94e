// The ways in which a file holds weights of one bit (packed/weights.py), decoded to plain bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sb {

// Bits (filters, depth) without gaps between the rows, as in the file, and behind them bytes that may be
// read.
using WeightBits = std::vector<std::uint8_t>;
inline constexpr std::size_t kBitsSlack = 16;

WeightBits copy_bits(const std::uint8_t* stream, std::size_t bytes);

// Rice-coded gaps between the rarer signs of every filter; `rice` and `count` hold one number a filter, each
// within its range. What is wrong with the stream, or an empty text.
std::string decode_gaps(const std::uint8_t* stream, std::size_t bytes, const std::vector<std::uint8_t>& rice,
                        const std::vector<std::int32_t>& count, std::size_t depth, WeightBits& bits);

// `kernels` indices of `width` bits into patterns of `taps` bits; both streams have the size that they need.
WeightBits decode_codebook(const WeightBits& patterns, const WeightBits& index, std::size_t taps,
                           std::size_t width, std::size_t kernels);

}  // namespace sb
