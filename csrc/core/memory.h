#ifndef NPYFAST_CORE_MEMORY_H_
#define NPYFAST_CORE_MEMORY_H_

#include <cstdint>

namespace npyfast {

// Bytes of memory that this process may fill, file pages among them: the smaller of what the kernel
// says is available and of the limit of its control group (v1 or v2, its own or an ancestor's).
// INT64_MAX where nothing is known. Thread-safe.
int64_t UsableMemory();

}  // namespace npyfast

#endif  // NPYFAST_CORE_MEMORY_H_
