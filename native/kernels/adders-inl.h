// Full adders of bit-planes, shared by every instruction set. Included inside an anonymous namespace.
//
// A lane is an output position; a plane holds one input bit of every lane. A `Vector` V says how a register
// of lanes is handled:
//   T, kBytes                     the register
//   load, store, fill             aligned memory; every word the same
//   both, differ, invert          a & b, a ^ b, ~a
//   odd, most                     a ^ b ^ c, majority of three
//   odd_not, most_not             the same of (a, ~b, c)
//   load_from, store_to           unaligned memory
//   choose, funnel                bits of a where the mask is 1, else of b; words b:a shifted right

// Registers R without three-input logic: five operations for each full adder.
template <class R>
struct TwoInputs : R {
  using T = typename R::T;
  static SB_INLINE T invert(T a) { return R::differ(a, R::fill(~(uint64_t)0)); }
  static SB_INLINE T odd(T a, T b, T c) { return R::differ(R::differ(a, b), c); }
  static SB_INLINE T most(T a, T b, T c) { return R::either(R::both(a, b), R::both(R::differ(a, b), c)); }
  static SB_INLINE T choose(T mask, T a, T b) { return R::differ(b, R::both(mask, R::differ(a, b))); }
  static SB_INLINE T odd_not(T a, T b, T c) { return odd(a, invert(b), c); }
  static SB_INLINE T most_not(T a, T b, T c) { return most(a, invert(b), c); }
};

// Adds a bit to the sum bit; the result is the carry.
template <class V>
SB_INLINE typename V::T add_bit(typename V::T& sum, typename V::T x, typename V::T y) {
  const typename V::T carry = V::most(x, y, sum);
  sum = V::odd(x, y, sum);
  return carry;
}

// Two lists, whose planes lie in the two halves of a register.
struct TwoLists {
  const uint16_t *low, *high;
  SB_INLINE TwoLists operator+(size_t count) const { return {low + count, high + count}; }
  SB_INLINE TwoLists& operator+=(size_t count) { return *this = *this + count; }
};

template <class V>
SB_INLINE typename V::T load_listed(const char* planes, const uint16_t* list) {
  return V::load(planes + *list * V::kBytes);
}

template <class V>
SB_INLINE typename V::T load_listed(const char* planes, TwoLists list) {
  return V::load_two(planes + *list.low * V::kBytes, planes + *list.high * V::kBytes);
}

// Adds 2^L planes to the counter bits 0..L-1; the result is the carry of weight 2^L (Harley and Seal).
template <class V, int L>
struct CarrySave {
  template <class List>
  static SB_INLINE typename V::T add(const char* planes, List list, typename V::T* counter) {
    const typename V::T x = CarrySave<V, L - 1>::add(planes, list, counter);
    const typename V::T y = CarrySave<V, L - 1>::add(planes, list + (1 << (L - 1)), counter);
    return add_bit<V>(counter[L - 1], x, y);
  }
};

template <class V>
struct CarrySave<V, 0> {
  template <class List>
  static SB_INLINE typename V::T add(const char* planes, List list, typename V::T*) {
    return load_listed<V>(planes, list);
  }
};

// Of two planes just loaded. A choice in place of a majority reads one of them from memory and copies no
// register: 1.7 cycles a plane in the first cache instead of 2.2.
template <class V>
struct CarrySave<V, 1> {
  template <class List>
  static SB_INLINE typename V::T add(const char* planes, List list, typename V::T* counter) {
    const typename V::T x = CarrySave<V, 0>::add(planes, list, counter);
    const typename V::T differing = V::differ(x, CarrySave<V, 0>::add(planes, list + 1, counter));
    const typename V::T carry = V::choose(differing, counter[0], x);
    counter[0] = V::differ(counter[0], differing);
    return carry;
  }
};

// Adds 2^L planes to a counter of kBits >= L, modulo 2^kBits.
template <class V, int kBits, int L>
SB_INLINE void add_planes(const char* planes, const uint16_t* list, typename V::T* counter) {
  typename V::T carry = CarrySave<V, L>::add(planes, list, counter);
  SB_UNROLL for (int bit = L; bit < kBits; ++bit) {
    const typename V::T next = V::both(counter[bit], carry);
    counter[bit] = V::differ(counter[bit], carry);
    carry = next;
  }
}
