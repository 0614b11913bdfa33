#ifndef NPYFAST_CORE_READAHEAD_READAHEAD_H_
#define NPYFAST_CORE_READAHEAD_READAHEAD_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/os/mutex.h"
#include "core/readahead/array_prefetcher.h"
#include "core/readahead/background.h"
#include "core/readahead/file_ranges.h"
#include "core/readahead/read_distance.h"
#include "core/readahead/read_schedule.h"
#include "core/readahead/readahead_policy.h"
#include "core/readahead/reading.h"

namespace npyfast {

// Has the pages of coming items read, by a thread of its own.
//
// Rows are copied from mappings, so all it does is to get their pages into memory in time: only
// speed depends on it. Each leaf is read as a whole or by its coming rows (see ArrayPrefetcher), so
// far ahead of the makers as ReadDistance or the window of blocks says. Thread-safe.
class Readahead {
 public:
  using Handle = BackgroundHandle<Readahead>;

  // For a run, from one of its items on. Null if there is nothing to read ahead.
  static Handle Start(const Reading& reading, int64_t first_item,
                      std::vector<std::unique_ptr<ArrayPrefetcher>> leaves,
                      std::shared_ptr<Statistics> statistics);
  // Requests the pages of the first item alone, in the caller's thread.
  static void RequestOnce(const Reading& reading, ReadaheadMode mode);

  ~Readahead() = default;

  Readahead(const Readahead&) = delete;
  Readahead& operator=(const Readahead&) = delete;

  // The items before `item` are being made, and those before `done` will not be read again.
  void Reached(int64_t item, int64_t done);
  // Waits until all pages of an item have been requested.
  void Await(int64_t item);
  // Wakes those who wait, and reads nothing more. Does not wait.
  void Stop();
  // Stop(), and waits until the thread has ended, but no longer than `most`: a thread that waits
  // for a disk keeps all that it needs, and ends by itself.
  void End(std::chrono::milliseconds most);

  // Whether all rows have been read, so that no maker waits for a disk.
  bool loaded() const { return loaded_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  // Only ever goes on to the next one.
  enum class Phase {
    kReading,
    kStopping,  // Stop() was called; the thread sees it between two pieces
    kEnded,     // the thread touches nothing any more
  };

  Readahead(const Reading& reading, int64_t first_item,
            std::vector<std::unique_ptr<ArrayPrefetcher>> leaves,
            std::shared_ptr<Statistics> statistics);

  bool stopping() const { return phase_.load(std::memory_order_relaxed) != Phase::kReading; }

  // The thread.
  void Run();
  // Before the first window of blocks is read: the rows of the first items by themselves.
  void RequestFirstItems();
  void RequestRowsOf(int64_t item);
  // Each does some of its work, if there is any, and returns whether there was.
  bool RequestUnits();
  bool LoadChunk();
  bool DropBefore(int64_t unit);
  void CheckResidency();
  void Sleep();
  void DropAtTheEnd();

  // Adds the ranges of a unit, and returns their bytes. Of a unit that is more than one piece, all
  // pieces but the last are requested at once.
  int64_t AddUnit(int64_t unit);
  // Requests ranges_, of units up to this one.
  void RequestRanges(int64_t unit);
  // The end of the units that may be requested while the makers are at `item`.
  int64_t EndOfRequests(int64_t item) const;
  // How many items the makers go on before it is worth to wake up and request more.
  int64_t ItemsToSleep(int64_t item) const;
  void SetRequested(int64_t units);
  // Whether the makers have made no progress in a long time.
  bool ReaderIsIdle();
  // Whether there are resident parts to be loaded, but the first item was not delivered yet: it
  // would have to wait for megabytes of other rows.
  bool PartsWait() const;
  bool AllLoaded() const;
  // Whether all leaves are resident parts, whose rows nobody waits for here.
  bool OnlyParts() const;

  const ItemPlan items_;
  const ReadSchedule schedule_;
  const std::vector<std::unique_ptr<ArrayPrefetcher>> leaves_;
  const std::shared_ptr<Statistics> statistics_;

  // Shared with the makers. What they wait for is written under mutex_, and read without it.
  std::atomic<int64_t> reached_;
  const int64_t first_item_;
  std::atomic<int64_t> done_;
  std::atomic<int64_t> wake_at_;      // the item at which there is something to request
  std::atomic<int64_t> requested_;    // units
  std::atomic<int64_t> early_items_;  // items before this one have been requested by themselves
  std::atomic<bool> loaded_{false};
  std::atomic<Phase> phase_{Phase::kReading};
  Mutex mutex_;
  int64_t awaited_ GUARDED_BY(mutex_) = 0;  // units that were ever waited for
  CondVar wake_;                            // the thread waits
  CondVar requested_more_;                  // makers wait, or End()

  // The thread's own.
  ReadDistance distance_;
  Clock::time_point checked_at_;
  int64_t last_reached_;
  Clock::time_point reached_at_;
  std::vector<RowStretch> rows_;
  std::vector<FileRange> ranges_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READAHEAD_H_
