#include "ops/sequence.h"

namespace sb {

// Results lie one after another, each followed by what its operator works in.
void Sequence::run(const Call& call) const noexcept {
  std::byte* memory = call.scratch;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    const std::byte* inputs[kMostInputs];
    for (std::size_t k = 0; k < part.inputs.size(); ++k) {
      const std::size_t source = part.inputs[k];
      if (source == 0) {
        inputs[k] = call.inputs[0] + (part.op->by_rows(k) ? call.first * input_row_ : 0);
        continue;
      }
      inputs[k] = call.scratch;
      for (std::size_t before = 0; before + 1 < source; ++before)
        inputs[k] +=
            parts_[before].bytes(call.rows) + round_up(parts_[before].op->scratch(call.rows), kAlignment);
    }
    const bool last = i + 1 == parts_.size();
    std::byte* out = last ? call.output : memory;
    std::byte* own = memory + part.bytes(call.rows);
    part.op->run({call.first, call.rows, inputs, out, own});
    memory = own + round_up(part.op->scratch(call.rows), kAlignment);
  }
}

std::size_t Sequence::scratch(std::size_t rows) const {
  std::size_t bytes = 0;
  for (const Part& part : parts_) bytes += part.bytes(rows) + round_up(part.op->scratch(rows), kAlignment);
  return bytes;
}

}  // namespace sb
