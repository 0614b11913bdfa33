#ifndef NPYFAST_CORE_GATHER_COPY_H_
#define NPYFAST_CORE_GATHER_COPY_H_

#include <cstddef>

#include "core/gather/column_layout.h"

namespace npyfast {

// How the output is written: through the cache, for those who read it next, or past it, which is
// faster for output that is too large to stay there anyway. After kPastCache, call FinishStores()
// before another thread learns of the output.
enum class Stores { kCached, kPastCache };

// Copies one column of `count` rows, which begin at sources[i], to `out`, one row after the other,
// in native byte order.
//
// REQUIRES: out holds count * column.row_bytes bytes. Touches no Python object, takes no lock.
void CopyColumn(const Column& column, const std::byte* const* sources, size_t count, std::byte* out,
                Stores stores = Stores::kCached);

// Orders stores past the cache before all later stores.
void FinishStores();

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_COPY_H_
