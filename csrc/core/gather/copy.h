#ifndef NPYFAST_CORE_GATHER_COPY_H_
#define NPYFAST_CORE_GATHER_COPY_H_

#include <cstddef>

#include "core/gather/column_layout.h"

namespace npyfast {

// How the output is written: kept in the cache for whoever reads it next, or past the cache, which
// is faster for what is too large to stay there anyway. After kPastCache, call FinishStores()
// before another thread is told of the output.
enum class Stores { kCached, kPastCache };

// Copies one column of `count` rows, which begin at sources[i], to `out`, one row after the other,
// in native byte order.
//
// REQUIRES: out holds count * column.row_bytes bytes. Touches no Python object, takes no lock.
void CopyColumn(const Column& column, const std::byte* const* sources, size_t count, std::byte* out,
                Stores stores = Stores::kCached);

// Makes what was stored past the cache visible to whoever sees what is stored next.
void FinishStores();

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_COPY_H_
