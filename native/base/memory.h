// Memory aligned to cache lines, and products of sizes that cannot wrap.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <new>
#include <utility>

#include "base/bits.h"

namespace sb {

inline constexpr std::size_t kAlignment = 64;
// Kernels may read (never use) up to this many bytes past the last row.
inline constexpr std::size_t kSlack = 64;

// The product of sizes, or the largest size_t when it does not fit.
constexpr std::size_t saturating_product(std::initializer_list<std::size_t> sizes) {
  std::size_t product = 1;
  for (std::size_t size : sizes) {
    if (size != 0 && product > std::numeric_limits<std::size_t>::max() / size)
      return std::numeric_limits<std::size_t>::max();
    product *= size;
  }
  return product;
}

// Owns aligned, uninitialised bytes followed by `kSlack` readable ones. Throws std::bad_alloc.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size)
      : data_(static_cast<std::byte*>(::operator new(size + kSlack, std::align_val_t{kAlignment}))),
        size_(size) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t{kAlignment});
  }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sb
