#ifndef NPYFAST_CORE_READAHEAD_RECENT_MEMORY_H_
#define NPYFAST_CORE_READAHEAD_RECENT_MEMORY_H_

#include <cstdint>

namespace npyfast {

// UsableMemory() as it was within the last second: it reads files, and a short epoch is over
// sooner. Thread-safe; takes no lock, which a forked child might inherit locked.
int64_t RecentUsableMemory();

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_RECENT_MEMORY_H_
