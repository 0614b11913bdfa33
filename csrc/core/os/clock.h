#ifndef NPYFAST_CORE_OS_CLOCK_H_
#define NPYFAST_CORE_OS_CLOCK_H_

#include <cstdint>

namespace npyfast {

// Nanoseconds of a clock that never goes back, some milliseconds coarse. Reading it costs a few
// nanoseconds and no system call, so it may be read for every batch. Thread-safe.
int64_t CoarseClockNs();

// Nanoseconds of CPU time that the calling thread has taken. A system call.
int64_t ThreadCpuNs();

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_CLOCK_H_
