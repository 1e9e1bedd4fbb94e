#include "plan/transfer.h"

#include <cstring>

namespace sb {
namespace {

template <class T>
void to_rows(const Edge& edge, const T* array, T* rows) {
  const std::size_t channels = edge.channels, positions = edge.positions();
  if (channels == 1 || positions == 1) {
    std::memcpy(rows, array, edge.elements() * sizeof(T));
    return;
  }
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t p = 0; p < positions; ++p) rows[p * channels + c] = array[c * positions + p];
}

template <class T>
void to_array(const Edge& edge, const T* rows, T* array) {
  const std::size_t channels = edge.channels, positions = edge.positions();
  if (channels == 1 || positions == 1) {
    std::memcpy(array, rows, edge.elements() * sizeof(T));
    return;
  }
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t p = 0; p < positions; ++p) array[c * positions + p] = rows[p * channels + c];
}

void import_image(const RowKernels& kernels, const Edge& edge, const std::uint8_t* array,
                  std::uint8_t* rows) {
  if (edge.channels != 3) return to_rows(edge, array, rows);
  const std::uint8_t* planes[] = {array, array + edge.positions(), array + 2 * edge.positions()};
  kernels.weave_three(planes, edge.positions(), rows);
}

bool import_bits(const Edge& edge, const std::int8_t* array, Word* rows) {
  const std::size_t words = words_for(edge.channels), positions = edge.positions();
  std::memset(rows, 0, sample_bytes(edge, Storage::kBits));
  bool valid = true;
  for (std::size_t c = 0; c < edge.channels; ++c)
    for (std::size_t p = 0; p < positions; ++p) {
      const std::int8_t value = array[c * positions + p];
      Word* row = rows + p * words * edge.planes;
      valid = valid && (value & 1) != 0 && value >= edge.low && value <= edge.high;
      set_bit(row, c, value < 0);
      if (edge.planes == 2) set_bit(row + words, c, value == 1 || value == -3);
    }
  return valid;
}

void export_bits(const Edge& edge, const Word* rows, std::int8_t* array) {
  const std::size_t words = words_for(edge.channels), positions = edge.positions();
  for (std::size_t c = 0; c < edge.channels; ++c)
    for (std::size_t p = 0; p < positions; ++p) {
      const Word* row = rows + p * words * edge.planes;
      int value = get_bit(row, c) ? -1 : 1;
      if (edge.planes == 2) value = 2 * value + (get_bit(row + words, c) ? -1 : 1);
      array[c * positions + p] = static_cast<std::int8_t>(value);
    }
}

}  // namespace

std::size_t array_element_bytes(const Edge& edge) {
  return edge.kind == Kind::kImage || edge.kind == Kind::kBits ? 1 : 4;
}

bool import_sample(const RowKernels& kernels, const Edge& edge, const void* array, std::byte* rows) {
  switch (edge.kind) {
    case Kind::kImage:
      import_image(kernels, edge, static_cast<const std::uint8_t*>(array),
                   reinterpret_cast<std::uint8_t*>(rows));
      return true;
    case Kind::kBits:
      return import_bits(edge, static_cast<const std::int8_t*>(array), reinterpret_cast<Word*>(rows));
    case Kind::kInt: {
      const auto* values = static_cast<const std::int32_t*>(array);
      bool valid = true;
      for (std::size_t i = 0; i < edge.elements(); ++i)
        valid &= values[i] >= edge.low && values[i] <= edge.high;
      to_rows(edge, values, reinterpret_cast<std::int32_t*>(rows));
      return valid;
    }
    case Kind::kReal:
      break;
  }
  to_rows(edge, static_cast<const std::uint32_t*>(array), reinterpret_cast<std::uint32_t*>(rows));
  return true;
}

void export_sample(const Edge& edge, const std::byte* rows, void* array) {
  switch (edge.kind) {
    case Kind::kImage:
      return to_array(edge, reinterpret_cast<const std::uint8_t*>(rows), static_cast<std::uint8_t*>(array));
    case Kind::kBits:
      return export_bits(edge, reinterpret_cast<const Word*>(rows), static_cast<std::int8_t*>(array));
    case Kind::kInt:
    case Kind::kReal:
      return to_array(edge, reinterpret_cast<const std::uint32_t*>(rows), static_cast<std::uint32_t*>(array));
  }
}

}  // namespace sb
