#ifndef NPYFAST_CORE_STREAM_CLAIMS_H_
#define NPYFAST_CORE_STREAM_CLAIMS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "core/gather/batch_builder.h"

namespace npyfast {

// What became of an item; or of one of its batches, if the item could not be made as one.
struct Outcome {
  Batch batch;
  std::exception_ptr error = nullptr;  // instead of the batch
  bool last = true;                    // of its item
};

// Consecutive items that one thread makes, or a single large item that several threads make in
// parts.
//
//   kMaking ------------> kDone   all parts were made, or there was no memory for the item
//      |                    ^
//      +----> kFailed ------+     a part failed: no other begins, each batch is made by itself
//
// Until it is done its outcomes belong to the threads that make it, then to the reader.
class Claim {
 public:
  // Throws std::bad_alloc.
  Claim(int64_t first, int64_t count, int parts);

  int64_t first() const { return first_; }
  int64_t count() const { return count_; }
  int parts() const { return parts_; }

  bool HasPartsLeft() const { return phase_ == Phase::kMaking && parts_begun_ < parts_; }
  // The number of a part that the caller is to make. REQUIRES: HasPartsLeft().
  int BeginPart() { return parts_begun_++; }
  // A part has ended, with an error if it failed. Returns whether no part is in progress or left:
  // then the caller calls Finish(), after it has replaced the outcomes if the claim has failed.
  bool EndPart(std::exception_ptr error);
  bool failed() const { return phase_ == Phase::kFailed; }
  // Of the first part that failed.
  std::exception_ptr TakeError() { return std::move(error_); }
  void Finish() { phase_ = Phase::kDone; }
  bool done() const { return phase_ == Phase::kDone; }

  // In the order of delivery.
  std::vector<Outcome> outcomes;

  // The reader's: the outcomes that are not delivered yet.
  bool HasNext() const { return delivered_ < outcomes.size(); }
  Outcome& Next() { return outcomes[delivered_++]; }

 private:
  enum class Phase { kMaking, kFailed, kDone };

  const int64_t first_;
  const int64_t count_;
  const int parts_;
  Phase phase_ = Phase::kMaking;
  int parts_begun_ = 0;
  int parts_ended_ = 0;
  std::exception_ptr error_;
  size_t delivered_ = 0;
};

// The claims of a stream that are not yet delivered, in order.
//
//   items   0 1 2 3 | 4 5 6 | 7 8 9 | 10 11 12 13 ...
//   ------------------------------------------------
//         delivered | front | back  | unclaimed
//
// Each claim begins where the one before ends. At most `ahead` items are in the queue. Only the
// newest claim may have parts left. Makes no item and knows no thread; for use under a lock.
class ClaimQueue {
 public:
  // A part of a claim to be made.
  struct Part {
    Claim* claim = nullptr;
    int number = 0;
  };

  // `items`: of the run, -1 if it is endless. `parts`: of each item.
  ClaimQueue(int64_t items, int64_t first_item, int64_t ahead, int parts);

  bool empty() const { return claims_.empty(); }
  int64_t ahead() const { return ahead_; }
  int parts() const { return parts_; }
  // The first item that is not claimed.
  int64_t next_item() const { return next_item_; }
  bool AllClaimed() const { return items_ >= 0 && next_item_ >= items_; }

  // Whether a worker should go on. Not for the first item that there is room for: as many items
  // enter the queue as leave it, and claims that are small once would stay small.
  bool WorthClaiming() const { return HasRoomFor(claim_items_); }
  // Whether workers should begin. Not before half of the queue has been delivered: to wake them
  // costs the reader more than to make some small items.
  bool WorthWaking() const;

  bool HasPartsLeft() const { return !claims_.empty() && claims_.back()->HasPartsLeft(); }
  // A part of the newest claim. REQUIRES: HasPartsLeft().
  Part BeginPart() { return {claims_.back().get(), claims_.back()->BeginPart()}; }

  // A claim of the next items, not in the queue yet. Null if there is no room, or no item is left.
  // Throws std::bad_alloc.
  std::unique_ptr<Claim> NewClaim() const;
  // Adds what NewClaim() returned last. Throws std::bad_alloc, and then has not changed.
  void Add(std::unique_ptr<Claim> claim);
  // Leaves out the next item. REQUIRES: empty().
  void SkipItem() { ++next_item_; }

  const Claim& front() const { return *claims_.front(); }
  bool FrontIsDone() const { return !claims_.empty() && claims_.front()->done(); }
  std::unique_ptr<Claim> PopFront();
  void Clear() { claims_.clear(); }

  // Learns from a claim of whole items how many should be claimed at once.
  void Took(const Claim& claim, std::chrono::nanoseconds spent);

 private:
  // Items that may be claimed now.
  int64_t Room() const;
  // Whether there is room for so many items, or for all that are left.
  bool HasRoomFor(int64_t items) const;

  const int64_t items_;
  const int64_t ahead_;
  const int parts_;
  int64_t next_item_;
  int64_t claim_items_ = 1;  // small at first, so that the first batch is there soon
  std::deque<std::unique_ptr<Claim>> claims_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_CLAIMS_H_
