#ifndef NPYFAST_CORE_READAHEAD_READAHEAD_H_
#define NPYFAST_CORE_READAHEAD_READAHEAD_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/readahead/array_prefetcher.h"
#include "core/readahead/file_ranges.h"
#include "core/readahead/read_schedule.h"
#include "core/readahead/readahead_policy.h"
#include "core/readahead/reading.h"

namespace npyfast {

// Reads what the coming items of a run are made of, by a thread of its own.
//
// Rows come from mappings, so all that is done here is to have their pages in memory in time:
// nothing depends on it but speed. Each leaf is read as a whole or by its coming rows, see
// ArrayPrefetcher. Of rows, so much is asked for ahead of the makers as they use up in half a
// second: more than any disk takes to deliver, and no more memory than that. Thread-safe.
class Readahead {
 public:
  // Ends it: see End().
  struct Ender {
    std::shared_ptr<Readahead> self = nullptr;
    std::chrono::milliseconds most = std::chrono::hours(24);
    void operator()(Readahead* readahead) {
      readahead->End(most);
      self = nullptr;
    }
  };
  using Handle = std::unique_ptr<Readahead, Ender>;

  // For a run from one of its items on. Null where there is nothing to read ahead; *resident, if
  // given, is whether that is because all rows are in memory.
  static Handle Start(const Reading& reading, int64_t first_item, ReadaheadMode mode,
                      std::shared_ptr<Statistics> statistics, bool* resident = nullptr);
  // Once for the first item alone, by the caller's thread.
  static void AskOnce(const Reading& reading, ReadaheadMode mode);

  ~Readahead() = default;

  Readahead(const Readahead&) = delete;
  Readahead& operator=(const Readahead&) = delete;

  // The items before `item` are being made, and those before `done` will be read no more.
  void Reached(int64_t item, int64_t done);
  // Waits until all pages of an item have been asked for.
  void Await(int64_t item);
  // Nobody waits any more, and nothing more is read.
  void Stop();
  // Stop(), and waits until the thread has ended, or that long: what a disk does not answer to then
  // is left to the thread, which keeps all that it needs.
  void End(std::chrono::milliseconds most);

  // Whether all rows have been read, so that nobody waits for a disk.
  bool loaded() const { return loaded_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  Readahead(const Reading& reading, int64_t first_item,
            std::vector<std::unique_ptr<ArrayPrefetcher>> leaves,
            std::shared_ptr<Statistics> statistics);

  void Run();
  void AskFirstItems();
  // Each does some of its work, if there is any, and returns whether there was.
  bool AskUnits();
  bool LoadChunk();
  bool LetGo(int64_t units);
  void LookAgain();
  void Sleep();

  // Adds the ranges of a unit, and returns their bytes; of one that is more than a piece asks at
  // once.
  int64_t AddUnit(int64_t unit);
  void Ask(int64_t unit);
  // Whether no item has been asked for in a long time.
  bool Forgotten();
  void LetGoAtTheEnd();
  void Forget(int64_t units);
  bool AllLoaded() const;

  const ItemPlan items_;
  const ReadSchedule schedule_;
  const std::vector<std::unique_ptr<ArrayPrefetcher>> leaves_;
  const std::shared_ptr<Statistics> statistics_;

  // The makers' side.
  std::atomic<int64_t> reached_;
  std::atomic<int64_t> done_;
  std::atomic<int64_t> wake_at_;      // the item at which there is something to ask for
  std::atomic<int64_t> asked_;        // units
  std::atomic<int64_t> early_items_;  // items before this one have been asked for by themselves
  std::atomic<bool> stopped_{false};
  std::atomic<bool> loaded_{false};
  bool ended_ = false;   // guarded by mutex_
  int64_t awaited_ = 0;  // units that somebody waits for, or has waited for; guarded by mutex_
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable asked_more_;

  // The thread's own.
  struct Asked {
    int64_t unit;
    int64_t bytes;
  };
  std::deque<Asked> outstanding_;  // asked for, and not yet made
  int64_t outstanding_bytes_ = 0;
  int64_t ahead_bytes_;
  int64_t most_ahead_bytes_;
  int64_t used_bytes_ = 0;  // since the last look at the clock
  Clock::time_point used_since_;
  Clock::time_point looked_at_;
  int64_t last_reached_;
  Clock::time_point reached_at_;
  std::vector<RowStretch> rows_;
  std::vector<FileRange> ranges_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READAHEAD_H_
