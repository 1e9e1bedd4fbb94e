// Element-wise loops, written plainly and compiled once per instruction set. Included inside an anonymous
// namespace, after the including file has defined
//   uint64_t less_64(const int32_t* x, const int32_t* invert, const int32_t* cut)
// the 64 bits of (x ^ invert) < cut.

void threshold(const int32_t* x, const int32_t* invert, const int32_t* cut, size_t n, uint64_t* out) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64) out[i / 64] = less_64(x + i, invert + i, cut + i);
  if (i == n) return;
  uint64_t word = 0;
  for (size_t j = i; j < n; ++j) word |= (uint64_t)((x[j] ^ invert[j]) < cut[j]) << (j - i);
  out[i / 64] = word;
}

void sign_two(const float* x, const float* shift, size_t n, uint64_t* high, uint64_t* low) {
  for (size_t i = 0; i < n; i += 64) {
    uint64_t high_word = 0, low_word = 0;
    for (size_t j = i; j < n && j < i + 64; ++j) {
      float value = shift == nullptr ? x[j] : x[j] + shift[j];
      value = value < -1 ? -1.0f : value > 1 ? 1.0f : value;
      const float step = ::rintf((value + 1.0f) * 1.5f);
      high_word |= (uint64_t)(step < 2) << (j - i);
      low_word |= (uint64_t)(step == 0 || step == 2) << (j - i);
    }
    high[i / 64] = high_word;
    low[i / 64] = low_word;
  }
}

void two_levels(const int32_t* x, const float* half, const float* middle, float s, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = half[i] * (float)x[i] + middle[i] * s;
}

void add_ints(const int32_t* a, const int32_t* b, size_t n, int32_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = wrapping_add(a[i], b[i]);
}

void multiply(const float* a, const float* b, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}

void multiply_by(const float* a, float b, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = a[i] * b;
}

void quantize(const float* x, float inverse_step, float zero, float low, float high, size_t n, int32_t* out) {
  for (size_t i = 0; i < n; ++i) {
    const float q = ::rintf(x[i] * inverse_step) + zero;
    const float raised = q > low ? q : low;  // in this order NaN becomes low
    out[i] = (int32_t)(raised < high ? raised : high);
  }
}

void quantize_bytes(const float* x, float inverse_step, float zero, float low, float high, int32_t bias,
                    size_t n, uint8_t* out) {
  for (size_t i = 0; i < n; ++i) {
    const float q = ::rintf(x[i] * inverse_step) + zero;
    const float raised = q > low ? q : low;
    out[i] = (uint8_t)((int32_t)(raised < high ? raised : high) + bias);
  }
}

inline float bits_to_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

inline uint32_t float_to_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// Rounds to half precision, ties to even, without converting: normal numbers by integer arithmetic on the
// last 13 bits, subnormal ones (below 2^-14) by adding and removing 0.5, whose last bit is 2^-24.
void round_float16(float* x, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = float_to_bits(x[i]);
    const uint32_t sign = bits & 0x80000000u, magnitude = bits & 0x7fffffffu;
    const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & ~0x1fffu;
    const uint32_t rounded = normal > 0x477fe000u ? 0x7f800000u : normal;
    const uint32_t small = float_to_bits((bits_to_float(magnitude) + 0.5f) - 0.5f);
    const uint32_t finite = magnitude < 0x38800000u ? small : rounded;
    x[i] = bits_to_float(sign | (magnitude > 0x7f800000u ? magnitude : finite));
  }
}

void round_int16(float* x, float step, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const float quotient = x[i] / step;
    const float raised = quotient < -32767.0f ? -32767.0f : quotient;
    x[i] = ::rintf(raised > 32767.0f ? 32767.0f : raised) * step;
  }
}

void bytes_to_float(const uint8_t* x, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = (float)x[i];
}

void bytes_to_ints(const uint8_t* x, size_t n, int32_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = x[i];
}

void ints_to_float(const int32_t* x, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = (float)x[i];
}

void ints_to_bytes(const int32_t* x, int32_t bias, size_t n, uint8_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = (uint8_t)(x[i] + bias);
}

constexpr KernelTable table(const char* name, Gemm bits, Gemm bytes, Gemm ints, Gemm float32,
                            PlaneTable planes, RowKernels rows) {
  return {name,          bits,          bytes,          ints,          float32,     planes,
          rows,          threshold,     sign_two,       two_levels,    add_ints,    multiply,
          multiply_by,   quantize,      quantize_bytes, round_float16, round_int16, bytes_to_float,
          bytes_to_ints, ints_to_float, ints_to_bytes};
}
