#ifndef NPYFAST_CORE_READAHEAD_DIRECT_ROWS_H_
#define NPYFAST_CORE_READAHEAD_DIRECT_ROWS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/gather/rows_ahead.h"
#include "core/os/async_reader.h"
#include "core/os/mutex.h"
#include "core/readahead/array_prefetcher.h"
#include "core/readahead/background.h"
#include "core/readahead/direct_leaf.h"
#include "core/readahead/direct_sizes.h"
#include "core/readahead/piece_layout.h"
#include "core/readahead/piece_plan.h"
#include "core/readahead/piece_slot.h"
#include "core/readahead/read_depth.h"
#include "core/readahead/read_queue.h"
#include "core/readahead/reading.h"

namespace npyfast {

// Reads the rows of coming items past the page cache, into memory of its own, by one thread.
//
// Pieces of rows (see PiecePlan) are read in the order in which they are needed. Piece p goes into
// slot p % slots, once the piece before it there has been released:
//
//   pieces   0 1 2 3 | 4 5 6 | 7 8 9 10 11 | 12 ...
//            released| ready |  in flight  | wait for a slot
//
// Rows that are resident (ResidentChunks), and those that cannot be read directly, are left to the
// mappings. So are the first items, whose pages are requested from the kernel before anything else:
// they are there sooner than the slots. Thread-safe.
//
// Lock order: the stream's lock, then this one's. The thread takes no other.
class DirectRows : public RowsAhead {
 public:
  using Handle = BackgroundHandle<DirectRows>;

  // For a run, from one of its items on. Null if no thread can be started.
  // REQUIRES: the sizes are what SizesFor() has given for the leaves, with slots.
  static Handle Start(const Reading& reading, std::vector<DirectLeaf> leaves, int64_t first_item,
                      const DirectSizes& sizes, std::shared_ptr<Statistics> statistics);

  ~DirectRows() override;
  DirectRows(const DirectRows&) = delete;
  DirectRows& operator=(const DirectRows&) = delete;

  int64_t Await(int64_t item, int64_t begin, int64_t end) override;
  bool Locate(int64_t item, int64_t begin, std::span<const int64_t> rows, size_t leaf,
              std::span<const std::byte*> addresses) override;
  void Release(int64_t item, int64_t begin, int64_t end) override;

  // The items before `done` will not be made again.
  void Reached(int64_t done);
  // Wakes those who wait, and reads nothing more. Does not wait.
  void Stop();
  // Stop(), and waits until the thread has ended, but no longer than `most`.
  void End(std::chrono::milliseconds most);

 private:
  using Clock = std::chrono::steady_clock;

  enum class Phase {
    kReading,
    kMapped,    // direct reads failed as a whole: all that was not read is left to the mappings
    kStopping,  // Stop() was called
  };

  DirectRows(const Reading& reading, std::vector<DirectLeaf> leaves, int64_t first_item,
             const DirectSizes& sizes, std::shared_ptr<Statistics> statistics);

  Phase phase() const { return phase_.load(std::memory_order_relaxed); }
  bool stopping() const { return phase() >= Phase::kStopping; }
  PieceSlot& SlotOf(int64_t piece) { return slots_[static_cast<size_t>(piece % slot_count_)]; }

  // The makers.
  bool IsEarly(int64_t item) const { return item < early_end_; }
  template <typename Ready>
  void WaitFor(int64_t pieces, const Ready& ready);
  bool LocateShared(int64_t item, std::span<const int64_t> rows, size_t leaf,
                    std::span<const std::byte*> addresses);
  // Some rows of a piece will not be copied any more.
  void ReleasePiece(int64_t piece, int64_t rows);
  // With shared pieces: some rows of an item will not be copied any more.
  void ReleaseItem(int64_t item, int64_t rows);
  // With shared pieces: items before this one have been made.
  void SetDone(int64_t done) REQUIRES(mutex_);

  // The thread.
  void Run();
  void ReadAll();
  void RequestFirstItems();
  // Plans the pieces that there is room for, until so many reads wait to begin.
  void PlanPieces(int depth);
  bool HasRoomFor(int64_t piece);
  void PlanPiece(int64_t piece);
  // From now on the rows of a planned piece are released in its slot. Returns whether there are any
  // left: makers may have given up before.
  bool Announce(int64_t piece, PieceSlot* slot);
  // Requests the rows that a layout has left out from the kernel.
  void RequestRefused(size_t leaf);
  std::vector<std::unique_ptr<ArrayPrefetcher>> MakeHints() const;
  void SetReady(int64_t piece);
  // Waits until there may be something to plan.
  void Sleep();
  int64_t WakeAt() const REQUIRES(mutex_);
  void ShowDepth(int depth);
  void CountCpu();

  const ItemPlan items_;
  const PiecePlan plan_;
  const std::vector<DirectLeaf> leaves_;
  const std::shared_ptr<Statistics> statistics_;
  const ReadMethod method_;
  const uint64_t id_;  // of all DirectRows of this process
  const int64_t slot_count_;
  const int64_t slot_bytes_;
  const int first_depth_;
  const int most_before_first_;  // until the first item was copied
  const int64_t early_end_;      // items before this one are left to the mappings
  const int64_t first_piece_;
  const std::unique_ptr<PieceSlot[]> slots_;
  std::optional<DirectBuffers> buffers_;  // made by the thread

  // Shared with the makers. What they wait for is written under mutex_, and read without it.
  std::atomic<int64_t> ready_before_;      // all pieces before this one are there, or were
  std::atomic<int64_t> early_items_;       // items before this one have been requested
  std::atomic<bool> first_copied_{false};  // a row of the first items
  std::atomic<int64_t> done_;
  std::atomic<int64_t> released_{0};  // pieces, of those that are not shared
  std::atomic<int64_t> wake_at_{0};   // so many of them, or done items: the thread wakes up
  std::atomic<Phase> phase_{Phase::kReading};
  Mutex mutex_;
  int64_t awaited_ GUARDED_BY(mutex_) = 0;  // pieces that were ever waited for
  int waiting_ GUARDED_BY(mutex_) = 0;      // makers
  bool ended_ GUARDED_BY(mutex_) = false;   // the thread touches nothing any more
  // Rows that were released before their piece was planned.
  std::map<int64_t, int64_t> released_early_ GUARDED_BY(mutex_);
  // With shared pieces: rows that were copied of items from done_ on.
  std::map<int64_t, int64_t> copied_rows_ GUARDED_BY(mutex_);
  CondVar wake_;   // the thread waits
  CondVar ready_;  // makers wait, or End()

  // The thread's own.
  int64_t next_piece_;
  // Of each leaf.
  std::vector<std::unique_ptr<DirectFiles>> files_;
  std::vector<std::unique_ptr<PieceLayout>> layouts_;
  std::vector<std::unique_ptr<ArrayPrefetcher>> hints_;
  std::optional<ReadQueue> queue_;
  int64_t cpu_ns_ = 0;  // counted
  int shown_depth_ = 0;
  uint64_t rounds_ = 0;
  std::vector<PieceRange> ranges_;
  std::vector<int64_t> rows_;
  std::vector<RowStretch> stretches_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_DIRECT_ROWS_H_
