#ifndef NPYFAST_CORE_COPY_H_
#define NPYFAST_CORE_COPY_H_

#include <cstddef>

#include "core/layout.h"

namespace npyfast {

// Copies one column of `count` rows, which begin at sources[i], to `out`, one row after the other,
// in native byte order.
//
// REQUIRES: out holds count * column.row_bytes bytes. Touches no Python object, takes no lock.
void CopyColumn(const Column& column, const std::byte* const* sources, size_t count,
                std::byte* out);

}  // namespace npyfast

#endif  // NPYFAST_CORE_COPY_H_
