#ifndef NPYFAST_CORE_BASE_STREAM_COUNTERS_H_
#define NPYFAST_CORE_BASE_STREAM_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstdint>

namespace npyfast {

// What the streams of one dataset have done since it was made: enough to tell whether its reader
// waits for data, and the data for the disk.
//
// Counters that anybody may read at any time; one may be a moment ahead of another. Thread-safe.
struct Statistics {
  // Delivered to readers.
  std::atomic<int64_t> batches{0};
  std::atomic<int64_t> rows{0};
  std::atomic<int64_t> bytes{0};

  // Times that a reader came before its batches were ready, and how long it took until they were.
  std::atomic<int64_t> waits{0};
  std::atomic<int64_t> wait_ns{0};

  // Batches that lie ready now, of all streams together.
  std::atomic<int64_t> batches_ahead{0};

  // Bytes of file pages that readahead looked for, and those of them that no cache held. Where
  // looking costs as much as reading they are projected from a sample.
  std::atomic<int64_t> needed_bytes{0};
  std::atomic<int64_t> read_bytes{0};

  // Bytes that were read directly, past the page cache; and bytes of rows that were not read
  // because they are in the part that stays in memory.
  std::atomic<int64_t> direct_bytes{0};
  std::atomic<int64_t> resident_bytes{0};

  // Direct reads that are kept in flight now, of all streams together.
  std::atomic<int64_t> read_depth{0};

  // CPU time of the threads that read and make batches, but not of readers that make some.
  std::atomic<int64_t> cpu_ns{0};

  // All of them, in this order.
  std::array<int64_t, 12> Counters() const {
    return {batches,      rows,       bytes,        waits,          wait_ns,    batches_ahead,
            needed_bytes, read_bytes, direct_bytes, resident_bytes, read_depth, cpu_ns};
  }
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_BASE_STREAM_COUNTERS_H_
