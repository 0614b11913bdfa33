#ifndef NPYFAST_CORE_STREAM_READING_OF_H_
#define NPYFAST_CORE_STREAM_READING_OF_H_

#include "core/gather/batch_builder.h"
#include "core/readahead/readahead.h"

namespace npyfast {

// What a builder reads, for readahead, which knows nothing of how batches are made.
inline Reading ReadingOf(const BatchBuilder& maker) {
  Reading reading{maker.item_plan(), {}, maker.row_bytes()};
  for (const auto& leaf : maker.leaves())
    reading.leaves.push_back({leaf->array(), leaf->row_bytes(), leaf->row_file_cache()});
  return reading;
}

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_READING_OF_H_
