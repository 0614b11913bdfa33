#ifndef NPYFAST_TENSORFLOW_OPEN_STATISTICS_H_
#define NPYFAST_TENSORFLOW_OPEN_STATISTICS_H_

#include <cstdint>
#include <memory>

#include "core/base/stream_counters.h"

// The counters of this process's datasets, by the number that the op has as an attribute. Python
// opens and closes them with datasets; a kernel that still runs keeps its own. Thread-safe.
namespace npyfast::tf {

// Makes counters for a number. Throws std::bad_alloc.
void OpenStatistics(int64_t number);
void CloseStatistics(int64_t number);

// The counters of a number; null if it has none.
std::shared_ptr<Statistics> FindStatistics(int64_t number);

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_OPEN_STATISTICS_H_
