// Element-wise chains in registers, shared by every instruction set. Included inside an anonymous namespace,
// with elementwise-inl.h, and what that file needs defined.
//
// A `Reals` F says how a register of floats is handled:
//   T, kLanes                     the register
//   load, store, store_some       unaligned memory; only the first lanes
//   ints, counts                  converted int32; uint8, and uint16 of which each 16 bytes are so far apart
//   join                          a * b + c, where the result is exact
//   fill, multiply, add           each rounded once
//   prelu, clamp, negative        of elementwise-inl.h; a bit for each lane below 0

#include "kernels/elementwise-inl.h"

// Of rows that come next: their channels are pieces of lines, which no prefetcher of a CPU foresees.
SB_INLINE void prefetch(const void* place) {
#if defined(__GNUC__)
  __builtin_prefetch(place);
#else
  (void)place;
#endif
}

// R rows of V registers pass through the whole chain at once.
template <class F, int R, int V>
struct ChainTile {
  using T = typename F::T;
  T x[R][V];

  SB_INLINE void read(const ChainCall& call, size_t row, size_t channel) {
    const size_t at = row * call.row_stride + channel - call.begin;
    switch (call.source) {
      case kChainFloats:
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v) x[r][v] =
            F::load((const float*)call.rows + at + r * call.row_stride + v * F::kLanes);
        break;
      case kChainInts:
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v) x[r][v] =
            F::ints((const int32_t*)call.rows + at + r * call.row_stride + v * F::kLanes);
        break;
      case kChainShorts:
        read_counts<uint16_t>(call, row, channel);
        break;
      case kChainBytes:
        read_counts<uint8_t>(call, row, channel);
        break;
    }
  }

  template <class Count>
  SB_INLINE void read_counts(const ChainCall& call, size_t row, size_t channel) {
    const T scale = F::fill(call.scale);
    const size_t first = (channel - call.begin) * sizeof(Count);
    SB_UNROLL for (int r = 0; r < R; ++r) {
      const char* counts = (const char*)call.rows + (row + r) * call.row_stride;
      const float* base = call.base + base_row(call, row + r) + channel;
      SB_UNROLL for (int v = 0; v < V; ++v) {
        const size_t at = first + v * F::kLanes * sizeof(Count);
        const char* from = counts + at / kChainColumn * call.column_stride + at % kChainColumn;
        x[r][v] =
            F::join(F::counts((const Count*)from, call.column_stride), scale, F::load(base + v * F::kLanes));
      }
    }
    const ChainLevels& levels = call.levels;
    if (levels.totals == nullptr) return;
    const float* totals = levels.totals + row;
    if (levels.signs != nullptr) SB_UNROLL for (int v = 0; v < V; ++v) {
        const T sign = F::load(levels.signs + channel + v * F::kLanes);
        SB_UNROLL for (int r = 0; r < R; ++r) x[r][v] = F::join(sign, F::fill(totals[r]), x[r][v]);
      }
    if (levels.half == nullptr) return;
    SB_UNROLL for (int v = 0; v < V; ++v) {
      const T half = F::load(levels.half + channel + v * F::kLanes),
              middle = F::load(levels.middle + channel + v * F::kLanes);
      SB_UNROLL for (int r = 0; r < R; ++r) x[r][v] =
          F::add(F::multiply(half, x[r][v]), F::multiply(middle, F::fill(totals[r])));
    }
  }

  static SB_INLINE size_t padded(const ChainCall& call) {
    return (call.channels + kChainPadding - 1) / kChainPadding * kChainPadding;
  }

  static SB_INLINE size_t position(const ChainCall& call, size_t row) {
    const size_t at = call.first + row;  // mostly in the first sample
    return at < call.positions ? at : at % call.positions;
  }

  static SB_INLINE size_t base_row(const ChainCall& call, size_t row) {
    return call.base_places == nullptr ? 0 : call.base_places[position(call, row)] * padded(call);
  }

  SB_INLINE void apply(const ChainCall& call, const ChainOp& op, size_t row, size_t channel) {
    switch (op.kind) {
      case kChainAffine:
        SB_UNROLL for (int v = 0; v < V; ++v) {
          const T scale = F::load(op.a + channel + v * F::kLanes),
                  offset = F::load(op.b + channel + v * F::kLanes);
          SB_UNROLL for (int r = 0; r < R; ++r) x[r][v] = F::add(F::multiply(x[r][v], scale), offset);
        }
        break;
      case kChainAffineAt:
        SB_UNROLL for (int r = 0; r < R; ++r) {
          const float* offset = op.b + op.places[position(call, row + r)] * padded(call) + channel;
          SB_UNROLL for (int v = 0; v < V; ++v) {
            const T scale = F::load(op.a + channel + v * F::kLanes);
            x[r][v] = F::add(F::multiply(x[r][v], scale), F::load(offset + v * F::kLanes));
          }
        }
        break;
      case kChainAdd: {
        const float* other = call.inputs[op.input] + row * call.channels + channel;
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v)
            prefetch(other + (R + r) * call.channels + v * F::kLanes);
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v) x[r][v] =
            F::add(x[r][v], F::load(other + r * call.channels + v * F::kLanes));
        break;
      }
      case kChainPrelu:
        SB_UNROLL for (int v = 0; v < V; ++v) {
          const T slope = F::load(op.a + channel + v * F::kLanes),
                  positive = F::load(op.b + channel + v * F::kLanes);
          SB_UNROLL for (int r = 0; r < R; ++r) x[r][v] = F::prelu(x[r][v], slope, positive);
        }
        break;
      case kChainClamp: {
        const T low = F::fill(op.low), high = F::fill(op.high);
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v) x[r][v] =
            F::clamp(x[r][v], low, high);
        break;
      }
      case kChainRoundHalf:
      case kChainRoundStep: {
        float values[R * V * F::kLanes];
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v)
            F::store(values + (r * V + v) * F::kLanes, x[r][v]);
        if (op.kind == kChainRoundHalf)
          round_float16(values, R * V * F::kLanes);
        else
          round_int16(values, op.low, R * V * F::kLanes);
        SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v) x[r][v] =
            F::load(values + (r * V + v) * F::kLanes);
        break;
      }
    }
  }

  // `lanes` of the registers of a row hold channels.
  SB_INLINE void write(const ChainCall& call, size_t row, size_t channel, size_t lanes) {
    if (call.reals != nullptr) {
      float* out = call.reals + row * call.channels + channel;
      SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int v = 0; v < V; ++v) {
        float* to = out + r * call.channels + v * F::kLanes;
        if (lanes == V * F::kLanes || v + 1 < V)
          F::store(to, x[r][v]);
        else
          F::store_some(to, x[r][v], lanes - v * F::kLanes);
      }
    }
    if (call.bits == nullptr) return;
    const size_t words = (call.channels + 63) / 64;
    const uint64_t used = lanes >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << lanes) - 1;
    SB_UNROLL for (int r = 0; r < R; ++r) {
      uint64_t word = 0;
      SB_UNROLL for (int v = 0; v < V; ++v) {
        const T shifted =
            call.shift == nullptr ? x[r][v] : F::add(x[r][v], F::load(call.shift + channel + v * F::kLanes));
        word |= (uint64_t)F::negative(shifted) << (v * F::kLanes);
      }
      uint64_t* out = call.bits + (row + r) * words + channel / 64;
      const uint64_t placed = (word & used) << (channel % 64);
      *out = channel % 64 == 0 ? placed : *out | placed;
    }
  }
};

template <class F, int R, int V>
void chain_rows(const ChainCall& call, size_t& row, size_t channel, size_t lanes) {
  for (; row + R <= call.count; row += R) {
    ChainTile<F, R, V> tile;
    tile.read(call, row, channel);
    for (size_t i = 0; i < call.op_count; ++i) tile.apply(call, call.ops[i], row, channel);
    tile.write(call, row, channel, lanes);
  }
}

// kRegisters hold the tile: fewer columns leave room for more rows.
template <class F, int V, int kRegisters>
void chain_columns(const ChainCall& call, size_t channel, size_t lanes) {
  size_t row = 0;
  if constexpr (kRegisters / V > 1) chain_rows<F, kRegisters / V, V>(call, row, channel, lanes);
  chain_rows<F, 1, V>(call, row, channel, lanes);
}

template <class F, int kRegisters>
void run_chain(const ChainCall& call) {
  constexpr size_t kLanes = F::kLanes;
  constexpr int kWide = 64 / F::kLanes, kHalf = kWide / 2;
  for (size_t channel = call.begin; channel < call.end;) {
    const size_t left = call.end - channel, registers = (left + kLanes - 1) / kLanes;
    const size_t taken = registers >= kWide ? kWide : registers >= kHalf ? kHalf : 1;
    const size_t lanes = left < taken * kLanes ? left : taken * kLanes;
    if (taken == kWide)
      chain_columns<F, kWide, kRegisters>(call, channel, lanes);
    else if (taken == kHalf)
      chain_columns<F, kHalf, kRegisters>(call, channel, lanes);
    else
      chain_columns<F, 1, kRegisters>(call, channel, lanes);
    channel += taken * kLanes;
  }
}
