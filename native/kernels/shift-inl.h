// Planes moved to the taps of a window, shared by every instruction set. Included inside an anonymous
// namespace, after adders-inl.h.

// kTaps taps, of which those from kNext on begin a word later: what neighbours share is loaded once.
template <class V, size_t kTaps, size_t kNext>
void shift_near(const ShiftCall& call) {
  constexpr size_t kWords = V::kBytes / sizeof(uint64_t);
  using T = typename V::T;
  const uint64_t* source = call.source + call.offset / 64;
  const T fill = V::fill(call.fill);
  T valid[kTaps];
  SB_UNROLL for (size_t t = 0; t < kTaps; ++t) valid[t] = V::load_from(call.valid + t * kWords);
  uint64_t* out = call.out;
  for (size_t c = 0; c < call.channels; ++c, source += call.source_stride, out += kWords) {
    const T first = V::load_from(source), second = V::load_from(source + 1);
    const T third = kNext < kTaps ? V::load_from(source + 2) : second;
    SB_UNROLL for (size_t t = 0; t < kTaps; ++t) {
      const size_t right = (call.offset + t * call.step) % 64;
      const T moved = t < kNext ? V::funnel(first, second, right) : V::funnel(second, third, right);
      V::store(out + t * call.channels * kWords, V::choose(valid[t], moved, fill));
    }
  }
}

template <class V>
void shift_planes(const ShiftCall& call) {
  const size_t begin = call.offset % 64;
  if (call.taps == 3 && begin + 2 * call.step < 128) {
    if (begin + 2 * call.step < 64) return shift_near<V, 3, 3>(call);
    return begin + call.step < 64 ? shift_near<V, 3, 2>(call) : shift_near<V, 3, 1>(call);
  }
  ShiftCall one = call;
  for (size_t t = 0; t < call.taps; ++t) {
    shift_near<V, 1, 1>(one);
    one.offset += call.step;
    one.valid += V::kBytes / sizeof(uint64_t);
    one.out += call.channels * V::kBytes / sizeof(uint64_t);
  }
}
