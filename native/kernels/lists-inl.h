// Lists of planes from rows of weight bits, shared by every instruction set. Included inside an anonymous
// namespace, after bitplane.h.

// The weight bits of the filters that the lists 2q (subtracted) and 2q + 1 (added) of a group hold.
constexpr size_t listed_pattern(size_t list, size_t filters) {
  return list % 2 == 1 ? list / 2 : ~(list / 2) & (((size_t)1 << filters) - 1);
}

constexpr size_t filled_up(size_t count) { return (count + kPlaneStep - 1) / kPlaneStep * kPlaneStep; }

// The eight low bits as bytes that are 0 or 1.
constexpr uint64_t bits_apart(uint64_t bits) {
  const uint64_t apart = (bits & 0xff) * 0x0101010101010101u & 0x8040201008040201u;
  return (apart + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
}

// Calls visit(input, pattern) for every input.
template <class Visit>
void each_pattern(const ListCall& call, Visit visit) {
  for (size_t k = 0; k < call.inputs; k += 8) {
    uint64_t patterns = 0;
    for (size_t j = 0; j < call.filters; ++j) patterns |= bits_apart(call.rows[j][k / 64] >> (k % 64)) << j;
    const size_t count = call.inputs - k < 8 ? call.inputs - k : 8;
    for (size_t i = 0; i < count; ++i, patterns >>= 8) visit(k + i, patterns & 0xff);
  }
}

// Counted first, so that every input then goes where it belongs, without branches on its pattern.
inline size_t list_planes(const ListCall& call) {
  size_t counts[2 * kMostBuckets] = {};
  each_pattern(call, [&](size_t, size_t pattern) { ++counts[pattern]; });
  uint16_t* ends[2 * kMostBuckets];
  uint16_t* out = call.out;
  for (size_t i = 0; i < (size_t)1 << call.filters; ++i) {
    const size_t pattern = listed_pattern(i, call.filters), filled = filled_up(counts[pattern]);
    call.counts[i] = counts[pattern];
    if (i % 2 == 0) {
      *out++ = (uint16_t)filled;
      *out++ = (uint16_t)filled_up(counts[listed_pattern(i + 1, call.filters)]);
    }
    ends[pattern] = out;
    for (size_t k = counts[pattern]; k < filled; ++k) out[k] = (uint16_t)call.inputs;
    out += filled;
  }
  each_pattern(call, [&](size_t k, size_t pattern) { *ends[pattern]++ = (uint16_t)k; });
  return (size_t)(out - call.out);
}
