// Products of ±1 weights with bit-planes, shared by every instruction set. Included inside an anonymous namespace.
//
// A lane is an output position; a plane holds one input bit of every lane. A `Vector` V says how a register of lanes
// is handled:
//   T, kBytes                     the register
//   load, store, fill             aligned memory; every word the same
//   both, differ, invert          a & b, a ^ b, ~a
//   odd, most                     a ^ b ^ c, majority of three
//   odd_not, most_not             the same of (a, ~b, c)

// Adds a bit to the sum bit; the result is the carry.
template <class V>
SB_INLINE typename V::T add_bit(typename V::T& sum, typename V::T x, typename V::T y) {
  const typename V::T carry = V::most(x, y, sum);
  sum = V::odd(x, y, sum);
  return carry;
}

// Adds 2^L planes to the counter bits 0..L-1; the result is the carry of weight 2^L (Harley and Seal).
template <class V, int L>
struct CarrySave {
  static SB_INLINE typename V::T add(const char* planes, const uint16_t* list, typename V::T* counter) {
    const typename V::T x = CarrySave<V, L - 1>::add(planes, list, counter);
    const typename V::T y = CarrySave<V, L - 1>::add(planes, list + (1 << (L - 1)), counter);
    return add_bit<V>(counter[L - 1], x, y);
  }
};

template <class V>
struct CarrySave<V, 0> {
  static SB_INLINE typename V::T add(const char* planes, const uint16_t* list, typename V::T*) {
    return V::load(planes + *list * V::kBytes);
  }
};

// Adds 2^L planes to a counter of kBits, modulo 2^kBits.
template <class V, int kBits, int L>
SB_INLINE void add_planes(const char* planes, const uint16_t* list, typename V::T* counter) {
  if constexpr (L <= kBits) {
    typename V::T carry = CarrySave<V, L>::add(planes, list, counter);
    SB_UNROLL for (int bit = L; bit < kBits; ++bit) {
      const typename V::T next = V::both(counter[bit], carry);
      counter[bit] = V::differ(counter[bit], carry);
      carry = next;
    }
  } else {
    add_planes<V, kBits, L - 1>(planes, list, counter);
    add_planes<V, kBits, L - 1>(planes, list + (1 << (L - 1)), counter);
  }
}

// Lengths are multiples of 8: lists are filled up with the plane of zeros.
template <class V, int kBits>
SB_INLINE const uint16_t* add_list(const char* planes, const uint16_t* list, size_t count, typename V::T* counter) {
  for (; count >= 32; count -= 32, list += 32) add_planes<V, kBits, 5>(planes, list, counter);
  if (count & 16) add_planes<V, kBits, 4>(planes, list, counter), list += 16;
  if (count & 8) add_planes<V, kBits, 3>(planes, list, counter), list += 8;
  return list;
}

// Per bucket q, the kBits bits of C(q) = S(q) - S'(q) - 1 + 2^(kBits-1): subtraction is addition to the inverted
// counter, and leaving the top bit as it is shifts the result from -2^(kBits-1).. to 0...
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

// One bit of an adder whose inputs are kBits + kDepth bits wide. kDrained bits have passed since the sums ended: the
// adder passes on its last carry, and zeros after that.
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
    SB_UNROLL for (int i = 0; i < N / 2; ++i) half[i] = adder<V, kDepth, kDrained>(x[2 * i], x[2 * i + 1], carries[i]);
    return total<V, N / 2, kDepth + 1, kDrained>(half, carries + N / 2);
  }
}

constexpr int network_carries(int values) { return values == 1 ? 0 : values + values / 2 - 1 + network_carries(values / 2); }

// One bit of all signed sums: out[j] = sum over q of C(q), or its complement where bit j of q is set.
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

// The start of each filter's counter, bit by bit: one for all lanes, or one per class of lanes.
template <class V>
struct Starts {
  const uint64_t* words;  // (class, bit, filter), of this group
  size_t class_stride;
  const char* masks;      // (class, lane); null: there is one class
  size_t classes;

  SB_INLINE typename V::T at(size_t index) const {
    if (masks == nullptr) return V::fill(words[index]);
    typename V::T start = V::fill(0);
    for (size_t c = 0; c < classes; ++c)
      start = V::differ(start, V::both(V::load(masks + c * V::kBytes), V::fill(words[c * class_stride + index])));
    return start;
  }
};

template <class V, int G, int kDrained>
SB_INLINE void network_bit(const typename V::T* sums, size_t stride, const Starts<V>& starts, size_t bit,
                           typename V::T* carries, typename V::T* overflow) {
  using T = typename V::T;
  constexpr int N = 1 << (G - 1);
  T x[N], y[G];
  SB_UNROLL for (int q = 0; q < N; ++q) x[q] = kDrained > 0 ? V::fill(0) : V::load(sums + q * stride + bit);
  network<V, N, 0, kDrained>(x, carries, y);
  SB_UNROLL for (int j = 0; j < G; ++j) overflow[j] = V::most(y[j], starts.at(bit * G + j), overflow[j]);
}

template <class V, int G, int kDrained>
SB_INLINE void drain(const Starts<V>& starts, size_t bit, typename V::T* carries, typename V::T* overflow) {
  if constexpr (kDrained < G) {
    network_bit<V, G, kDrained>(nullptr, 0, starts, bit, carries, overflow);
    drain<V, G, kDrained + 1>(starts, bit + 1, carries, overflow);
  }
}

// The output bits of a group: whether start + sum overflows, the start being one short and the first carry set.
template <class V, int G>
void combine(const typename V::T* sums, size_t bits, const Starts<V>& starts, const uint64_t* inverted, char* out) {
  typename V::T carries[network_carries(1 << (G - 1))], overflow[G];
  SB_UNROLL for (int i = 0; i < network_carries(1 << (G - 1)); ++i) carries[i] = V::fill(0);
  SB_UNROLL for (int j = 0; j < G; ++j) overflow[j] = V::fill(~(uint64_t)0);
  for (size_t bit = 0; bit < bits; ++bit) network_bit<V, G, 0>(sums, bits, starts, bit, carries, overflow);
  drain<V, G, 1>(starts, bits, carries, overflow);
  SB_UNROLL for (int j = 0; j < G; ++j) V::store(out + j * V::kBytes, V::differ(overflow[j], V::fill(inverted[j])));
}

template <class V, int G, int kBits>
void run_planes(const PlaneCall& call) {
  constexpr size_t kBuckets = (size_t)1 << (G - 1);
  constexpr size_t kStarts = (kBits + G - 1) * G;
  typename V::T sums[kBuckets * kBits];
  const uint16_t* lists = call.lists;
  char* out = (char*)call.out;
  for (size_t g = 0; g < call.groups; ++g, out += G * V::kBytes) {
    lists = sum_buckets<V, kBits>((const char*)call.planes, lists, kBuckets, sums);
    const Starts<V> starts = {call.starts + g * kStarts, call.class_stride, (const char*)call.masks, call.classes};
    combine<V, G>(sums, kBits, starts, call.inverted + g * G, out);
  }
}
