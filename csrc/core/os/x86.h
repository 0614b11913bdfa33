#ifndef NPYFAST_CORE_OS_X86_H_
#define NPYFAST_CORE_OS_X86_H_

// Defines NPYFAST_X86_64 where functions may use SSE2, be compiled for AVX2 by
// [[gnu::target("avx2")]], and be chosen at run time.
//
// The only place that asks for which architecture it is compiled. Vector code itself stays in the
// file of its plain version, between #ifdef NPYFAST_X86_64 and #endif, because the two must give
// the same results and are read and changed together.
#if defined(__x86_64__) && defined(__GNUC__)
#define NPYFAST_X86_64
#include <cpuid.h>
#include <immintrin.h>

namespace npyfast {

// Whether this CPU has them, and the system saves their registers.
inline bool HasAvx() { return __builtin_cpu_supports("avx"); }
inline bool HasAvx2() { return __builtin_cpu_supports("avx2"); }

// Conversions between float and half. REQUIRES: HasAvx().
inline bool HasF16c() {
  constexpr unsigned kF16c = 1u << 29;  // __builtin_cpu_supports does not know it before GCC 11
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kF16c) != 0;
}

}  // namespace npyfast
#endif

#endif  // NPYFAST_CORE_OS_X86_H_
