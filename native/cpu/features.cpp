#include "cpu/features.h"

#include <cstdint>

#if defined(_MSC_VER) && defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sb {
namespace {

#if defined(__x86_64__) || (defined(_MSC_VER) && defined(_M_X64))

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

#if defined(_MSC_VER)
Registers cpuid(std::uint32_t leaf) {
  int r[4];
  __cpuid(r, 0);
  if (leaf > static_cast<std::uint32_t>(r[0])) return {};
  __cpuidex(r, static_cast<int>(leaf), 0);
  return {static_cast<std::uint32_t>(r[0]), static_cast<std::uint32_t>(r[1]),
          static_cast<std::uint32_t>(r[2]), static_cast<std::uint32_t>(r[3])};
}

std::uint64_t enabled_state() { return _xgetbv(0); }
#else
Registers cpuid(std::uint32_t leaf) {
  Registers r;
  if (!__get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}

std::uint64_t enabled_state() {
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}
#endif

bool has(std::uint32_t value, int bit) { return (value >> bit) & 1; }

CpuFeatures detect() {
  const Registers one = cpuid(1), seven = cpuid(7);
  CpuFeatures found;
  if (!has(one.ecx, 27)) return found;  // OSXSAVE: without it XGETBV faults
  // The processor has the registers, but only the operating system keeps them across a task switch.
  const std::uint64_t state = enabled_state();
  const bool ymm = (state & 0x6) == 0x6;
  const bool zmm = ymm && (state & 0xe0) == 0xe0;
  found.avx2 = ymm && has(one.ecx, 28) && has(one.ecx, 12) && has(one.ecx, 29) && has(seven.ebx, 5);
  const bool foundation =
      has(seven.ebx, 16) && has(seven.ebx, 17) && has(seven.ebx, 30) && has(seven.ebx, 31);
  found.avx512 = found.avx2 && zmm && foundation && has(seven.ecx, 6) && has(seven.ecx, 8) &&
                 has(seven.ecx, 11) && has(seven.ecx, 14);
  return found;
}

#else

CpuFeatures detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace sb
