#ifndef NPYFAST_CORE_OS_RESOURCE_LIMITS_H_
#define NPYFAST_CORE_OS_RESOURCE_LIMITS_H_

#include <cstdint>
#include <string>

namespace npyfast {

// What this process may use of its machine. On Linux a control group may grant less than there is:
// version 1 or 2, the process's own or an ancestor's. Both read files. Thread-safe.

// CPUs, at least 1: the smaller of the affinity mask and of the control group's quota, rounded up.
int UsableCpus();

// Bytes of memory that this process may fill, file pages included: the smaller of what the kernel
// says is available and of what the control group leaves. Cached pages of files count as free,
// because the kernel drops them when it needs memory. Where the system says neither, all memory of
// the machine.
int64_t UsableMemory();

// The same for a machine whose /proc and /sys are in a folder; INT64_MAX if they say nothing. For
// tests.
int64_t UsableMemoryOf(const std::string& root);

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_RESOURCE_LIMITS_H_
