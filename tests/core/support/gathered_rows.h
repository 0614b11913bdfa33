#ifndef NPYFAST_TESTS_CORE_SUPPORT_GATHERED_ROWS_H_
#define NPYFAST_TESTS_CORE_SUPPORT_GATHERED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/gather/gather.h"
#include "tests/core/support/naive.h"

namespace npyfast::testing {

// The columns that a gather makes of listed rows, each exactly as large as it must be. With
// threads = 0 by Gather::Rows(), else by RowsParallel().
inline std::vector<Bytes> GatheredRows(const Gather& gather, const std::vector<int64_t>& rows,
                                       int threads) {
  std::vector<Bytes> columns;
  std::vector<std::byte*> out;
  for (size_t c = 0; c < gather.columns(); ++c) {
    columns.emplace_back(static_cast<size_t>(gather.row_bytes(c)) * rows.size());
    out.push_back(columns.back().data());
  }
  if (threads == 0) {
    gather.Rows(rows, out.data());
  } else {
    gather.RowsParallel(rows, out.data(), threads);
  }
  return columns;
}

}  // namespace npyfast::testing

#endif  // NPYFAST_TESTS_CORE_SUPPORT_GATHERED_ROWS_H_
