#ifndef NPYFAST_CORE_OS_PAGE_SIZE_H_
#define NPYFAST_CORE_OS_PAGE_SIZE_H_

#include <cstdint>

namespace npyfast {

// The size of a memory page in bytes, a power of two. Thread-safe; asks the system once.
int64_t PageBytes();

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_PAGE_SIZE_H_
