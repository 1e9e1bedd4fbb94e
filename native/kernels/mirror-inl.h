// Mirrored products, shared by every instruction set. Included by bitplane-inl.h, whose adders they use with
// the roles of weights and inputs exchanged.

// Bits that counters come in; a layer takes the fewest that hold its longest list.
constexpr size_t kMirrorBits[] = {8, 10, kMostPlaneBits};

// The list of a pattern less that of the opposite one: the bits of the difference - 1 + 2^(kBits-1).
template <class V, int kBits>
SB_INLINE void sum_pattern(const MirrorCall& call, size_t pattern, size_t opposite, typename V::T* sums) {
  const char* planes = (const char*)call.planes;
  typename V::T counter[kBits];
  SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] = V::fill(0);
  add_list<V, kBits>(planes, call.lists + opposite * call.stride + call.begins[opposite],
                     call.lengths[opposite], counter);
  SB_UNROLL for (int bit = 0; bit + 1 < kBits; ++bit) counter[bit] = V::invert(counter[bit]);
  add_list<V, kBits>(planes, call.lists + pattern * call.stride + call.begins[pattern], call.lengths[pattern],
                     counter);
  SB_UNROLL for (int bit = 0; bit < kBits; ++bit) V::store(sums + bit, counter[bit]);
}

// Whether the counts of N positions are large enough, told bit by bit.
template <class V, size_t N>
struct Reached {
  using T = typename V::T;
  const MirrorCall& call;
  size_t first;  // position
  T overflow[N], carry[N];

  SB_INLINE Reached(const MirrorCall& of, size_t from) : call(of), first(from) {
    SB_UNROLL for (size_t j = 0; j < N; ++j) overflow[j] = carry[j] = V::fill(~(uint64_t)0);
  }
  SB_INLINE void operator()(size_t bit, const T* sum) {
    SB_UNROLL for (size_t j = 0; j < N; ++j) {
      const T least = bit < call.least_bits ? V::load((const char*)call.least[first + j] + bit * V::kBytes)
                                            : V::fill(~(uint64_t)0);
      const T start = V::fill(0 - (uint64_t)(call.starts[first + j] >> bit & 1));
      const T from = V::odd(least, start, carry[j]);
      carry[j] = V::most(least, start, carry[j]);
      overflow[j] = V::most(sum[j], from, overflow[j]);
    }
  }
  SB_INLINE void store() const {
    SB_UNROLL for (size_t j = 0; j < N; ++j)
        V::store(call.out[first + j], V::differ(overflow[j], V::load(call.inverted)));
  }
};

// The counts themselves, as far as they are asked for.
template <class V, size_t N>
struct Counted {
  using T = typename V::T;
  const MirrorCall& call;
  size_t first;  // position
  T carry[N];

  SB_INLINE Counted(const MirrorCall& of, size_t from) : call(of), first(from) {
    SB_UNROLL for (T& bits : carry) bits = V::fill(~(uint64_t)0);
  }
  SB_INLINE void operator()(size_t bit, const T* sum) {
    if (bit >= call.count_bits) return;
    SB_UNROLL for (size_t j = 0; j < N; ++j) {
      const T start = V::fill(0 - (uint64_t)(call.starts[first + j] >> bit & 1));
      V::store((char*)call.out[first + j] + bit * V::kBytes, V::odd(sum[j], start, carry[j]));
      carry[j] = V::most(sum[j], start, carry[j]);
    }
  }
  SB_INLINE void store() const {}
};

template <class V, template <class, size_t> class Sink>
void finish_few(const MirrorCall& call, const typename V::T* sums, size_t bits, size_t first) {
  Waiting<V, 4> waiting;
  Sink<V, 4> sink(call, first);
  SignedSums<V, 4> signed_ = signed_sums<V, 4>(sums, bits, waiting);
  each_bit<V, 4>(signed_, bits, sink);
  sink.store();
}

// The first three counts, and the totals that give the last four.
template <class V, template <class, size_t> class Sink>
void finish_many(const MirrorCall& call, const typename V::T* counts, const typename V::T* totals,
                 size_t total_bits) {
  Sink<V, 3> first(call, 0);
  for (size_t bit = 0; bit < total_bits + 3; ++bit) first(bit, counts + bit * 3);
  first.store();
  finish_few<V, Sink>(call, totals, total_bits, 3);
}

template <class V, int kBits>
void run_few(const MirrorCall& call) {
  typename V::T sums[8 * kBits];
  for (size_t q = 0; q < 8; ++q) sum_pattern<V, kBits>(call, q, 15 - q, sums + q * kBits);
  if (call.count_bits == 0)
    finish_few<V, Reached>(call, sums, kBits, 0);
  else
    finish_few<V, Counted>(call, sums, kBits, 0);
}

// Of seven positions: the bits of the first three name a bucket of a block, those of the next three the
// block. A block gives its share of the first three counts, which are added up, and the total of its buckets;
// the totals give the counts of the last four.
template <class V, int kBits>
void run_many(const MirrorCall& call) {
  using T = typename V::T;
  constexpr int kTotalBits = kBits + 3, kCountBits = kTotalBits + 3;
  T sums[8 * kBits], totals[8 * kTotalBits], counts[kCountBits * 3];
  SB_UNROLL for (T& bit : counts) V::store(&bit, V::fill(0));
  Waiting<V, 4> waiting;
  for (size_t block = 0; block < 8; ++block) {
    for (size_t q = 0; q < 8; ++q)
      sum_pattern<V, kBits>(call, block * 8 + q, 127 - block * 8 - q, sums + q * kBits);
    T carry[3] = {V::fill(0), V::fill(0), V::fill(0)};
    T* total = totals + block * kTotalBits;
    auto add = [&](size_t bit, const T* out) {
      SB_UNROLL for (size_t j = 0; j < 3; ++j) {
        const T before = V::load(counts + bit * 3 + j);
        V::store(counts + bit * 3 + j, V::odd(before, out[j], carry[j]));
        carry[j] = V::most(before, out[j], carry[j]);
      }
      V::store(total + bit, out[3]);
    };
    SignedSums<V, 4> signed_ = signed_sums<V, 4>(sums, kBits, waiting);
    each_bit<V, 4>(signed_, kBits, add);
    SB_UNROLL for (int bit = kTotalBits; bit < kCountBits; ++bit) SB_UNROLL for (int j = 0; j < 3; ++j) {
      const T before = V::load(counts + bit * 3 + j);
      V::store(counts + bit * 3 + j, V::differ(before, carry[j]));
      carry[j] = V::both(before, carry[j]);
    }
  }
  if (call.count_bits == 0)
    finish_many<V, Reached>(call, counts, totals, kTotalBits);
  else
    finish_many<V, Counted>(call, counts, totals, kTotalBits);
}

template <class V>
RunMirrored select_mirrored(size_t positions, size_t bits) {
  const bool few = positions == kFewPositions;
  if (bits == kMirrorBits[0]) return few ? run_few<V, (int)kMirrorBits[0]> : run_many<V, (int)kMirrorBits[0]>;
  if (bits == kMirrorBits[1]) return few ? run_few<V, (int)kMirrorBits[1]> : run_many<V, (int)kMirrorBits[1]>;
  return few ? run_few<V, (int)kMirrorBits[2]> : run_many<V, (int)kMirrorBits[2]>;
}

// Bit i of a byte becomes bit 8 i.
constexpr uint64_t spread(uint64_t byte) {
  return ((((byte * 0x0101010101010101u) & 0x8040201008040201u) + 0x7f7f7f7f7f7f7f7fu) >> 7) &
         0x0101010101010101u;
}

// The patterns of 64 channels, a byte each.
template <size_t kPositions>
void read_patterns(const uint64_t* const* rows, size_t word, uint8_t* patterns) {
  for (size_t i = 0; i < 64; i += 8) {
    uint64_t eight = 0;
    for (size_t j = 0; j < kPositions; ++j) eight |= spread(rows[j][word] >> i & 0xff) << j;
    for (size_t k = 0; k < 8; ++k) patterns[i + k] = (uint8_t)(eight >> 8 * k);
  }
}

// One list entry after another, without branches on the pattern.
template <size_t kPositions, void (*kRead)(const uint64_t* const*, size_t, uint8_t*)>
void sort_one_by_one(const SortCall& call) {
  constexpr size_t kPatterns = patterns_of(kPositions);
  const size_t words = (call.channels + 63) / 64;
  uint8_t* patterns = (uint8_t*)call.work;
  uint16_t* ends[kPatterns];
  for (size_t p = 0; p < kPatterns; ++p) ends[p] = call.lists + p * call.stride + call.ends[p];
  for (size_t t = 0; t < call.taps; ++t) {
    for (size_t w = 0; w < words; ++w) kRead(call.rows + t * kPositions, w, patterns + w * 64);
    const size_t first = call.first + t * call.channels;
    for (size_t i = 0; i < call.channels; ++i) *ends[patterns[i]]++ = (uint16_t)(first + i);
  }
  for (size_t p = 0; p < kPatterns; ++p) call.ends[p] = (uint32_t)(ends[p] - (call.lists + p * call.stride));
}
