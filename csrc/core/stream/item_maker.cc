#include "core/stream/item_maker.h"

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

#include "core/readahead/leaf_prefetchers.h"
#include "core/stream/reading_of.h"

namespace npyfast {
namespace {

// Rows copied between two looks at whether to stop, if each may wait for a disk.
constexpr int64_t kRowsThatWait = 16;

}  // namespace

ItemMaker::ItemMaker(std::shared_ptr<const BatchBuilder> builder, const StreamOptions& options,
                     int64_t first_item, const std::atomic<bool>* closed,
                     std::chrono::milliseconds most_wait)
    : closed_(closed), builder_(std::move(builder)) {
  const Reading reading = ReadingOf(*builder_);
  LeafPrefetchers leaves;
  if (reading.items.Has(first_item))
    leaves = MakePrefetchers(reading, options.readahead, options.statistics);
  resident_ = leaves.resident && std::none_of(reading.leaves.begin(), reading.leaves.end(),
                                              [](const Reading::Leaf& leaf) {
                                                return leaf.array->row_files() != nullptr;
                                              });
  if (!leaves.direct.empty()) {
    direct_ = DirectRows::Start(reading, std::move(leaves.direct), first_item, leaves.direct_sizes,
                                options.statistics);
  }
  readahead_ =
      Readahead::Start(reading, first_item, std::move(leaves.prefetchers), options.statistics);
  if (direct_ != nullptr) direct_.get_deleter().most = most_wait;
  if (readahead_ != nullptr) readahead_.get_deleter().most = most_wait;
}

void ItemMaker::Reached(int64_t item, int64_t done) const {
  if (direct_ != nullptr) direct_->Reached(done);
  if (readahead_ != nullptr) readahead_->Reached(item, done);
}

void ItemMaker::Wake() const {
  if (direct_ != nullptr) direct_->Stop();
  if (readahead_ != nullptr) readahead_->Stop();
}

Stop ItemMaker::WhetherToStop() const {
  return resident_ || direct_ != nullptr ? Stop{closed_} : Stop{closed_, kRowsThatWait};
}

void ItemMaker::MakeItems(Claim& claim) const noexcept {
  PostponedChecks checks;
  // Acquire: a reader of a claim that was cut short also sees that the stream is closed.
  for (int64_t i = 0; i < claim.count() && !closed(); ++i) {
    const int64_t item = claim.first() + i;
    try {
      if (readahead_ != nullptr) readahead_->Await(item);
      claim.outcomes.push_back({builder_->Make(item, WhetherToStop(), direct_.get())});
    } catch (...) {
      TakeApart(item, std::current_exception(), &claim.outcomes);
    }
  }
  try {
    checks.Check();
  } catch (...) {
    for (Outcome& outcome : claim.outcomes) {
      if (outcome.error) continue;
      outcome.batch = {};
      outcome.error = std::current_exception();
    }
  }
}

bool ItemMaker::Allocate(Claim& claim) const {
  try {
    claim.outcomes.push_back({builder_->Allocate(claim.first())});
    return true;
  } catch (const std::bad_alloc&) {
    claim.outcomes.push_back({{}, std::current_exception()});
    if (direct_ != nullptr) {
      const ItemPlan& plan = builder_->item_plan();
      direct_->Release(claim.first(), 0, plan.RowCount(plan.At(claim.first())));
    }
    return false;
  }
}

std::exception_ptr ItemMaker::MakePart(Claim& claim, int part) const noexcept {
  try {
    if (readahead_ != nullptr) readahead_->Await(claim.first());
    builder_->Fill(claim.first(), part, claim.parts(), claim.outcomes[0].batch, WhetherToStop(),
                   direct_.get());
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

void ItemMaker::TakeApart(Claim& claim) const noexcept {
  claim.outcomes.clear();
  TakeApart(claim.first(), claim.TakeError(), &claim.outcomes);
}

void ItemMaker::TakeApart(int64_t item, std::exception_ptr error,
                          std::vector<Outcome>* outcomes) const {
  const int64_t batches = builder_->item_plan().At(item).batches;
  try {
    // Room for the rest of the claim as well, which must not fail for lack of it.
    if (batches > 1) outcomes->reserve(outcomes->capacity() + static_cast<size_t>(batches) - 1);
  } catch (const std::bad_alloc&) {
    outcomes->push_back({{}, std::move(error)});
    return;
  }
  for (int64_t i = 0; i < batches && !closed(); ++i) {
    const bool last = i + 1 == batches;
    try {
      if (batches > 1) {
        outcomes->push_back({builder_->MakeBatch(item, i, WhetherToStop()), nullptr, last});
      } else {
        outcomes->push_back({{}, std::move(error)});
        break;
      }
    } catch (...) {
      outcomes->push_back({{}, std::current_exception(), last});
    }
  }
}

}  // namespace npyfast
