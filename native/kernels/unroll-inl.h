// How compilers are told to unroll the loop behind SB_UNROLL, and to inline.
#pragma once

#if defined(__clang__)
#define SB_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define SB_UNROLL _Pragma("GCC unroll 64")
#else
#define SB_UNROLL
#endif

#if defined(__GNUC__)
#define SB_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define SB_INLINE __forceinline
#else
#define SB_INLINE inline
#endif
