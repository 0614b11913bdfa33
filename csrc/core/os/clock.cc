#include "core/os/clock.h"

#include <ctime>

namespace npyfast {

int64_t CoarseClockNs() {
#if defined(__APPLE__)
  return static_cast<int64_t>(::clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW_APPROX));
#else
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
#endif
}

int64_t ThreadCpuNs() {
  timespec spent;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return int64_t{spent.tv_sec} * 1'000'000'000 + spent.tv_nsec;
}

}  // namespace npyfast
