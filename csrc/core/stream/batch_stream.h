#ifndef NPYFAST_CORE_STREAM_BATCH_STREAM_H_
#define NPYFAST_CORE_STREAM_BATCH_STREAM_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "core/gather/batch_builder.h"
#include "core/os/mutex.h"
#include "core/stream/stream_options.h"

namespace npyfast {

class Claim;
class StreamState;

// Delivers the items of a run in order, while threads of the shared pool make the coming ones.
//
// A bounded number of items is made ahead. A reader that comes too early makes items itself instead
// of waiting, so that `threads` threads are at work with one of them the reader's own. Thread-safe:
// several readers get each item once. Works in a forked child, too, from the item where it was.
//
// Invariants:
// - Items before position() were delivered, or an error in their place. current_ holds the next
//   ones, if it is not null, and the state those after them.
// - A reader that holds reader_ may take the state's mutex, never the other way round.
// - closed_ is the one word for the end. Tasks, readahead and copies in progress look at it.
// - In a forked child, generation_ is not ForkGeneration() until the state is the child's own.
// Until
//   then nothing in it is touched: its threads, and what they had locked, stayed in the parent.
class BatchStream {
 public:
  using Options = StreamOptions;

  enum class Result { kItem, kEnd, kNotYet };

  BatchStream(std::shared_ptr<const BatchBuilder> maker, const Options& options);
  // Close(), and waits for what is being made: nothing of the sources is read afterwards. What only
  // reads files is not waited for long, as they may not answer: it keeps what it needs of them.
  ~BatchStream();

  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  const BatchBuilder& maker() const { return *maker_; }

  // The next item if it is ready and the files need no look; never waits.
  Result TryNext(Batch* item);
  // The next item: makes it, if that waits for no disk, or waits up to `timeout` for the threads
  // that do.
  //
  // Rethrows what making the item threw, once, in its place; the item after it comes next. If an
  // item of several batches fails, those that can be made come one by one instead, and an error in
  // the place of each of the others. A changed file is the error of each item from when that is
  // seen: before the first item, and then whenever it is time for a look (Array::CheckIsDue).
  Result Next(Batch* item, std::chrono::milliseconds timeout);

  // Ends the stream: what is read next is kEnd. Does not wait.
  void Close();
  bool closed() const { return closed_->load(); }

  // Items delivered, and those whose place an error took.
  int64_t position() const { return position_.load(std::memory_order_relaxed); }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // An outcome of current_, which becomes null at its end. With `changed`, a batch becomes an
  // error.
  Result TakeReady(Batch* item, const std::exception_ptr& changed = nullptr) REQUIRES(reader_);
  bool CheckIsDue() const;
  // Looks at the files, if it is time to; returns false if that takes longer than `deadline`.
  bool CheckFiles(TimePoint deadline, std::exception_ptr* changed);
  void Count(const Batch& item) const;
  std::shared_ptr<StreamState> NewState(int64_t first_item) const;
  void RebuildAfterFork();
  // What the parent's threads may be at is neither touched nor released. In the child nobody else
  // uses current_.
  void AbandonState() NO_THREAD_SAFETY_ANALYSIS;

  const std::shared_ptr<const BatchBuilder> maker_;
  const Options options_;
  const int64_t row_bytes_;  // of all leaves together
  const std::shared_ptr<std::atomic<bool>> closed_;
  std::shared_ptr<StreamState> state_;
  std::atomic<uint64_t> generation_;
  // The arrays with files, each once, and whether they have been looked at since the stream began.
  std::vector<std::shared_ptr<const Array>> files_;
  std::atomic<bool> checked_{true};

  Mutex reader_;
  std::unique_ptr<Claim> current_
      GUARDED_BY(reader_);  // delivered item by item without the state's mutex
  std::atomic<int64_t> position_{0};
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_BATCH_STREAM_H_
