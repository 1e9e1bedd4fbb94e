// Counts that lie bit by bit in planes become numbers, several filters side by side. Included inside an
// anonymous namespace, after bitplane-inl.h.

// By transposition, for registers that cannot shuffle: the kRows planes of 4 or 8 filters are a block of 64 x
// 64 bits, and two blocks give the numbers of a lane.
template <class V, void (*kTranspose)(const uint64_t*, size_t, uint64_t*, size_t), size_t kRows>
void spread_as(const uint64_t* counts, size_t bits, uint64_t* out) {
  constexpr size_t kWords = V::kBytes / 8, kStreams = count_streams(8 * V::kBytes), kBlocks = kCountBytes / 8;
  for (size_t b = 0; b < kWords; ++b)
    for (size_t q = 0; q < kBlocks; ++q) {
      uint64_t block[64];
      for (size_t i = 0; i < 64; ++i) {
        const size_t filter = q * (64 / kRows) + i / kRows, bit = i % kRows;
        block[i] = bit < bits ? counts[(filter * kCountRows + bit) * kWords + b] : 0;
      }
      kTranspose(block, 1, out + (b % 2 * 64 * kStreams + b / 2) * kBlocks + q, kBlocks * kStreams);
    }
}

template <class V, void (*kTranspose)(const uint64_t*, size_t, uint64_t*, size_t)>
void spread_blocks(const uint64_t* counts, size_t bits, uint64_t* out) {
  if (bits > kMostByteBits)
    spread_as<V, kTranspose, 16>(counts, bits, out);
  else
    spread_as<V, kTranspose, 8>(counts, bits, out);
}

#if defined(__GFNI__)

// Rows of `bits` planes from `first` on, turned into bytes: result i, 128 bits of it, holds 16 lanes.
template <class V>
SB_INLINE void spread_bytes(const char* rows, size_t first, size_t bits, typename V::T* out) {
  using T = typename V::T;
  T a[8], pairs[8], quads[8];
  // The instruction takes the rows of its matrix from the last to the first.
  SB_UNROLL for (size_t m = 0; m < 8; ++m) a[m] =
      first + 7 - m < bits ? V::load(rows + (first + 7 - m) * V::kBytes) : V::fill(0);
  SB_UNROLL for (int i = 0; i < 4; ++i) {
    pairs[i] = V::low_bytes(a[2 * i], a[2 * i + 1]);
    pairs[4 + i] = V::high_bytes(a[2 * i], a[2 * i + 1]);
  }
  SB_UNROLL for (int h = 0; h < 2; ++h) SB_UNROLL for (int i = 0; i < 2; ++i) {
    quads[4 * h + i] = V::low_shorts(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
    quads[4 * h + 2 + i] = V::high_shorts(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
  }
  SB_UNROLL for (int i = 0; i < 4; ++i) {
    out[2 * i] = V::turn_blocks(V::low_ints(quads[2 * i], quads[2 * i + 1]));
    out[2 * i + 1] = V::turn_blocks(V::high_ints(quads[2 * i], quads[2 * i + 1]));
  }
}

// The bytes of sixteen filters of each of 128 lanes.
template <class V>
void spread_as_bytes(const uint64_t* counts, size_t bits, uint64_t* out) {
  using T = typename V::T;
  T numbers[16][8];  // lanes 16 s .. 16 s + 15 of each 128
  for (size_t f = 0; f < 16; ++f)
    spread_bytes<V>((const char*)counts + f * kCountRows * V::kBytes, 0, bits, numbers[f]);
  char* to = (char*)out;
  for (size_t s = 0; s < 8; ++s, to += 16 * V::kBytes) {
    T a[16], b[16];
    SB_UNROLL for (int i = 0; i < 8; ++i) {
      a[i] = V::low_bytes(numbers[2 * i][s], numbers[2 * i + 1][s]);
      a[8 + i] = V::high_bytes(numbers[2 * i][s], numbers[2 * i + 1][s]);
    }
    SB_UNROLL for (int h = 0; h < 2; ++h) SB_UNROLL for (int i = 0; i < 4; ++i) {
      b[8 * h + i] = V::low_shorts(a[8 * h + 2 * i], a[8 * h + 2 * i + 1]);
      b[8 * h + 4 + i] = V::high_shorts(a[8 * h + 2 * i], a[8 * h + 2 * i + 1]);
    }
    SB_UNROLL for (int h = 0; h < 4; ++h) SB_UNROLL for (int i = 0; i < 2; ++i) {
      a[4 * h + i] = V::low_ints(b[4 * h + 2 * i], b[4 * h + 2 * i + 1]);
      a[4 * h + 2 + i] = V::high_ints(b[4 * h + 2 * i], b[4 * h + 2 * i + 1]);
    }
    SB_UNROLL for (int i = 0; i < 8; ++i) {
      V::store(to + 2 * i * V::kBytes, V::low_longs(a[2 * i], a[2 * i + 1]));
      V::store(to + (2 * i + 1) * V::kBytes, V::high_longs(a[2 * i], a[2 * i + 1]));
    }
  }
}

// The numbers of one row of planes: register s holds the lanes 8 s .. 8 s + 7 of each 128.
template <class V>
void spread_row(const uint64_t* counts, size_t bits, uint64_t* out) {
  const char* rows = (const char*)counts;
  char* to = (char*)out;
  typename V::T low[8], high[8];
  spread_bytes<V>(rows, 0, bits, low);
  spread_bytes<V>(rows, 8, bits, high);
  SB_UNROLL for (int i = 0; i < 8; ++i) {
    V::store(to + 2 * i * V::kBytes, V::low_bytes(low[i], high[i]));
    V::store(to + (2 * i + 1) * V::kBytes, V::high_bytes(low[i], high[i]));
  }
}

// The numbers of eight filters.
template <class V>
void spread_as_shorts(const uint64_t* counts, size_t bits, uint64_t* out) {
  using T = typename V::T;
  T numbers[8][16];
  for (size_t f = 0; f < 8; ++f)
    spread_row<V>(counts + f * kCountRows * V::kBytes / sizeof(uint64_t), bits, (uint64_t*)numbers[f]);
  char* to = (char*)out;
  for (size_t s = 0; s < 16; ++s, to += 8 * V::kBytes) {
    T pairs[8], quads[8];
    SB_UNROLL for (int i = 0; i < 4; ++i) {
      const T a = V::load(&numbers[2 * i][s]), b = V::load(&numbers[2 * i + 1][s]);
      pairs[i] = V::low_shorts(a, b);
      pairs[4 + i] = V::high_shorts(a, b);
    }
    SB_UNROLL for (int h = 0; h < 2; ++h) SB_UNROLL for (int i = 0; i < 2; ++i) {
      quads[4 * h + i] = V::low_ints(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
      quads[4 * h + 2 + i] = V::high_ints(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
    }
    SB_UNROLL for (int i = 0; i < 4; ++i) {
      V::store(to + 2 * i * V::kBytes, V::low_longs(quads[2 * i], quads[2 * i + 1]));
      V::store(to + (2 * i + 1) * V::kBytes, V::high_longs(quads[2 * i], quads[2 * i + 1]));
    }
  }
}

template <class V>
void spread_bits(const uint64_t* counts, size_t bits, uint64_t* out) {
  bits > kMostByteBits ? spread_as_shorts<V>(counts, bits, out) : spread_as_bytes<V>(counts, bits, out);
}

#endif
