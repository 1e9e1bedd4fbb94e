// Sparse products with bit-planes, shared by every instruction set. Included inside an anonymous namespace,
// after adders-inl.h.

// The counter after the last planes of a list, fewer than 32: their carries wait for one another, and go
// through the counter together.
template <class V, int kBits>
SB_INLINE void add_rest(const char* planes, const uint16_t* list, size_t count, typename V::T* counter) {
  using T = typename V::T;
  const T zero = V::fill(0);
  T waiting[5] = {zero, zero, zero, zero, zero};
  if (count & 16) waiting[4] = CarrySave<V, 4>::add(planes, list, counter), list += 16;
  if (count & 8) waiting[3] = CarrySave<V, 3>::add(planes, list, counter), list += 8;
  if (count & 4) waiting[2] = CarrySave<V, 2>::add(planes, list, counter), list += 4;
  if (count & 2) waiting[1] = CarrySave<V, 1>::add(planes, list, counter), list += 2;
  if (count & 1) waiting[0] = CarrySave<V, 0>::add(planes, list, counter);
  T carry = waiting[0];
  SB_UNROLL for (int bit = 0; bit < kBits; ++bit) {
    T next;
    if (bit > 0 && bit < 5) {
      next = V::most(counter[bit], carry, waiting[bit]);
      counter[bit] = V::odd(counter[bit], carry, waiting[bit]);
    } else {
      next = V::both(counter[bit], carry);
      counter[bit] = V::differ(counter[bit], carry);
    }
    carry = next;
  }
}

template <class V, int kBits>
SB_INLINE void add_any(const char* planes, const uint16_t* list, size_t count, typename V::T* counter) {
  for (; count >= 32; count -= 32, list += 32) add_planes<V, kBits, 5>(planes, list, counter);
  if (count > 0) add_rest<V, kBits>(planes, list, count, counter);
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

template <class V, int kBits>
SB_INLINE void compare_counter(const SparseCall& call, size_t filter, const typename V::T* counter) {
  typename V::T overflow = V::fill(~(uint64_t)0);
  if (call.classes == 1) {
    const uint64_t start = call.starts[0][filter];
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) overflow =
        V::most(counter[bit], V::fill(0 - (start >> bit & 1)), overflow);
  } else {
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) overflow =
        V::most(counter[bit], start_of<V>(call, filter, bit), overflow);
  }
  overflow = V::differ(overflow, V::fill(0 - (uint64_t)call.inverted[filter]));
  V::store((char*)call.out + call.places[filter] * V::kBytes, overflow);
}

// The counts that a chain takes, whose sums are base - 2 count.
template <class V, int kBits>
SB_INLINE void store_counter(const SparseCall& call, size_t filter, const typename V::T* counter) {
  using T = typename V::T;
  char* out = (char*)call.out + call.places[filter] * kCountRows * V::kBytes;
  const T turned = V::fill(0 - (uint64_t)call.inverted[filter]), zero = V::fill(0);
  if (call.totals == nullptr) {
    V::store(out, zero);
    for (size_t bit = 1; bit < call.count_bits; ++bit)
      V::store(out + bit * V::kBytes, bit <= (size_t)kBits ? V::invert(counter[bit - 1]) : zero);
    return;
  }
  const T other = V::invert(turned);
  T carry = zero;
  for (size_t bit = 0; bit < call.count_bits; ++bit) {
    const T total = V::differ(V::load((const char*)call.totals + bit * V::kBytes), turned);
    const T twice = bit == 0 || bit > (size_t)kBits ? zero : V::differ(counter[bit - 1], other);
    V::store(out + bit * V::kBytes, V::odd(total, twice, carry));
    carry = V::most(total, twice, carry);
  }
}

template <class V, int kBits>
void run_sparse(const SparseCall& call) {
  using T = typename V::T;
  const bool subtracts = call.subtracted + call.falls > 0;
  const void* const planes[4] = {call.planes, call.steps, call.planes, call.steps};
  const size_t counts[4] = {call.subtracted, call.falls, call.added, call.rises};
  const uint16_t *list = call.lists, *step_list = call.step_lists;
  for (size_t f = 0; f < call.filters; ++f) {
    T counter[kBits];
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] =
        (size_t)bit < call.base_bits ? V::load((const char*)call.base + bit * V::kBytes) : V::fill(0);
    for (size_t part = 0; part < 4; ++part) {
      if (part == 2 && subtracts) {
        SB_UNROLL for (int bit = 0; bit + 1 < kBits; ++bit) counter[bit] = V::invert(counter[bit]);
      }
      const uint16_t*& next = part % 2 == 0 ? list : step_list;
      add_any<V, kBits>((const char*)planes[part], next, counts[part], counter);
      next += counts[part];
    }
    if (call.counts)
      store_counter<V, kBits>(call, f, counter);
    else
      compare_counter<V, kBits>(call, f, counter);
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
    less = V::most(V::invert(V::load(totals + bit * V::kBytes)), V::fill(0 - (uint64_t)(call.first >> bit & 1)),
                   less);
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
constexpr SparseWidth sparse_width(float filter) {
  return {select_sparse<V>, sum_rows<V>, add_tap<V>, step_planes<V>, filter};
}
