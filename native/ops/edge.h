// What flows between nodes (packed/edges.py), and how the engine holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bits.h"

namespace sb {

enum class Kind { kImage, kBits, kInt, kReal };
enum class Format { kFloat32, kFloat16, kInt16 };

inline constexpr std::int64_t kInt32Max = 2147483647;
inline constexpr std::size_t kMaxElements = std::size_t{1} << 26;

// One sample: `channels` values at each of height x width positions; a vector is one position.
struct Edge {
  Kind kind = Kind::kReal;
  bool vector = false;
  std::size_t channels = 0, height = 1, width = 1;
  int planes = 1;                    // bits
  std::int64_t low = 0, high = 0;    // integers, also those that pixels and bits stand for
  Format format = Format::kFloat32;  // reals
  float step = 0;

  std::size_t positions() const { return height * width; }
  std::size_t elements() const { return channels * positions(); }
  bool integral() const { return kind != Kind::kReal; }
  bool same_shape(const Edge& other) const {
    return vector == other.vector && channels == other.channels && height == other.height &&
           width == other.width;
  }
};

// Memory of an edge: (sample, position, channel). A row is one position.
//   kBits    words of channels, plane after plane
//   kBytes   pixels
//   kSigned  integers -128..127, stored as uint8 with kSignedBias added
//   kInts, kFloats
enum class Storage { kBits, kBytes, kSigned, kInts, kFloats };
inline constexpr std::int32_t kSignedBias = 128;

inline Storage natural_storage(const Edge& edge) {
  switch (edge.kind) {
    case Kind::kImage:
      return Storage::kBytes;
    case Kind::kBits:
      return Storage::kBits;
    case Kind::kInt:
      return Storage::kInts;
    case Kind::kReal:
      break;
  }
  return Storage::kFloats;
}

inline std::size_t row_bytes(const Edge& edge, Storage storage) {
  switch (storage) {
    case Storage::kBits:
      return edge.planes * words_for(edge.channels) * sizeof(Word);
    case Storage::kBytes:
    case Storage::kSigned:
      return edge.channels;
    case Storage::kInts:
    case Storage::kFloats:
      break;
  }
  return edge.channels * 4;
}

inline std::size_t sample_bytes(const Edge& edge, Storage storage) {
  return edge.positions() * row_bytes(edge, storage);
}

inline Edge image_edge(std::size_t channels, std::size_t height, std::size_t width) {
  Edge edge;
  edge.kind = Kind::kImage;
  edge.channels = channels, edge.height = height, edge.width = width;
  edge.low = 0, edge.high = 255;
  return edge;
}

// Edges of another kind and the same shape.
inline Edge as_bits(Edge edge, int planes = 1) {
  edge.kind = Kind::kBits;
  edge.planes = planes;
  edge.low = planes == 1 ? -1 : -3, edge.high = -edge.low;
  return edge;
}

inline Edge as_int(Edge edge, std::int64_t low, std::int64_t high) {
  edge.kind = Kind::kInt;
  edge.low = low, edge.high = high;
  return edge;
}

inline Edge as_real(Edge edge, Format format = Format::kFloat32, float step = 0) {
  edge.kind = Kind::kReal;
  edge.format = format, edge.step = step;
  return edge;
}

inline Edge with_shape(Edge edge, std::size_t channels, std::size_t height, std::size_t width) {
  edge.channels = channels, edge.height = height, edge.width = width;
  return edge;
}

inline Edge with_channels(Edge edge, std::size_t channels) {
  edge.channels = channels;
  return edge;
}

inline std::string describe(const Edge& edge) {
  static constexpr const char* kNames[] = {"image", "bits", "int", "real"};
  std::string text = std::string(kNames[static_cast<int>(edge.kind)]) + " " + std::to_string(edge.channels);
  if (!edge.vector) text += "x" + std::to_string(edge.height) + "x" + std::to_string(edge.width);
  return text;
}

}  // namespace sb
