// Sparse products with bit-planes, shared by every instruction set. Included inside an anonymous namespace,
// after adders-inl.h.

constexpr size_t kFetched = 4096;  // entries ahead

// Loops over the bits of a counter are written as recursions: a compiler then keeps the counter in registers
// from one list to the next.

// Adds a carry of weight 2^kBit.
template <class V, int kBits, int kBit>
SB_INLINE void add_carry(typename V::T* counter, typename V::T carry) {
  if constexpr (kBit < kBits) {
    const typename V::T next = V::both(counter[kBit], carry);
    counter[kBit] = V::differ(counter[kBit], carry);
    add_carry<V, kBits, kBit + 1>(counter, next);
  }
}

// The same, with a carry that waits at each of the first bits.
template <class V, int kBits, int kBit>
SB_INLINE void add_carries(typename V::T* counter, typename V::T carry, const typename V::T* waiting) {
  if constexpr (kBit < 5 && kBit < kBits) {
    const typename V::T next = V::most(counter[kBit], carry, waiting[kBit]);
    counter[kBit] = V::odd(counter[kBit], carry, waiting[kBit]);
    add_carries<V, kBits, kBit + 1>(counter, next, waiting);
  } else {
    add_carry<V, kBits, kBit>(counter, carry);
  }
}

// The last planes of a list, fewer than 32 and a multiple of 4, with up to three others: their carries wait
// for one another, and go through the counter together.
template <class V, int kBits, class List>
SB_INLINE void add_rest(const char* planes, List list, size_t count, const char* others, List few,
                        size_t few_count, typename V::T* counter) {
  using T = typename V::T;
  const T zero = V::fill(0);
  T waiting[5] = {zero, zero, zero, zero, zero};
  if (count & 16) waiting[4] = CarrySave<V, 4>::add(planes, list, counter), list += 16;
  if (count & 8) waiting[3] = CarrySave<V, 3>::add(planes, list, counter), list += 8;
  if (count & 4) waiting[2] = CarrySave<V, 2>::add(planes, list, counter);
  if (few_count & 2) waiting[1] = CarrySave<V, 1>::add(others, few, counter), few += 2;
  if (few_count & 1) waiting[0] = CarrySave<V, 0>::add(others, few, counter);
  const T next = V::both(counter[0], waiting[0]);
  counter[0] = V::differ(counter[0], waiting[0]);
  add_carries<V, kBits, 1>(counter, next, waiting);
}

// Lists are read once a tile and wait in a far cache, or in none.
SB_INLINE void fetch(const uint16_t* list) {
#if defined(__GNUC__)
  __builtin_prefetch(list + kFetched);
#else
  (void)list;
#endif
}
SB_INLINE void fetch(TwoLists list) { fetch(list.low), fetch(list.high); }

// A list of planes and a short one of steps. A `fresh` counter is 0: the first carries find their bits empty.
template <class V, int kBits, class List>
SB_INLINE void add_both(const char* planes, List list, size_t count, const char* steps, List step_list,
                        size_t step_count, bool fresh, typename V::T* counter) {
  if (fresh && step_count < 32) {
    if (step_count & 4) counter[2] = CarrySave<V, 2>::add(steps, step_list, counter), step_list += 4;
    if (step_count & 8) counter[3] = CarrySave<V, 3>::add(steps, step_list, counter), step_list += 8;
    if (step_count & 16) counter[4] = CarrySave<V, 4>::add(steps, step_list, counter), step_list += 16;
  } else {
    for (; step_count >= 4; step_count -= 4, step_list += 4)
      add_carry<V, kBits, 2>(counter, CarrySave<V, 2>::add(steps, step_list, counter));
  }
  for (; count >= 32; count -= 32, list += 32) {
    fetch(list);
    add_carry<V, kBits, 5>(counter, CarrySave<V, 5>::add(planes, list, counter));
  }
  fetch(list);
  add_rest<V, kBits>(planes, list, count, steps, step_list, step_count % 4, counter);
}

template <class V, int kBits, int kBit = 0>
SB_INLINE void begin_counter(const SparseCall& call, typename V::T* counter) {
  if constexpr (kBit < kBits) {
    counter[kBit] =
        (size_t)kBit < call.base_bits ? V::load((const char*)call.base + kBit * V::kBytes) : V::fill(0);
    begin_counter<V, kBits, kBit + 1>(call, counter);
  }
}

template <class V, int kBits, int kBit = 0>
SB_INLINE void invert_counter(typename V::T* counter) {
  if constexpr (kBit + 1 < kBits) {
    counter[kBit] = V::invert(counter[kBit]);
    invert_counter<V, kBits, kBit + 1>(counter);
  }
}

// Bit by bit, all ones or zeros.
template <class V>
SB_INLINE typename V::T start_of(const SparseCall& call, size_t filter, int bit) {
  const uint32_t first = call.starts[0][filter];
  typename V::T start = V::fill(0 - (uint64_t)(first >> bit & 1));
  for (size_t c = 1; c < call.classes; ++c) {
    const uint32_t other = first ^ call.starts[c][filter];
    start = V::differ(start, V::both(V::load((const char*)call.masks + (c - 1) * V::kBytes),
                                     V::fill(0 - (uint64_t)(other >> bit & 1))));
  }
  return start;
}

// Whether start + counter overflows, the first carry being set.
template <class V, int kBits, int kBit = 0>
SB_INLINE typename V::T overflow_of(const typename V::T* counter, uint64_t start, typename V::T carry) {
  if constexpr (kBit == kBits)
    return carry;
  else
    return overflow_of<V, kBits, kBit + 1>(counter, start,
                                           V::most(counter[kBit], V::fill(0 - (start >> kBit & 1)), carry));
}

template <class V, int kBits, int kBit = 0>
SB_INLINE typename V::T overflow_of(const SparseCall& call, size_t filter, const typename V::T* counter,
                                    typename V::T carry) {
  if constexpr (kBit == kBits)
    return carry;
  else
    return overflow_of<V, kBits, kBit + 1>(call, filter, counter,
                                           V::most(counter[kBit], start_of<V>(call, filter, kBit), carry));
}

template <class V, int kBits>
SB_INLINE void compare_counter(const SparseCall& call, size_t filter, const typename V::T* counter) {
  const typename V::T ones = V::fill(~(uint64_t)0);
  const typename V::T overflow = call.classes == 1
                                     ? overflow_of<V, kBits>(counter, call.starts[0][filter], ones)
                                     : overflow_of<V, kBits>(call, filter, counter, ones);
  V::store((char*)call.out + call.places[filter] * V::kBytes,
           V::differ(overflow, V::fill(0 - (uint64_t)call.inverted[filter])));
}

template <class V, int kBits, int kBit = 0>
SB_INLINE void store_counter(const typename V::T* counter, typename V::T inverted, char* out) {
  if constexpr (kBit < kBits) {
    V::store(out + kBit * V::kBytes, V::differ(counter[kBit], inverted));
    store_counter<V, kBits, kBit + 1>(counter, inverted, out);
  }
}

template <class V, int kBits>
SB_INLINE void store_counter(const SparseCall& call, size_t filter, const typename V::T* counter) {
  char* out = (char*)call.out + call.places[filter] * kCountRows * V::kBytes;
  store_counter<V, kBits>(counter, V::fill(0 - (uint64_t)call.inverted[filter]), out);
  for (size_t bit = kBits; bit < call.count_bits; ++bit) V::store(out + bit * V::kBytes, V::fill(0));
}

template <class V, int kBits>
SB_INLINE void finish_counter(const SparseCall& call, size_t filter, const typename V::T* counter) {
  call.counts ? store_counter<V, kBits>(call, filter, counter)
              : compare_counter<V, kBits>(call, filter, counter);
}

template <class V, int kBits, class List>
SB_INLINE void count_listed(const SparseCall& call, List list, List step_list, typename V::T* counter) {
  const bool subtracts = call.subtracted + call.falls > 0, fresh = call.base_bits == 0;
  const char *planes = (const char*)call.planes, *steps = (const char*)call.steps;
  begin_counter<V, kBits>(call, counter);
  if (subtracts) {
    add_both<V, kBits>(planes, list, call.subtracted, steps, step_list, call.falls, fresh, counter);
    invert_counter<V, kBits>(counter);
    list += call.subtracted, step_list += call.falls;
  }
  add_both<V, kBits>(planes, list, call.added, steps, step_list, call.rises, fresh && !subtracts, counter);
}

// Lanes that fill half a register are counted for two filters at a time.
template <class V, int kBits>
void run_sparse(const SparseCall& call) {
  const size_t length = call.subtracted + call.added, step_length = call.falls + call.rises;
  const uint16_t *list = call.lists, *steps = call.step_lists;
  if constexpr (requires { typename V::Pair; }) {
    using Pair = typename V::Pair;
    for (size_t f = 0; f < call.filters; f += 2) {
      const size_t more = f + 1 < call.filters ? 1 : 0;
      typename V::T counter[kBits];
      count_listed<Pair, kBits>(call, TwoLists{list, list + more * length},
                                TwoLists{steps, steps + more * step_length}, counter);
      list += 2 * length, steps += 2 * step_length;
      finish_counter<V, kBits>(call, f, counter);
      if (more == 0) break;
      SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] = Pair::high(counter[bit]);
      finish_counter<V, kBits>(call, f + 1, counter);
    }
  } else {
    for (size_t f = 0; f < call.filters; ++f, list += length, steps += step_length) {
      typename V::T counter[kBits];
      count_listed<V, kBits>(call, list, steps, counter);
      finish_counter<V, kBits>(call, f, counter);
    }
  }
}

// Counters come in few sizes.
template <class V>
RunSparse select_sparse(size_t bits) {
  switch (bits) {
    case 5:
      return run_sparse<V, 5>;
    case 6:
      return run_sparse<V, 6>;
    case 7:
      return run_sparse<V, 7>;
    case 8:
      return run_sparse<V, 8>;
    case 9:
      return run_sparse<V, 9>;
    case 11:
      return run_sparse<V, 11>;
  }
  return run_sparse<V, (int)kMostPlaneBits>;
}

// Adds 2^L rows, one after another.
template <class V, int L>
struct RowSum {
  static SB_INLINE typename V::T add(const uint64_t* rows, size_t stride, typename V::T* counter) {
    const typename V::T x = RowSum<V, L - 1>::add(rows, stride, counter);
    const typename V::T y = RowSum<V, L - 1>::add(rows + (stride << (L - 1)), stride, counter);
    return add_bit<V>(counter[L - 1], x, y);
  }
};

template <class V>
struct RowSum<V, 0> {
  static SB_INLINE typename V::T add(const uint64_t* rows, size_t, typename V::T*) {
    return V::load_from(rows);
  }
};

template <class V, int kBits, int L>
SB_INLINE void add_rows(const uint64_t* rows, size_t stride, typename V::T* counter) {
  typename V::T carry = RowSum<V, L>::add(rows, stride, counter);
  SB_UNROLL for (int bit = L; bit < kBits; ++bit) {
    const typename V::T next = V::both(counter[bit], carry);
    counter[bit] = V::differ(counter[bit], carry);
    carry = next;
  }
}

template <class V, int kBits>
void sum_rows_of(const TotalCall& call) {
  constexpr size_t kWords = V::kBytes / sizeof(uint64_t);
  for (size_t word = 0; word < call.words; word += kWords) {
    const uint64_t* rows = call.rows + word;
    typename V::T counter[kBits];
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] = V::fill(0);
    size_t left = call.count;
    for (; left >= 32; left -= 32, rows += 32 * call.stride)
      add_rows<V, kBits, 5>(rows, call.stride, counter);
    for (; left >= 4; left -= 4, rows += 4 * call.stride) add_rows<V, kBits, 2>(rows, call.stride, counter);
    for (; left > 0; --left, rows += call.stride) add_rows<V, kBits, 0>(rows, call.stride, counter);
    for (size_t bit = 0; bit < call.bits; ++bit)
      V::store_to(call.out + bit * call.out_stride + word, counter[bit]);
  }
}

template <class V>
void sum_rows(const TotalCall& call) {
  constexpr int kFew = 8;
  call.bits <= (size_t)kFew ? sum_rows_of<V, kFew>(call) : sum_rows_of<V, (int)kMostTotalBits>(call);
}

template <class V>
void add_tap(const TapCall& call) {
  constexpr size_t kWords = V::kBytes / sizeof(uint64_t);
  const typename V::T valid = V::load_from(call.valid);
  const uint64_t* source = call.source + call.offset / 64;
  typename V::T carry = V::fill(0);
  uint64_t* out = call.out;
  for (size_t bit = 0; bit < call.out_bits; ++bit, source += call.source_stride, out += kWords) {
    typename V::T x = V::fill(0);
    if (bit < call.bits)
      x = V::choose(valid, V::funnel(V::load_from(source), V::load_from(source + 1), call.offset % 64),
                    V::fill(0 - (uint64_t)(call.fill >> bit & 1)));
    const typename V::T sum = V::load(out);
    V::store(out, V::odd(sum, x, carry));
    carry = V::most(sum, x, carry);
  }
}

// Totals of eight neighbouring values share the comparison of all but three bits.
template <class V>
void step_planes(const StepCall& call) {
  using T = typename V::T;
  const char* totals = (const char*)call.totals;
  const T zero = V::fill(0), ones = V::fill(~(uint64_t)0);
  T low[3], below[8];
  SB_UNROLL for (size_t bit = 0; bit < 3; ++bit) low[bit] = V::load(totals + bit * V::kBytes);
  SB_UNROLL for (size_t value = 1; value < 8; ++value) {
    T borrow = zero;
    SB_UNROLL for (size_t bit = 0; bit < 3; ++bit) borrow =
        V::most(V::invert(low[bit]), value >> bit & 1 ? ones : zero, borrow);
    below[value] = borrow;
  }
  T less = zero;  // than the first of the eight
  for (size_t bit = 3; bit < call.bits; ++bit)
    less = V::most(V::invert(V::load(totals + bit * V::kBytes)),
                   V::fill(0 - (uint64_t)(call.first >> bit & 1)), less);
  char* out = (char*)call.out;
  for (size_t done = 0; done < call.count; done += 8, out += 8 * V::kBytes) {
    T same = ones;
    for (size_t bit = 3; bit < call.bits; ++bit)
      same = V::both(same, V::differ(V::load(totals + bit * V::kBytes),
                                     V::fill(((call.first + done) >> bit & 1) - (uint64_t)1)));
    SB_UNROLL for (size_t value = 1; value < 8; ++value)
        V::store(out + (value - 1) * V::kBytes, V::choose(same, below[value], less));
    less = V::choose(same, ones, less);
    V::store(out + 7 * V::kBytes, less);
  }
}

template <class V>
constexpr SparseWidth kSparseWidth = {select_sparse<V>, shift_planes<V>, sum_rows<V>, add_tap<V>,
                                      step_planes<V>};
