#ifndef NPYFAST_CORE_READAHEAD_READING_H_
#define NPYFAST_CORE_READAHEAD_READING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "core/gather/row_file_cache.h"
#include "core/order/item_plan.h"
#include "core/source/array.h"

namespace npyfast {

// What a run reads: the rows of its items, of every leaf.
struct Reading {
  struct Leaf {
    std::shared_ptr<const Array> array;
    int64_t row_bytes;                       // as it is delivered
    RowFileCache* row_file_cache = nullptr;  // if rows are files; lives as long as the run
  };

  ItemPlan items;
  std::vector<Leaf> leaves;
  int64_t row_bytes;  // of all leaves together
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READING_H_
