#ifndef NPYFAST_CORE_STREAM_BATCH_STREAM_H_
#define NPYFAST_CORE_STREAM_BATCH_STREAM_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/gather/batch_builder.h"
#include "core/readahead/readahead.h"

namespace npyfast {

// Delivers the items of a run in order, while threads of the shared pool make the coming ones.
//
// A bounded number of items is made ahead. A reader that comes too early makes items itself instead
// of waiting, so that `threads` threads are at work with one of them the reader's own. Thread-safe:
// several readers get each item once. Works on in a forked child, from the item where it was.
class BatchStream {
 public:
  struct Options {
    int threads = 1;                 // at work at once, the reader's among them
    int64_t ahead_bytes = 16 << 20;  // made ahead, unless a single item for each thread is more
    int64_t ahead_items = 1024;      // and no more than so many
    ReadaheadMode readahead = ReadaheadMode::kOff;
    std::shared_ptr<Statistics> statistics = std::make_shared<Statistics>();
  };

  enum class Result { kItem, kEnd, kNotYet };

  BatchStream(std::shared_ptr<const BatchBuilder> maker, const Options& options);
  // Close(), and waits for what is being made: nothing of the sources is read afterwards. But not
  // long for what only reads files, as they may not answer: that keeps what it needs of them.
  ~BatchStream();

  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  const BatchBuilder& maker() const { return *maker_; }

  // The next item if it lies ready, and it is not time to look at the files; never waits.
  Result TryNext(Batch* item);
  // The next item; makes it, where that waits for no disk, or waits up to `timeout` for the threads
  // that do.
  //
  // Rethrows what making the item threw, once, in its place: what is read next is the item behind
  // it. Of an item that is several batches, those that can be made come one by one instead, and an
  // error in the place of each of the others. Files that were changed are the error of each item
  // from when that is seen: before the first item, and then whenever it is time for a look
  // (Array::CheckIsDue).
  Result Next(Batch* item, std::chrono::milliseconds timeout);

  // Ends the stream: what is read next is kEnd. Does not wait.
  void Close();
  bool closed() const { return closed_; }

  // Items delivered, those among them whose place an error took.
  int64_t position() const;

 private:
  struct Outcome;
  struct Claim;
  struct State;

  using TimePoint = std::chrono::steady_clock::time_point;

  Result TakeReady(Batch* item, const std::exception_ptr& changed = nullptr);
  bool CheckIsDue() const;
  // Looks at the files, if it is time to; returns false where that takes longer than `deadline`.
  bool CheckFiles(TimePoint deadline, std::exception_ptr* changed);
  void Count(const Batch& item) const;
  Claim* TryClaim(State& state);
  bool MayClaim(State& state);
  static void Discard(State& state);
  void RebuildAfterFork();
  std::shared_ptr<State> NewState(int64_t first_item) const;

  const std::shared_ptr<const BatchBuilder> maker_;
  const Options options_;
  const int64_t row_bytes_;  // of all leaves together
  std::shared_ptr<State> state_;
  std::atomic<uint64_t> generation_;
  std::atomic<bool> closed_{false};
  // The arrays with files, each once, and whether they have been looked at since the stream began.
  std::vector<std::shared_ptr<const Array>> files_;
  std::atomic<bool> checked_{true};

  // The reader's side. Whoever holds reader_ may take state_'s lock, never the other way round.
  mutable std::mutex reader_;
  std::unique_ptr<Claim>
      current_;  // taken out of the state; delivered item by item without its lock
  std::atomic<int64_t> position_{0};
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_BATCH_STREAM_H_
