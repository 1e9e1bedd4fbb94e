// Products of ±1 weights with bit-planes, shared by every instruction set. Included inside an anonymous
// namespace, after adders-inl.h, whose `Vector` V says how a register of lanes is handled.

// Lengths are multiples of 8: lists are filled up with the plane of zeros.
template <class V, int kBits>
SB_INLINE const uint16_t* add_list(const char* planes, const uint16_t* list, size_t count,
                                   typename V::T* counter) {
  for (; count >= 32; count -= 32, list += 32) add_planes<V, kBits, 5>(planes, list, counter);
  if (count & 16) add_planes<V, kBits, 4>(planes, list, counter), list += 16;
  if (count & 8) add_planes<V, kBits, 3>(planes, list, counter), list += 8;
  return list;
}

// Per bucket q, the kBits bits of C(q) = S(q) - S'(q) - 1 + 2^(kBits-1): subtraction is addition to the
// inverted counter, and leaving the top bit as it is shifts the result from -2^(kBits-1).. to 0...
template <class V, int kBits>
const uint16_t* sum_buckets(const char* planes, const uint16_t* lists, size_t buckets, typename V::T* sums) {
  using T = typename V::T;
  for (size_t q = 0; q < buckets; ++q, sums += kBits) {
    const size_t subtracted = lists[0], added = lists[1];
    lists += 2;
    T counter[kBits];
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] = V::fill(0);
    lists = add_list<V, kBits>(planes, lists, subtracted, counter);
    SB_UNROLL for (int bit = 0; bit + 1 < kBits; ++bit) counter[bit] = V::invert(counter[bit]);
    lists = add_list<V, kBits>(planes, lists, added, counter);
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) V::store(sums + bit, counter[bit]);
  }
  return lists;
}

// One bit of an adder whose inputs are kBits + kDepth bits wide. kDrained bits have passed since the sums
// ended: the adder passes on its last carry, and zeros after that.
template <class V, int kDepth, int kDrained, bool kInvert = false>
SB_INLINE typename V::T adder(typename V::T x, typename V::T y, typename V::T& carry) {
  using T = typename V::T;
  const T before = carry;
  if constexpr (kDrained > kDepth + 1) return V::fill(0);
  if constexpr (kDrained == kDepth + 1) return before;
  carry = kInvert ? V::most_not(x, y, before) : V::most(x, y, before);
  return kInvert ? V::odd_not(x, y, before) : V::odd(x, y, before);
}

// The sum of N values, as a tree of adders; `carries` N - 1.
template <class V, int N, int kDepth, int kDrained>
SB_INLINE typename V::T total(const typename V::T* x, typename V::T* carries) {
  if constexpr (N == 1) {
    return x[0];
  } else {
    typename V::T half[N / 2];
    SB_UNROLL for (int i = 0; i < N / 2; ++i) half[i] =
        adder<V, kDepth, kDrained>(x[2 * i], x[2 * i + 1], carries[i]);
    return total<V, N / 2, kDepth + 1, kDrained>(half, carries + N / 2);
  }
}

constexpr int network_carries(int values) {
  return values == 1 ? 0 : values + values / 2 - 1 + network_carries(values / 2);
}

// One bit of all signed sums: out[j] = sum over q of C(q), or its complement where bit j of q is set; the
// last has no complements.
template <class V, int N, int kDepth, int kDrained>
SB_INLINE void network(const typename V::T* x, typename V::T* carries, typename V::T* out) {
  if constexpr (N == 1) {
    *out = x[0];
  } else {
    typename V::T sum[N / 2], difference[N / 2];
    SB_UNROLL for (int i = 0; i < N / 2; ++i) {
      sum[i] = adder<V, kDepth, kDrained>(x[2 * i], x[2 * i + 1], carries[2 * i]);
      difference[i] = adder<V, kDepth, kDrained, true>(x[2 * i], x[2 * i + 1], carries[2 * i + 1]);
    }
    *out = total<V, N / 2, kDepth + 1, kDrained>(difference, carries + N);
    network<V, N / 2, kDepth + 1, kDrained>(sum, carries + N + N / 2 - 1, out + 1);
  }
}

// The G signed sums of 2^(G-1) buckets, a bit at a time. Up to eight buckets fit the registers; of more, the
// first half is summed beforehand, and waits in `first`.
template <class V, int G>
struct SignedSums {
  using T = typename V::T;
  const T* first;  // (bit, G - 1)
  SignedSums<V, G - 1> second;
  T carries[G];

  template <int kDrained>
  SB_INLINE void next(size_t bit, T* out) {
    T half[G - 1];
    second.template next<kDrained>(bit, half);
    T before[G - 1];
    SB_UNROLL for (int j = 0; j < G - 1; ++j) before[j] =
        kDrained < G - 1 ? V::load(first + bit * (G - 1) + j) : V::fill(0);
    SB_UNROLL for (int j = 0; j < G - 2; ++j) out[j] =
        adder<V, G - 2, kDrained>(before[j], half[j], carries[j]);
    out[G - 2] = adder<V, G - 2, kDrained, true>(before[G - 2], half[G - 2], carries[G - 2]);
    out[G - 1] = adder<V, G - 2, kDrained>(before[G - 2], half[G - 2], carries[G - 1]);
  }
};

template <class V>
struct SignedSums<V, 4> {
  using T = typename V::T;
  const T* sums;  // (bucket, bit)
  size_t bits;
  T carries[network_carries(8)];

  template <int kDrained>
  SB_INLINE void next(size_t bit, T* out) {
    T x[8];
    SB_UNROLL for (int q = 0; q < 8; ++q) x[q] = kDrained > 0 ? V::fill(0) : V::load(sums + q * bits + bit);
    network<V, 8, 0, kDrained>(x, carries, out);
  }
};

template <class V, int kDrained, int G, class Sink>
SB_INLINE void drain(SignedSums<V, G>& sums, size_t bit, Sink& sink) {
  if constexpr (kDrained < G) {
    typename V::T out[G];
    sums.template next<kDrained>(bit, out);
    sink(bit, out);
    drain<V, kDrained + 1>(sums, bit + 1, sink);
  }
}

// Calls sink(bit, out) for every bit of the signed sums.
template <class V, int G, class Sink>
SB_INLINE void each_bit(SignedSums<V, G>& sums, size_t bits, Sink& sink) {
  for (size_t bit = 0; bit < bits; ++bit) {
    typename V::T out[G];
    sums.template next<0>(bit, out);
    sink(bit, out);
  }
  drain<V, 1>(sums, bits, sink);
}

template <class V, int G>
struct Waiting {
  typename V::T bits[(kMostPlaneBits + G - 2) * (G - 1)];
  Waiting<V, G - 1> second;
};

template <class V>
struct Waiting<V, 4> {};

template <class V, int G>
SB_INLINE SignedSums<V, G> signed_sums(const typename V::T* sums, size_t bits, Waiting<V, G>& waiting) {
  SignedSums<V, G> result;
  if constexpr (G == 4) {
    result.sums = sums, result.bits = bits;
    SB_UNROLL for (typename V::T& carry : result.carries) carry = V::fill(0);
  } else {
    typename V::T* first = waiting.bits;
    auto keep = [first](size_t bit, const typename V::T* out) {
      SB_UNROLL for (int j = 0; j < G - 1; ++j) V::store(first + bit * (G - 1) + j, out[j]);
    };
    SignedSums<V, G - 1> half = signed_sums<V, G - 1>(sums, bits, waiting.second);
    each_bit<V, G - 1>(half, bits, keep);
    result.first = first;
    result.second = signed_sums<V, G - 1>(sums + ((size_t)1 << (G - 2)) * bits, bits, waiting.second);
    SB_UNROLL for (int j = 0; j < G; ++j) result.carries[j] = V::fill(0);
  }
  return result;
}

// The start of each filter's counter, bit by bit.
template <class V>
SB_INLINE typename V::T start_bit(const PlaneCall& call, size_t index) {
  typename V::T start = V::fill(call.starts[index]);
  for (size_t c = 0; c < call.classes; ++c)
    start = V::differ(
        start, V::both(V::load((const char*)call.masks + c * V::kBytes), V::fill(call.differing[c][index])));
  return start;
}

// The output bits of a group: whether start + sum overflows, the start being one short and the first carry
// set.
template <class V, int G, bool kClasses>
SB_INLINE void combine(const PlaneCall& call, size_t group, const typename V::T* sums, size_t bits) {
  using T = typename V::T;
  Waiting<V, G> waiting;
  T overflow[G];
  SB_UNROLL for (int j = 0; j < G; ++j) overflow[j] = V::fill(~(uint64_t)0);
  const size_t first = group * (bits + G - 1) * G;
  auto compare = [&](size_t bit, const T* sum) {
    SB_UNROLL for (int j = 0; j < G; ++j) {
      const size_t index = first + bit * G + j;
      overflow[j] =
          V::most(sum[j], kClasses ? start_bit<V>(call, index) : V::fill(call.starts[index]), overflow[j]);
    }
  };
  SignedSums<V, G> signed_ = signed_sums<V, G>(sums, bits, waiting);
  each_bit<V, G>(signed_, bits, compare);
  SB_UNROLL for (int j = 0; j < G; ++j) {
    const size_t filter = group * G + j;
    V::store((char*)call.out + filter * V::kBytes, V::differ(overflow[j], V::fill(call.inverted[filter])));
  }
}

// The numbers themselves: start + sum, with the same first carry, modulo their width.
template <class V, int G>
SB_INLINE void store_counts(const PlaneCall& call, size_t group, const typename V::T* sums, size_t bits) {
  using T = typename V::T;
  Waiting<V, G> waiting;
  T carry[G];
  SB_UNROLL for (int j = 0; j < G; ++j) carry[j] = V::fill(~(uint64_t)0);
  const size_t first = group * (bits + G - 1) * G;
  char* out = (char*)call.out + group * G * kCountRows * V::kBytes;
  auto add = [&](size_t bit, const T* sum) {
    SB_UNROLL for (int j = 0; j < G; ++j) {
      const T start = V::fill(call.starts[first + bit * G + j]);
      V::store(out + (j * kCountRows + bit) * V::kBytes, V::odd(sum[j], start, carry[j]));
      carry[j] = V::most(sum[j], start, carry[j]);
    }
  };
  SignedSums<V, G> signed_ = signed_sums<V, G>(sums, bits, waiting);
  each_bit<V, G>(signed_, bits, add);
}

template <class V, int G>
void combine_group(const PlaneCall& call, size_t group, const typename V::T* sums, size_t bits) {
  if (call.counts)
    store_counts<V, G>(call, group, sums, bits);
  else if (call.classes == 0)
    combine<V, G, false>(call, group, sums, bits);
  else
    combine<V, G, true>(call, group, sums, bits);
}

template <class V, int G, int kBits>
void run_planes(const PlaneCall& call) {
  constexpr size_t kBuckets = (size_t)1 << (G - 1);
  typename V::T sums[kBuckets * kBits];
  const uint16_t* lists = call.lists;
  for (size_t group = 0; group < call.groups; ++group) {
    lists = sum_buckets<V, kBits>((const char*)call.planes, lists, kBuckets, sums);
    combine_group<V, G>(call, group, sums, kBits);
  }
}

template <class V, size_t kBits = kLeastPlaneBits>
RunPlanes select_planes(size_t filters, size_t bits) {
  if constexpr (kBits > kMostPlaneBits) {
    return nullptr;
  } else {
    if (bits != kBits) return select_planes<V, kBits + 1>(filters, bits);
    return filters == 4 ? run_planes<V, 4, kBits> : run_planes<V, 5, kBits>;
  }
}

#include "kernels/lists-inl.h"
#include "kernels/mirror-inl.h"
#include "kernels/taps-inl.h"

template <class V>
constexpr PlaneWidth plane_width(void (*spread)(const uint64_t*, size_t, uint64_t*),
                                 void (*spread_row)(const uint64_t*, size_t, uint64_t*), PlaneCosts costs) {
  return {costs, 8 * V::kBytes, select_planes<V>, spread, spread_row, select_mirrored<V>};
}
