// What this processor and this operating system can run.
#pragma once

namespace sb {

struct CpuFeatures {
  bool avx2 = false;    // AVX2, FMA, F16C
  bool avx512 = false;  // AVX-512 F, BW, DQ, VL, VBMI2, VPOPCNTDQ, VNNI, GFNI
};

// Asked once, then remembered.
const CpuFeatures& cpu_features();

}  // namespace sb
