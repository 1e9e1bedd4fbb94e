// The loop nest around the register tiles, shared by every instruction set. Included inside an anonymous
// namespace.
//
// A `Unit` says how one kind of product is done:
//   Row, Packed, Sum    element types of activations, packed weights and results
//   kColumns            filters in a packed block; kRows x kBlocks: the register tile
//   elements(depth)     packed elements per column
//   pack_block(...)     canonical weights of up to kColumns filters to one zeroed block
//   tile<R, B>(...)     R rows with B blocks: out[r][f] = start[f] + sum, all filters of the blocks being
//   there

// The tile of a unit whose sums are registers, one for each row and block. The unit also has
//   kTogether                 depths of a place, that are multiplied at once
//   T, zero, load, store, add registers of sums
//   weights(p), row(p)        those of a block and place, and what a row has there, in all lanes
//   multiply_add(sum, row, weights)
template <class Unit, int R, int B>
SB_INLINE void register_tile(const char* rows, size_t stride, const uint32_t* places,
                             const typename Unit::Packed* packed, size_t block, size_t depth,
                             const typename Unit::Sum* start, typename Unit::Sum* out, size_t out_stride) {
  typename Unit::T sum[R][B];
  SB_UNROLL for (int r = 0; r < R; ++r) SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] = Unit::zero();
  for (size_t k = 0; k < depth; k += Unit::kTogether) {
    const char* row = rows + places[k / Unit::kTogether];
    decltype(Unit::weights(packed)) weights[B];
    SB_UNROLL for (int b = 0; b < B; ++b) weights[b] = Unit::weights(packed + b * block + k * Unit::kColumns);
    SB_UNROLL for (int r = 0; r < R; ++r) {
      const auto values = Unit::row(row + r * stride);
      SB_UNROLL for (int b = 0; b < B; ++b) sum[r][b] = Unit::multiply_add(sum[r][b], values, weights[b]);
    }
  }
  SB_UNROLL for (int b = 0; b < B; ++b) {
    const typename Unit::T first = Unit::load(start + b * Unit::kColumns);
    SB_UNROLL for (int r = 0; r < R; ++r)
        Unit::store(out + r * out_stride + b * Unit::kColumns, Unit::add(first, sum[r][b]));
  }
}

template <class Unit>
size_t packed_bytes(size_t filters, size_t depth) {
  const size_t blocks = (filters + Unit::kColumns - 1) / Unit::kColumns;
  return blocks * Unit::kColumns * Unit::elements(depth) * sizeof(typename Unit::Packed);
}

template <class Unit>
void pack(const void* weight, size_t filters, size_t depth, void* packed) {
  const size_t block_elements = Unit::kColumns * Unit::elements(depth);
  auto* out = static_cast<typename Unit::Packed*>(packed);
  const auto* in = static_cast<const typename Unit::Weight*>(weight);
  for (size_t f = 0; f < filters; f += Unit::kColumns, out += block_elements) {
    const size_t count = filters - f < Unit::kColumns ? filters - f : Unit::kColumns;
    for (size_t i = 0; i < block_elements; ++i) out[i] = 0;
    Unit::pack_block(in + f * depth, count, depth, out);
  }
}

template <class Unit, int R, int B>
void run_tile(const GemmCall& call, size_t line, size_t row, size_t block) {
  using Sum = typename Unit::Sum;
  constexpr size_t kWidth = B * Unit::kColumns;
  const size_t block_elements = Unit::kColumns * Unit::elements(call.depth);
  const char* rows = static_cast<const char*>(call.rows) + line * call.line_stride + row * call.row_stride;
  const auto* packed = static_cast<const typename Unit::Packed*>(call.packed) + block * block_elements;
  const size_t first = block * Unit::kColumns, left = call.filters - first;
  const Sum* start = static_cast<const Sum*>(call.start) + first;
  Sum* out = static_cast<Sum*>(call.out) + (line * call.count + row) * call.out_stride + first;
  if (left >= kWidth) {
    Unit::template tile<R, B>(rows, call.row_stride, call.places, packed, block_elements, call.depth, start,
                              out, call.out_stride);
    return;
  }
  Sum some_start[kWidth] = {}, some_out[R * kWidth];
  for (size_t i = 0; i < left; ++i) some_start[i] = start[i];
  Unit::template tile<R, B>(rows, call.row_stride, call.places, packed, block_elements, call.depth,
                            some_start, some_out, kWidth);
  for (int r = 0; r < R; ++r)
    for (size_t i = 0; i < left; ++i) out[r * call.out_stride + i] = some_out[r * kWidth + i];
}

// Tiles of R rows, then of half as many, and so on.
template <class Unit, int R, int B>
void run_rows(const GemmCall& call, size_t line, size_t row, size_t block) {
  for (; row + R <= call.count; row += R) run_tile<Unit, R, B>(call, line, row, block);
  if constexpr (R > 1) run_rows<Unit, R / 2, B>(call, line, row, block);
}

// Fewer blocks leave registers for more rows.
template <class Unit, int B>
void run_blocks(const GemmCall& call, size_t block) {
  constexpr int kMostRows = 8, kRows = Unit::kRows * Unit::kBlocks / B;
  for (size_t line = 0; line < call.lines; ++line)
    run_rows<Unit, (kRows < kMostRows ? kRows : kMostRows), B>(call, line, 0, block);
}

template <class Unit>
void run_gemm(const GemmCall& call) {
  const size_t blocks = (call.filters + Unit::kColumns - 1) / Unit::kColumns;
  size_t block = 0;
  for (; block + Unit::kBlocks <= blocks; block += Unit::kBlocks)
    run_blocks<Unit, Unit::kBlocks>(call, block);
  if constexpr (Unit::kBlocks > 2)
    for (; block + 2 <= blocks; block += 2) run_blocks<Unit, 2>(call, block);
  for (; block < blocks; ++block) run_blocks<Unit, 1>(call, block);
}

template <class Unit>
constexpr Gemm gemm() {
  return {Unit::kColumns, packed_bytes<Unit>, pack<Unit>, run_gemm<Unit>};
}

// Weights as they are, one column beside the next: packed[k][column].
template <class Weight, class Packed, size_t kColumns>
void pack_columns(const Weight* weight, size_t count, size_t depth, Packed* packed) {
  for (size_t column = 0; column < count; ++column)
    for (size_t k = 0; k < depth; ++k) packed[k * kColumns + column] = (Packed)weight[column * depth + k];
}

// Sums modulo 2^32, so that an intermediate carry out of int32 is no undefined behaviour.
inline int32_t wrapping_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
