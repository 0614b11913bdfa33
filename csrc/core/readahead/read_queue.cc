#include "core/readahead/read_queue.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "core/base/errors.h"

namespace npyfast {
namespace {

// Larger reads are divided by the kernel anyway, and hold up those that come after them.
constexpr int64_t kMostBytes = 1 << 20;

// A read that fails once may have met a path that is about to be replaced by another.
constexpr int kMostFailures = 1;

// A kernel that has no room for a read, or was interrupted, has it the next time.
constexpr int kMostAgain = 1000;

}  // namespace

ReadQueue::ReadQueue(std::unique_ptr<AsyncReader> reader) : reader_(std::move(reader)) {
  reads_.resize(static_cast<size_t>(reader_->depth()));
  for (uint64_t tag = 0; tag < reads_.size(); ++tag) unused_.push_back(tag);
}

void ReadQueue::Add(PieceSlot* slot, const PieceRange& range) {
  for (int64_t done = 0; done < range.bytes; done += kMostBytes) {
    waiting_.push_back({slot, range.file, range.opened, range.offset + done,
                        std::min(kMostBytes, range.bytes - done), range.out + done});
    ++slot->reads_left;
  }
}

int64_t ReadQueue::Advance(int depth, int least, std::chrono::milliseconds timeout,
                           std::vector<PieceSlot*>* finished) {
  depth = std::min(depth, reader_->depth());
  while (!waiting_.empty() && reader_->in_flight() < depth) {
    const uint64_t tag = unused_.back();
    unused_.pop_back();
    Read& read = reads_[tag];
    read = std::move(waiting_.front());
    waiting_.pop_front();
    reader_->Add({read.opened->descriptor(), read.offset, read.out, read.bytes, tag});
  }
  completed_.clear();
  reader_->Wait(std::min(least, reader_->in_flight()), timeout, &completed_);
  int64_t bytes = 0;
  for (const auto& [tag, result] : completed_) {
    Read& read = reads_[tag];
    bytes += std::max<int64_t>(result, 0);
    if (Finish(result, &read)) {
      if (--read.slot->reads_left == 0) finished->push_back(read.slot);
    } else {
      waiting_.push_front(std::move(read));
    }
    read = {};
    unused_.push_back(tag);
  }
  return bytes;
}

bool ReadQueue::Finish(int64_t result, Read* read) {
  if ((result == -EINTR || result == -EAGAIN) && read->again++ < kMostAgain) return false;
  if (result == -EINVAL || result == -EOPNOTSUPP) {
    read->slot->refused = true;
    return true;
  }
  if (result < 0) {
    if (read->failures++ < kMostFailures) return false;
    Fail(*read, static_cast<int>(-result));
    return true;
  }
  const int64_t wanted = std::min(read->bytes, read->file->size() - read->offset);
  if (result >= wanted) return true;
  // What follows a short read begins at a place that a direct read can begin at.
  const int64_t whole = result / read->opened->alignment() * read->opened->alignment();
  if (whole == 0 && read->failures++ >= kMostFailures) {
    Fail(*read, EIO);
    return true;
  }
  read->offset += whole;
  read->out += whole;
  read->bytes -= whole;
  return false;
}

void ReadQueue::Fail(const Read& read, int code) {
  if (read.slot->error) return;
  try {
    read.file->CheckUnchanged();  // a file that was truncated is an error of its own
    throw OsError(code, read.file->path(),
                  std::generic_category().message(code) + ": reading " +
                      std::to_string(read.bytes) + " bytes at byte " + std::to_string(read.offset) +
                      " failed twice");
  } catch (...) {
    read.slot->error = std::current_exception();
  }
}

}  // namespace npyfast
