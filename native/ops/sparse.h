// The sparse form of a binary convolution on bit-planes: only the rare inputs of a filter are added.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/plane_inputs.h"
#include "ops/sparse_filters.h"

namespace sb {

class SparseForm {
 public:
  SparseForm(const KernelTable& kernels, const ConvolutionShape& shape, const SparseRules& rules);

  static constexpr std::size_t kMostExceptions = 128;  // in a tile

  // Nanoseconds for a tile, without its inputs.
  double cost(const PlaneWidth& width, const PlaneInputs& inputs) const;
  // What of it grows with the rare weights.
  double listed_cost(const PlaneWidth& width) const;
  double density() const { return filters_.density; }
  // Words to work in.
  std::size_t scratch_words(const PlaneWidth& width, const PlaneInputs& inputs) const;

  // What all filters of a tile share.
  struct Shared {
    Word* totals;
    Word* steps;
    const Word* base_planes;
    std::uint32_t* starts;        // (class, kMostRun)
    std::uint16_t* step_lists;    // (filter of a run, falls + rises)
    const Word* masks;            // (class - 1, lanes)
    std::size_t first_row, rows;  // of the tables of steps
    std::size_t base_bits;        // of what all filters add
    std::int64_t base;
    std::size_t cut_planes;  // planes of steps that belong to a line
    std::size_t exceptions;  // steps that a line leaves: the totals below which, or from which on, lanes are
    std::uint16_t rises_at[kMostExceptions], falls_at[kMostExceptions];
  };
  // False where the totals of a tile are too far apart; then nothing has been written.
  bool prepare(const PlaneTile& tile, const PlaneInputs& inputs, Word* work, Shared& shared) const;
  void run(const PlaneTile& tile, const Shared& shared, Word* out) const;

 private:
  bool prepare_exceptions(const PlaneTile& tile, Shared& shared) const;
  std::size_t list_exceptions(const StepTable& table, std::size_t entry, const Shared& shared,
                              const std::uint16_t* known, std::uint16_t* list) const;
  bool prepare_steps(const PlaneTile& tile, std::size_t least, std::size_t most, Shared& shared) const;
  void prepare_line(const PlaneTile& tile, std::size_t least, std::size_t most, Shared& shared) const;
  void prepare_half(const PlaneTile& tile, std::size_t least, std::size_t most, Shared& shared) const;
  void list_steps(const StepTable& table, const SparseRun& run, const Shared& shared, std::size_t width,
                  std::uint16_t* lists) const;
  void list_line(const SparseRun& run, const Shared& shared, std::size_t width, std::int32_t* own) const;
  void add_steps(const StepTable& table, const SparseRun& run, const Shared& shared, std::int32_t sign,
                 std::int32_t* own) const;
  std::size_t most_steps(const StepTable& table, const SparseRun& run, const Shared& shared) const;
  bool reads_steps() const { return filters_.moving == Moving::kSteps || filters_.moving == Moving::kLine; }
  std::size_t step_words(std::size_t lane_words) const;
  std::size_t total_words(std::size_t lane_words) const { return total_bits_ * lane_words; }

  const SparseWidth& kernels(const PlaneWidth& width) const { return table_.widths[&width - planes_.widths]; }

  const SparseTable& table_;
  const PlaneTable& planes_;
  ConvolutionShape shape_;
  SparseFilters filters_;
  std::size_t depth_, total_bits_;
};

}  // namespace sb
