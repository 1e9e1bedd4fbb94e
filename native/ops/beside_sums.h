// The counts of filters with few rare weights at few positions: 32 filters side by side in a register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "ops/plane_inputs.h"
#include "ops/sparse_sums.h"

namespace sb {

// Works on the planes of a tile of 64 positions, 16 of them at a time.
class BesideSums {
 public:
  // Null where the kernels cannot.
  static std::unique_ptr<BesideSums> make(const KernelTable& kernels, const SparseRules& rules,
                                          std::size_t depth, CountBases bases);

  // Nanoseconds for the counts of so many rows, and what of it grows with the rare weights; for their planes,
  // if those of the tile are `made`.
  double cost(std::size_t rows) const;
  double listed_cost(std::size_t rows) const;
  double input_cost(std::size_t rows, bool made) const;
  double density() const { return density_; }
  // Words to work in.
  std::size_t scratch_words() const;

  // The planes of 16 positions each, in `work`; those of the tile are made or not.
  void make(const PlaneTile& tile, const PlaneInputs& inputs, Word* work) const;
  // Of the block of channels from `begin` on: (position, kBlock) of bytes, or of 16 bits if these are
  // `shorts`.
  void count(const PlaneTile& tile, const Word* work, std::size_t begin, std::byte* out) const;
  bool shorts(std::size_t begin) const { return blocks_[begin / SparseSums::kBlock].bits > kMostByteBits; }
  const CountBases& bases() const { return bases_; }

 private:
  struct Block {
    std::size_t bits;
  };
  struct Group {
    std::size_t window;  // the first
    std::size_t subtracted, added;
    std::uint32_t inverted;
  };
  // A list of each filter of a group.
  using Lists = std::vector<const std::vector<std::uint16_t>*>;

  BesideSums(const BesideKernels& kernels, const SparseRules& rules, std::size_t depth, CountBases bases);
  std::size_t add_windows(const Lists& lists);
  std::size_t part_words() const { return beside_planes(depth_) * sizeof(std::uint16_t) / sizeof(Word); }

  const BesideKernels& kernels_;
  std::size_t depth_;
  double density_ = 0;
  std::vector<Block> blocks_;
  std::vector<Group> groups_;
  std::vector<std::uint16_t> begins_;
  std::vector<std::uint8_t> picked_;  // while windows are added
  Buffer picks_;
  CountBases bases_;
};

}  // namespace sb
