#ifndef NPYFAST_CORE_OS_MEMORY_H_
#define NPYFAST_CORE_OS_MEMORY_H_

#include <cstdint>
#include <string>

namespace npyfast {

// Bytes of memory that this process may fill, file pages among them: the smaller of what the kernel
// says is available and of what its control group leaves (v1 or v2, its own or an ancestor's).
// Pages of files count as free, as the kernel lets go of them: those cached already among them.
// INT64_MAX where nothing is known. Thread-safe.
int64_t UsableMemory();

// The same, of a machine whose /proc and /sys lie in a folder: for tests.
int64_t UsableMemoryOf(const std::string& root);

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_MEMORY_H_
