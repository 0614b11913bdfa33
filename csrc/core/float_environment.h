#ifndef NPYFAST_CORE_FLOAT_ENVIRONMENT_H_
#define NPYFAST_CORE_FLOAT_ENVIRONMENT_H_

#include <cfenv>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace npyfast {

// How this thread rounds, and whether it keeps denormals. Threads of TensorFlow don't, nor do those
// that they start: NumPy's numbers need the environment that a program begins with.
#if defined(__SSE__)
using FloatEnvironment = unsigned;

inline FloatEnvironment UseDefaultFloatEnvironment() {
  constexpr unsigned kDefault = 0x1F80;  // rounds to nearest, keeps denormals, raises nothing
  const FloatEnvironment before = _mm_getcsr();
  _mm_setcsr(kDefault);
  return before;
}

inline void UseFloatEnvironment(FloatEnvironment environment) { _mm_setcsr(environment); }
#else
using FloatEnvironment = std::fenv_t;

inline FloatEnvironment UseDefaultFloatEnvironment() {
  FloatEnvironment before;
  std::fegetenv(&before);
  std::fesetenv(FE_DFL_ENV);
  return before;
}

inline void UseFloatEnvironment(const FloatEnvironment& environment) {
  std::fesetenv(&environment);
}
#endif

}  // namespace npyfast

#endif  // NPYFAST_CORE_FLOAT_ENVIRONMENT_H_
