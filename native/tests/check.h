// Enough of a test framework: CHECK counts, `finish` reports.
#pragma once

#include <cstdio>

namespace sb::test {

inline int failures = 0;

inline int finish() {
  if (failures > 0) std::printf("%d checks failed\n", failures);
  return failures > 0 ? 1 : 0;
}

// A small generator of its own, so that every platform sees the same numbers.
class Random {
 public:
  explicit Random(unsigned long long seed) : state_(seed * 2 + 1) {}
  unsigned long long next() {
    state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1dULL;
  }
  int between(int low, int high) { return low + static_cast<int>((next() >> 16) % (high - low + 1)); }

 private:
  unsigned long long state_;
};

}  // namespace sb::test

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      std::printf("%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
      ++sb::test::failures;                                                     \
    }                                                                           \
  } while (false)
