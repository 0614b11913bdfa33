#ifndef NPYFAST_CORE_STREAM_INDEXED_BATCHES_H_
#define NPYFAST_CORE_STREAM_INDEXED_BATCHES_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/gather/batch_builder.h"
#include "core/gather/gather.h"
#include "core/order/item_plan.h"
#include "core/os/mutex.h"
#include "core/stream/batch_stream.h"

namespace npyfast {

// The batches of a run by their index: any of them can be asked for at any time. Where indexes come
// one after the other, the coming batches are made ahead, which never changes a result.
//
// Batch i is the i-th from batch `start_batch` of epoch `start_epoch` on. Several sequences may be
// read at once, as interleaved iterators do. Thread-safe.
class IndexedBatches {
 public:
  // What indexes count: the batches of Run{start_epoch, start_batch, epochs}.
  struct Epochs {
    uint64_t start_epoch = 0;
    int64_t start_batch = 0;
    int64_t epochs = 1;  // negative: endless
    // Whether a reader may well stop at the end of any epoch: nothing is made ahead beyond it.
    bool single_epochs = false;
  };

  // REQUIRES: 0 <= epochs.start_batch <= plan.batches(); all leaves have the plan's rows.
  IndexedBatches(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan,
                 const Epochs& epochs, const BatchStream::Options& options);
  ~IndexedBatches();

  IndexedBatches(const IndexedBatches&) = delete;
  IndexedBatches& operator=(const IndexedBatches&) = delete;

  // One batch. Throws IndexError; std::bad_alloc.
  Batch Get(int64_t index);

 private:
  struct Sequence;

  // Sequences that are remembered: beyond these, the one that was read longest ago is forgotten.
  static constexpr size_t kMaxSequences = 8;

  void CheckIndex(int64_t index) const;
  // The batches from this index on that may be made ahead.
  Run RunFrom(int64_t index) const;
  Batch MakeOne(int64_t index) const;
  // Counts a batch that no stream made: its reader waited for it.
  void CountOne(const Batch& batch, int64_t row_bytes, std::chrono::nanoseconds spent) const;
  // The sequence that goes on with this index, or a new one.
  std::shared_ptr<Sequence> SequenceAt(int64_t index);

  const std::vector<std::shared_ptr<const Gather>> leaves_;
  const Plan plan_;
  const Run run_;
  const bool single_epochs_;
  const BatchStream::Options options_;

  Mutex mutex_;
  std::vector<std::shared_ptr<Sequence>> sequences_
      GUARDED_BY(mutex_);  // the last one read is last
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_INDEXED_BATCHES_H_
