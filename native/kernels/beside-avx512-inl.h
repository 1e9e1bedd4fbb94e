// Filters side by side, their planes picked by vpermi2w. Included inside an anonymous namespace, after
// immintrin.h.

#include "kernels/adders-inl.h"
#include "kernels/registers-avx512-inl.h"
#include "kernels/shift-inl.h"
#include "kernels/sparse-inl.h"
#include "kernels/spread-inl.h"

struct Windows {
  const uint16_t* begins;
  const uint8_t* picks;
  SB_INLINE Windows operator+(size_t count) const { return {begins + count, picks + count * kWindowBytes}; }
  SB_INLINE Windows& operator+=(size_t count) { return *this = *this + count; }
};

// Adds the steps of 2^(L - 2) windows to the counter bits 0..L-1; the result is the carry of weight 2^L. Only
// six bits of a pick are read, so that two share 16 bits.
template <int L>
SB_INLINE __m512i add_windows(const uint16_t* planes, Windows list, __m512i* counter) {
  using V = Lanes512;
  if constexpr (L == 2) {
    const uint16_t* window = planes + *list.begins;
    const __m512i low = V::load_from(window), high = V::load_from(window + kWindowPlanes / 2);
    __m512i carries[2];
    SB_UNROLL for (int i = 0; i < 2; ++i) {
      const __m512i picks = V::load(list.picks + i * V::kBytes);
      const __m512i x = _mm512_permutex2var_epi16(low, picks, high);
      const __m512i y = _mm512_permutex2var_epi16(low, _mm512_srli_epi16(picks, 8), high);
      carries[i] = add_bit<V>(counter[0], x, y);
    }
    return add_bit<V>(counter[1], carries[0], carries[1]);
  } else {
    const __m512i x = add_windows<L - 1>(planes, list, counter);
    const __m512i y = add_windows<L - 1>(planes, list + ((size_t)1 << (L - 3)), counter);
    return add_bit<V>(counter[L - 1], x, y);
  }
}

template <int kBits>
SB_INLINE void add_all_windows(const uint16_t* planes, Windows list, size_t count, __m512i* counter) {
  using V = Lanes512;
  for (; count >= 8; count -= 8, list += 8)
    add_carry<V, kBits, 5>(counter, add_windows<5>(planes, list, counter));
  const __m512i zero = V::fill(0);
  __m512i waiting[5] = {zero, zero, zero, zero, zero};
  if (count & 4) waiting[4] = add_windows<4>(planes, list, counter), list += 4;
  if (count & 2) waiting[3] = add_windows<3>(planes, list, counter), list += 2;
  if (count & 1) waiting[2] = add_windows<2>(planes, list, counter);
  add_carries<V, kBits, 2>(counter, zero, waiting);
}

// Of the bytes of 16 positions, filter 8 q + i in the quarter q of register i: those of 32 filters, position
// 2 i and then 2 i + 1 in register i.
SB_INLINE void turn_beside(const __m512i* numbers, __m512i* out) {
  using V = Lanes512;
  const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
  __m512i pairs[8], quads[8];
  SB_UNROLL for (int i = 0; i < 4; ++i) {
    pairs[i] = V::low_bytes(numbers[2 * i], numbers[2 * i + 1]);
    pairs[4 + i] = V::high_bytes(numbers[2 * i], numbers[2 * i + 1]);
  }
  SB_UNROLL for (int h = 0; h < 2; ++h) SB_UNROLL for (int i = 0; i < 2; ++i) {
    quads[4 * h + i] = V::low_shorts(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
    quads[4 * h + 2 + i] = V::high_shorts(pairs[4 * h + 2 * i], pairs[4 * h + 2 * i + 1]);
  }
  SB_UNROLL for (int i = 0; i < 4; ++i) {
    out[2 * i] = _mm512_permutexvar_epi64(order, V::low_ints(quads[2 * i], quads[2 * i + 1]));
    out[2 * i + 1] = _mm512_permutexvar_epi64(order, V::high_ints(quads[2 * i], quads[2 * i + 1]));
  }
}

inline void store_beside(const char* rows, size_t bits, const BesideCall& call) {
  __m512i numbers[8], low[8], high[8];
  spread_bytes<Lanes512>(rows, 0, bits, numbers);
  turn_beside(numbers, low);
  if (call.shorts) {
    spread_bytes<Lanes512>(rows, 8, bits, numbers);
    turn_beside(numbers, high);
  }
  const auto half = [](__m512i both, int which) {
    return which == 0 ? _mm512_castsi512_si256(both) : _mm512_extracti64x4_epi64(both, 1);
  };
  SB_UNROLL for (int i = 0; i < (int)kBesideLanes; ++i) {
    uint8_t* out = call.out + i * call.stride;
    const __m256i bytes = half(low[i / 2], i % 2);
    if (!call.shorts) {
      _mm256_storeu_si256((__m256i*)out, bytes);
      continue;
    }
    const __m512i more = _mm512_cvtepu8_epi16(half(high[i / 2], i % 2));
    _mm512_storeu_si512(out, _mm512_or_si512(_mm512_cvtepu8_epi16(bytes), _mm512_slli_epi16(more, 8)));
  }
}

template <int kBits>
void run_beside(const BesideCall& call) {
  using V = Lanes512;
  Windows list = {call.begins, call.picks};
  __m512i counter[kBits];
  SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] = V::fill(0);
  if (call.subtracted > 0) {
    add_all_windows<kBits>(call.planes, list, call.subtracted, counter);
    invert_counter<V, kBits>(counter);
    list += call.subtracted;
  }
  add_all_windows<kBits>(call.planes, list, call.added, counter);
  const __m512i inverted = _mm512_movm_epi16(call.inverted);
  alignas(64) char rows[kBits * V::kBytes];
  SB_UNROLL for (int bit = 0; bit < kBits; ++bit)
      V::store(rows + bit * V::kBytes, V::differ(counter[bit], inverted));
  store_beside(rows, kBits, call);
}

RunBeside select_beside(size_t bits) {
  switch (bits) {
    case 5:
      return run_beside<5>;
    case 6:
      return run_beside<6>;
    case 7:
      return run_beside<7>;
    case 8:
      return run_beside<8>;
    case 9:
      return run_beside<9>;
    case 11:
      return run_beside<11>;
  }
  return run_beside<(int)kMostPlaneBits>;
}

void narrow_planes(const NarrowCall& call) {
  constexpr size_t kInputs = kWindowPlanes - 1;
  const __m512i shift = _mm512_set1_epi64((long long)(call.part * kBesideLanes));
  uint16_t* out = call.out;
  for (size_t k = 0; k < call.inputs; k += kInputs, out += kWindowPlanes) {
    SB_UNROLL for (size_t i = 0; i < kWindowPlanes; i += 8) {
      const __m512i planes = _mm512_srlv_epi64(_mm512_loadu_si512(call.planes + k + i), shift);
      _mm_storeu_si128((__m128i*)(out + i), _mm512_cvtepi64_epi16(planes));
    }
    out[kInputs] = 0;
  }
}

// Eight channels at a time.
template <size_t kParts>
void narrow_channels(const NarrowTapsCall& call) {
  const __m512i fill = _mm512_set1_epi64((long long)call.fill);
  const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0),
                odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
  for (size_t c = 0; c < call.channels; c += 8) {
    const __m512i a = _mm512_loadu_si512(call.sources + 2 * c),
                  b = _mm512_loadu_si512(call.sources + 2 * c + 8);
    const __m512i low = _mm512_permutex2var_epi64(a, even, b), high = _mm512_permutex2var_epi64(a, odd, b);
    const __mmask8 there = (__mmask8)(call.channels - c < 8 ? (1u << (call.channels - c)) - 1 : 0xffu);
    uint16_t* out = call.work + c;
    for (size_t t = 0; t < call.taps; ++t, out += call.channels) {
      const __m512i moved = _mm512_shrdv_epi64(low, high, _mm512_set1_epi64((long long)call.offsets[t]));
      const __m512i planes = Lanes512::choose(_mm512_set1_epi64((long long)call.valid[t]), moved, fill);
      SB_UNROLL for (size_t part = 0; part < kParts; ++part) _mm_mask_storeu_epi16(
          out + part * call.taps * call.channels, there,
          _mm512_cvtepi64_epi16(_mm512_srli_epi64(planes, (unsigned)(part * kBesideLanes))));
    }
  }
}

inline void narrow_taps(const NarrowTapsCall& call) {
  constexpr size_t kInputs = kWindowPlanes - 1;
  const size_t inputs = call.taps * call.channels;
  switch (call.parts) {
    case 1:
      narrow_channels<1>(call);
      break;
    case 2:
      narrow_channels<2>(call);
      break;
    case 3:
      narrow_channels<3>(call);
      break;
    default:
      narrow_channels<4>(call);
  }
  for (size_t part = 0; part < call.parts; ++part) {
    const uint16_t* in = call.work + part * inputs;
    uint16_t* out = call.out + part * call.out_stride;
    for (size_t k = 0; k < inputs; k += kInputs, in += kInputs, out += kWindowPlanes) {
      _mm512_storeu_si512(out, _mm512_loadu_si512(in));
      _mm512_storeu_si512(out + 32, _mm512_loadu_si512(in + 32));
      out[kInputs] = 0;
    }
  }
}

constexpr BesideKernels kBeside = {.narrow = narrow_planes,
                                   .narrow_taps = narrow_taps,
                                   .select = select_beside,
                                   .narrow_cost = 0.1f,
                                   .taps_cost = 0.3f,
                                   .window_cost = 4.2f,
                                   .group_cost = 60};
