#ifndef NPYFAST_CORE_BASE_STREAM_COUNTERS_H_
#define NPYFAST_CORE_BASE_STREAM_COUNTERS_H_

#include <array>
#include <atomic>
#include <chrono>
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

  // When a reader first asked for a batch, on Clock; 0 before.
  std::atomic<int64_t> begun_ns{0};

  using Clock = std::chrono::steady_clock;

  // Notes that a reader asked for a batch at `asked`. All calls but the first are one load.
  void Begin(Clock::time_point asked) {
    if (begun_ns.load(std::memory_order_relaxed) != 0) return;
    int64_t none = 0;
    begun_ns.compare_exchange_strong(none, Nanoseconds(asked), std::memory_order_relaxed);
  }

  // All of them, in this order; the last is the time since begun_ns.
  std::array<int64_t, 13> Counters() const {
    const int64_t begun = begun_ns;
    const int64_t elapsed_ns = begun == 0 ? 0 : Nanoseconds(Clock::now()) - begun;
    return {batches,       rows,         bytes,      waits,        wait_ns,
            batches_ahead, needed_bytes, read_bytes, direct_bytes, resident_bytes,
            read_depth,    cpu_ns,       elapsed_ns};
  }

 private:
  static int64_t Nanoseconds(Clock::time_point time) {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
  }
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_BASE_STREAM_COUNTERS_H_
