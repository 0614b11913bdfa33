#ifndef NPYFAST_CORE_READAHEAD_READ_QUEUE_H_
#define NPYFAST_CORE_READAHEAD_READ_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <vector>

#include "core/os/async_reader.h"
#include "core/readahead/piece_slot.h"

namespace npyfast {

// Reads ranges into slots, many at once, in the order in which they were added. A read that fails
// is tried once more; then the error is the slot's, or the slot is refused if the file turns out
// not to have direct reads. For one thread.
class ReadQueue {
 public:
  explicit ReadQueue(std::unique_ptr<AsyncReader> reader);

  // Adds the reads of a range to those of a slot (PieceSlot::reads_left).
  void Add(PieceSlot* slot, const PieceRange& range);

  int in_flight() const { return reader_->in_flight(); }
  // Reads that have not begun.
  size_t waiting() const { return waiting_.size(); }
  ReadMethod method() const { return reader_->method(); }

  // Starts reads until `depth` are in flight, and waits until `least` of them have completed, but
  // no longer than `timeout`. Adds the slots that have none left; returns how many bytes came.
  int64_t Advance(int depth, int least, std::chrono::milliseconds timeout,
                  std::vector<PieceSlot*>* finished);

 private:
  struct Read {
    PieceSlot* slot = nullptr;
    const MappedFile* file = nullptr;
    std::shared_ptr<const DirectFile> opened = nullptr;
    int64_t offset = 0;
    int64_t bytes = 0;
    std::byte* out = nullptr;
    int failures = 0;
    int again = 0;  // times that the kernel wanted it to be tried again
  };

  // Takes in how a read has ended. Returns whether there is nothing left to read; else what is left
  // of it is in `read`.
  static bool Finish(int64_t result, Read* read);
  static void Fail(const Read& read, int code);

  const std::unique_ptr<AsyncReader> reader_;
  std::deque<Read> waiting_;
  std::vector<Read> reads_;       // in flight, by tag
  std::vector<uint64_t> unused_;  // tags
  std::vector<AsyncReader::Completion> completed_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READ_QUEUE_H_
