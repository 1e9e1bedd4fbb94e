// Mirrored products, shared by every instruction set. Included by bitplane-inl.h, whose adders they use with
// the roles of weights and inputs exchanged.

// Bits that counters come in; a layer takes the fewest that hold its longest list.
constexpr size_t kMirrorBits[] = {8, 10, kMostPlaneBits};

template <class V, int kBits>
void run_mirrored(const MirrorCall& call) {
  using T = typename V::T;
  constexpr size_t kBuckets = kPatterns / 2;
  T sums[kBuckets * kBits];
  for (size_t q = 0; q < kBuckets; ++q) {
    const size_t opposite = kPatterns - 1 - q;
    T counter[kBits];
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) counter[bit] = V::fill(0);
    add_list<V, kBits>((const char*)call.planes, call.lists + opposite * call.stride + call.begins[opposite],
                       call.lengths[opposite], counter);
    SB_UNROLL for (int bit = 0; bit + 1 < kBits; ++bit) counter[bit] = V::invert(counter[bit]);
    add_list<V, kBits>((const char*)call.planes, call.lists + q * call.stride + call.begins[q],
                       call.lengths[q], counter);
    SB_UNROLL for (int bit = 0; bit < kBits; ++bit) V::store(sums + q * kBits + bit, counter[bit]);
  }
  Waiting<V, 4> waiting;
  T overflow[kMirrorGroup], carry[kMirrorGroup];
  SB_UNROLL for (size_t j = 0; j < kMirrorGroup; ++j) overflow[j] = carry[j] = V::fill(~(uint64_t)0);
  auto compare = [&](size_t bit, const T* sum) {
    SB_UNROLL for (size_t j = 0; j < kMirrorGroup; ++j) {
      const T least = bit < call.least_bits ? V::load((const char*)call.least[j] + bit * V::kBytes)
                                            : V::fill(~(uint64_t)0);
      const T start = V::fill(0 - (uint64_t)(call.starts[j] >> bit & 1));
      const T from = V::odd(least, start, carry[j]);
      carry[j] = V::most(least, start, carry[j]);
      overflow[j] = V::most(sum[j], from, overflow[j]);
    }
  };
  SignedSums<V, 4> signed_ = signed_sums<V, 4>(sums, kBits, waiting);
  each_bit<V, 4>(signed_, kBits, compare);
  SB_UNROLL for (size_t j = 0; j < kMirrorGroup; ++j)
      V::store(call.out[j], V::differ(overflow[j], V::load(call.inverted)));
}

template <class V>
RunMirrored select_mirrored(size_t bits) {
  if (bits == kMirrorBits[0]) return run_mirrored<V, (int)kMirrorBits[0]>;
  if (bits == kMirrorBits[1]) return run_mirrored<V, (int)kMirrorBits[1]>;
  return run_mirrored<V, (int)kMirrorBits[2]>;
}

// Bit i of a byte becomes bit 4 i.
constexpr uint32_t spread(uint32_t byte) {
  uint32_t x = (byte | byte << 12) & 0x000f000fu;
  x = (x | x << 6) & 0x03030303u;
  return (x | x << 3) & 0x11111111u;
}

// One list entry after another, without branches on the pattern.
inline void sort_inputs(const SortCall& call) {
  const size_t words = (call.channels + 63) / 64;
  uint16_t* ends[kPatterns];
  for (size_t p = 0; p < kPatterns; ++p) ends[p] = call.lists + p * call.stride + call.ends[p];
  for (size_t t = 0; t < call.taps; ++t) {
    const uint64_t* const* rows = call.rows + t * kMirrorGroup;
    for (size_t w = 0; w < words; ++w) {
      const size_t first = w * 64;
      const size_t count = call.channels - first < 64 ? call.channels - first : 64;
      for (size_t i = 0; i < count; i += 8) {
        uint32_t patterns = 0;
        for (size_t j = 0; j < kMirrorGroup; ++j) patterns |= spread((uint32_t)(rows[j][w] >> i) & 0xff) << j;
        const size_t left = count - i < 8 ? count - i : 8;
        for (size_t k = 0; k < left; ++k, patterns >>= 4)
          *ends[patterns & (kPatterns - 1)]++ = (uint16_t)(call.first + t * call.channels + first + i + k);
      }
    }
  }
  for (size_t p = 0; p < kPatterns; ++p) call.ends[p] = (uint32_t)(ends[p] - (call.lists + p * call.stride));
}
