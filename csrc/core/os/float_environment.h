#ifndef NPYFAST_CORE_OS_FLOAT_ENVIRONMENT_H_
#define NPYFAST_CORE_OS_FLOAT_ENVIRONMENT_H_

#include <cfenv>
#include <cstdint>

#if defined(__SSE__) && defined(__GNUC__)
#include <xmmintrin.h>
#endif

namespace npyfast {

// How this thread rounds, and whether it keeps denormals. Threads of TensorFlow don't, nor do those
// that they start: NumPy's numbers need the environment that a program begins with.
#if defined(__SSE__) && defined(__GNUC__)
// Not by <cfenv>, which takes many times as long: this is for every few rows.
struct FloatEnvironment {
  unsigned sse;
  uint16_t x87;  // long double is computed there
};

inline void UseFloatEnvironment(const FloatEnvironment& environment) {
  _mm_setcsr(environment.sse);
  __asm__ volatile("fldcw %0" : : "m"(environment.x87));
}

inline FloatEnvironment CurrentFloatEnvironment() {
  FloatEnvironment environment;
  environment.sse = _mm_getcsr();
  __asm__ volatile("fnstcw %0" : "=m"(environment.x87));
  return environment;
}

inline FloatEnvironment UseDefaultFloatEnvironment() {
  // Round to nearest, keep denormals, raise nothing.
  constexpr FloatEnvironment kDefault = {0x1F80, 0x037F};
  const FloatEnvironment before = CurrentFloatEnvironment();
  UseFloatEnvironment(kDefault);
  return before;
}
#else
using FloatEnvironment = std::fenv_t;

inline FloatEnvironment CurrentFloatEnvironment() {
  FloatEnvironment environment;
  std::fegetenv(&environment);
  return environment;
}

inline FloatEnvironment UseDefaultFloatEnvironment() {
  const FloatEnvironment before = CurrentFloatEnvironment();
  std::fesetenv(FE_DFL_ENV);
  return before;
}

inline void UseFloatEnvironment(const FloatEnvironment& environment) {
  std::fesetenv(&environment);
}
#endif

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_FLOAT_ENVIRONMENT_H_
