// What combines the rows under a window: pooling, and a filter for each channel by itself. Included inside an
// anonymous namespace, after the struct `F` of chain-inl.h, which here also has
//   maximum      a register where b is larger or NaN: b, else a
//   Ints, load_ints, store_ints, larger, differ   int32; the larger of two, exclusive or
//   Total        a double for each lane: zero(), include(total, a), mean(total, by, multiply)

template <class F>
void max_rows(const float* const* rows, size_t count, size_t n, float* out) {
  for (size_t c = 0; c < n; c += F::kLanes) {
    typename F::T most = F::load(rows[0] + c);
    for (size_t t = 1; t < count; ++t) most = F::maximum(most, F::load(rows[t] + c));
    n - c < F::kLanes ? F::store_some(out + c, most, n - c) : F::store(out + c, most);
  }
}

template <class F>
void max_rows_ints(const int32_t* const* rows, const int32_t* turn, size_t count, size_t n, int32_t* out) {
  size_t c = 0;
  for (; c + F::kLanes <= n; c += F::kLanes) {
    if (turn == nullptr) {
      typename F::Ints most = F::load_ints(rows[0] + c);
      for (size_t t = 1; t < count; ++t) most = F::larger(most, F::load_ints(rows[t] + c));
      F::store_ints(out + c, most);
    } else {
      const typename F::Ints turned = F::load_ints(turn + c);
      typename F::Ints most = F::differ(turned, F::load_ints(rows[0] + c));
      for (size_t t = 1; t < count; ++t) most = F::larger(most, F::differ(turned, F::load_ints(rows[t] + c)));
      F::store_ints(out + c, F::differ(turned, most));
    }
  }
  for (; c < n; ++c) {
    const int32_t turned = turn == nullptr ? 0 : turn[c];
    int32_t most = rows[0][c] ^ turned;
    for (size_t t = 1; t < count; ++t) most = (rows[t][c] ^ turned) > most ? rows[t][c] ^ turned : most;
    out[c] = most ^ turned;
  }
}

void max_rows_bytes(const uint8_t* const* rows, size_t count, size_t n, uint8_t* out) {
  constexpr size_t kBlock = 64;
  size_t c = 0;
  for (; c + kBlock <= n; c += kBlock) {
    uint8_t most[kBlock];
    memcpy(most, rows[0] + c, kBlock);
    for (size_t t = 1; t < count; ++t)
      for (size_t i = 0; i < kBlock; ++i) most[i] = rows[t][c + i] > most[i] ? rows[t][c + i] : most[i];
    memcpy(out + c, most, kBlock);
  }
  for (; c < n; ++c) {
    out[c] = rows[0][c];
    for (size_t t = 1; t < count; ++t) out[c] = rows[t][c] > out[c] ? rows[t][c] : out[c];
  }
}

// Compilers make shuffles of this.
void weave_three(const uint8_t* const* planes, size_t n, uint8_t* out) {
  const uint8_t *first = planes[0], *second = planes[1], *third = planes[2];
  for (size_t i = 0; i < n; ++i) out[3 * i] = first[i], out[3 * i + 1] = second[i], out[3 * i + 2] = third[i];
}

template <class F>
void mean_rows(const float* const* rows, size_t count, double divisor, size_t n, float* out) {
  int exponent;
  const bool multiply = ::frexp(divisor, &exponent) == 0.5;  // by the inverse of a power of 2: as exact
  const double by = multiply ? 1.0 / divisor : divisor;
  for (size_t c = 0; c < n; c += F::kLanes) {
    typename F::Total total = F::zero();
    for (size_t t = 0; t < count; ++t) F::include(total, F::load(rows[t] + c));
    const typename F::T mean = F::mean(total, by, multiply);
    n - c < F::kLanes ? F::store_some(out + c, mean, n - c) : F::store(out + c, mean);
  }
}

void multiply_rows_bytes(const uint8_t* const* rows, const int8_t* const* weights, size_t count, int32_t bias,
                         size_t n, int32_t* out) {
  constexpr size_t kBlock = 16;
  size_t c = 0;
  for (; c + kBlock <= n; c += kBlock) {
    int32_t sums[kBlock] = {};
    for (size_t t = 0; t < count; ++t)
      for (size_t i = 0; i < kBlock; ++i) sums[i] += ((int32_t)rows[t][c + i] - bias) * weights[t][c + i];
    for (size_t i = 0; i < kBlock; ++i) out[c + i] = sums[i];
  }
  for (; c < n; ++c) {
    out[c] = 0;
    for (size_t t = 0; t < count; ++t) out[c] += ((int32_t)rows[t][c] - bias) * weights[t][c];
  }
}

template <class F>
void multiply_rows(const float* const* rows, const float* const* weights, size_t count, const float* start,
                   size_t n, float* out) {
  for (size_t c = 0; c < n; c += F::kLanes) {
    typename F::T sum = F::load(start + c);
    for (size_t t = 0; t < count; ++t)
      sum = F::add(sum, F::multiply(F::load(rows[t] + c), F::load(weights[t] + c)));
    n - c < F::kLanes ? F::store_some(out + c, sum, n - c) : F::store(out + c, sum);
  }
}

template <class F>
constexpr RowKernels row_kernels(void (*chain)(const ChainCall&)) {
  return {chain,        max_rows<F>,      max_rows_ints<F>,    max_rows_bytes,
          mean_rows<F>, multiply_rows<F>, multiply_rows_bytes, weave_three};
}
