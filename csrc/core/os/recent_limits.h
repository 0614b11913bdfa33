#ifndef NPYFAST_CORE_OS_RECENT_LIMITS_H_
#define NPYFAST_CORE_OS_RECENT_LIMITS_H_

#include <cstdint>

namespace npyfast {

// UsableMemory() and UsableCpus() as they were within the last second: they read files, and a short
// epoch is over sooner. Thread-safe; take no lock, which a forked child might inherit locked.
int64_t RecentUsableMemory();
int RecentUsableCpus();

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_RECENT_LIMITS_H_
