#ifndef NPYFAST_CORE_STREAM_ITEM_MAKER_H_
#define NPYFAST_CORE_STREAM_ITEM_MAKER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "core/gather/batch_builder.h"
#include "core/readahead/direct_rows.h"
#include "core/readahead/readahead.h"
#include "core/stream/claims.h"
#include "core/stream/stream_options.h"

namespace npyfast {

// Makes the items of claims, once their pages have been requested. What fails becomes an outcome,
// and nothing here throws. Thread-safe: threads make different claims, or parts of one.
class ItemMaker {
 public:
  // For items from this one on. Stops once *closed is true. Its destructor waits for readahead, but
  // no longer than `most_wait`.
  ItemMaker(std::shared_ptr<const BatchBuilder> builder, const StreamOptions& options,
            int64_t first_item, const std::atomic<bool>* closed,
            std::chrono::milliseconds most_wait);

  const BatchBuilder& builder() const { return *builder_; }

  // Whether no disk is waited for: all rows are in memory, or readahead has read them.
  bool NeverWaits() const {
    if (direct_ != nullptr) return false;
    return readahead_ != nullptr ? readahead_->loaded() : resident_;
  }
  // Items before `item` are being made, and those before `done` will not be made again.
  void Reached(int64_t item, int64_t done) const;
  // Wakes those who wait for readahead. REQUIRES: *closed is true.
  void Wake() const;

  // All items of a claim, unless the stream is closed meanwhile.
  void MakeItems(Claim& claim) const noexcept;

  // For a claim that is made in parts: memory for its item, before any part is made. Returns false
  // if there is none; then the claim has that error as its outcome.
  bool Allocate(Claim& claim) const;
  // One part. Returns what it threw, if anything.
  std::exception_ptr MakePart(Claim& claim, int part) const noexcept;
  // Replaces the outcome of a claim of which a part has failed: by those of its batches.
  void TakeApart(Claim& claim) const noexcept;

 private:
  Stop WhetherToStop() const;
  bool closed() const { return closed_->load(std::memory_order_acquire); }
  // The outcomes of an item that could not be made as one: of each of its batches, if it has
  // several.
  void TakeApart(int64_t item, std::exception_ptr error, std::vector<Outcome>* outcomes) const;

  const std::atomic<bool>* const closed_;
  const std::shared_ptr<const BatchBuilder> builder_;
  bool resident_ = true;  // all rows were in memory at the beginning
  // Both may be null.
  Readahead::Handle readahead_;
  DirectRows::Handle direct_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_STREAM_ITEM_MAKER_H_
