#include "core/stream/indexed_batches.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <utility>

#include "core/base/errors.h"
#include "core/os/sigbus_guard.h"
#include "core/os/thread_pool.h"
#include "core/stream/reading_of.h"

namespace npyfast {

// Indexes that are requested one after the other.
struct IndexedBatches::Sequence {
  explicit Sequence(int64_t index) : next(index), position(index) {}

  // The batch of an index, which is the position.
  Batch Next(const IndexedBatches& batches, int64_t index) REQUIRES(mutex);
  // Passes the sequence on to the reader of the next index: after an error too, which a stream
  // reports once, in its place.
  void Advance(int64_t index) noexcept REQUIRES(mutex);

  int64_t next;  // the index of the coming reader; guarded by IndexedBatches::mutex_

  Mutex mutex;
  CondVar turn;
  int64_t position GUARDED_BY(mutex);  // the index that is delivered next
  bool confirmed GUARDED_BY(mutex) = false;
  std::unique_ptr<BatchStream> stream GUARDED_BY(mutex);
};

IndexedBatches::IndexedBatches(std::vector<std::shared_ptr<const Gather>> leaves, const Plan& plan,
                               const Epochs& epochs, const BatchStream::Options& options)
    : leaves_(std::move(leaves)),
      plan_(plan),
      run_{epochs.start_epoch, epochs.start_batch, epochs.epochs},
      single_epochs_(epochs.single_epochs),
      options_(options) {}

IndexedBatches::~IndexedBatches() = default;

void IndexedBatches::CheckIndex(int64_t index) const {
  const int64_t batches = run_.Batches(plan_);
  if (index >= 0 && index < INT64_MAX - run_.start_batch && (batches < 0 || index < batches))
    return;
  const std::string epochs =
      run_.epochs < 0 ? "endless epochs" : std::to_string(run_.epochs) + " epochs";
  throw IndexError("batch " + std::to_string(index) + " is out of range for " + epochs + " of " +
                   std::to_string(plan_.batches()) + " batches from batch " +
                   std::to_string(run_.start_batch) + " on");
}

Run IndexedBatches::RunFrom(int64_t index) const {
  Run run = run_.After(plan_, index);
  if (single_epochs_) run.epochs = 1;
  return run;
}

Batch IndexedBatches::MakeOne(int64_t index) const {
  const BatchBuilder maker(leaves_, plan_, RunFrom(index));
  InstallGuard();
  Readahead::RequestOnce(ReadingOf(maker), options_.readahead);
  const int parts = maker.Parts(options_.threads);
  const auto begin = std::chrono::steady_clock::now();
  Batch batch = maker.Allocate(0);
  const auto fill = [&](int part) { maker.Fill(0, part, parts, batch, {}, nullptr); };
  if (parts == 1) {
    fill(0);
  } else {
    ThreadPool::Shared().ParallelFor(parts, fill);
  }
  // A batch by itself comes too seldom for the looks from time to time.
  std::vector<int64_t> rows(static_cast<size_t>(batch.rows));
  maker.item_plan().Fill(maker.item_plan().At(0), 0, rows);
  for (const auto& leaf : leaves_) leaf->array()->CheckFilesOf(rows);
  CountOne(batch, maker.row_bytes(), std::chrono::steady_clock::now() - begin);
  return batch;
}

void IndexedBatches::CountOne(const Batch& batch, int64_t row_bytes,
                              std::chrono::nanoseconds spent) const {
  Statistics& statistics = *options_.statistics;
  statistics.Begin(Statistics::Clock::now() - spent);
  statistics.batches += 1;
  statistics.rows += batch.rows;
  statistics.bytes += batch.rows * row_bytes;
  statistics.waits += 1;
  statistics.wait_ns += spent.count();
}

std::shared_ptr<IndexedBatches::Sequence> IndexedBatches::SequenceAt(int64_t index) {
  std::shared_ptr<Sequence> forgotten;  // destroyed after the lock: it waits for its threads
  std::shared_ptr<Sequence> sequence;
  const MutexLock lock(mutex_);
  const auto found = std::find_if(sequences_.begin(), sequences_.end(),
                                  [index](const auto& s) { return s->next == index; });
  if (found != sequences_.end()) {
    std::rotate(found, found + 1, sequences_.end());
    sequence = sequences_.back();
  } else {
    sequence = std::make_shared<Sequence>(index);
    if (sequences_.size() == kMaxSequences) {
      forgotten = std::move(sequences_.front());
      sequences_.erase(sequences_.begin());
    }
    sequences_.push_back(sequence);
  }
  sequence->next = index + 1;
  return sequence;
}

Batch IndexedBatches::Sequence::Next(const IndexedBatches& batches, int64_t index) {
  // An epoch is begun in order to be read to its end. Elsewhere two indexes in a row make a
  // sequence: a single one may have been picked at random.
  if (stream == nullptr) {
    const Run run = batches.RunFrom(index);
    if (confirmed || run.start_batch == 0) {
      stream = std::make_unique<BatchStream>(
          std::make_shared<BatchBuilder>(batches.leaves_, batches.plan_, run), batches.options_);
    }
  }
  confirmed = true;
  if (stream == nullptr) return batches.MakeOne(index);
  Batch batch;
  BatchStream::Result result = stream->TryNext(&batch);
  while (result == BatchStream::Result::kNotYet)
    result = stream->Next(&batch, std::chrono::hours(1));
  return batch;
}

void IndexedBatches::Sequence::Advance(int64_t index) noexcept {
  if (stream != nullptr && stream->position() == stream->maker().items()) stream = nullptr;
  position = index + 1;
  turn.NotifyAll();
}

Batch IndexedBatches::Get(int64_t index) {
  CheckIndex(index);
  const std::shared_ptr<Sequence> sequence = SequenceAt(index);
  const MutexLock lock(sequence->mutex);
  // The readers of earlier indexes of this sequence are on their way here, or were here.
  while (sequence->position != index) sequence->turn.Wait(sequence->mutex);
  try {
    Batch batch = sequence->Next(*this, index);
    sequence->Advance(index);
    return batch;
  } catch (const std::bad_alloc&) {
    sequence->stream = nullptr;  // what it has made ahead has failed as well, and need not again
    sequence->Advance(index);
    throw;
  } catch (...) {
    sequence->Advance(index);
    throw;
  }
}

}  // namespace npyfast
