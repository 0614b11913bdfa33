#include "core/stream/claims.h"

#include <algorithm>
#include <utility>

namespace npyfast {
namespace {

// Claims take about this long to make: long enough that locks and wake-ups do not count, short
// enough that nobody waits for the rest of a claim whose first item is ready.
constexpr auto kShortClaim = std::chrono::microseconds(20);
constexpr auto kLongClaim = std::chrono::microseconds(80);

}  // namespace

Claim::Claim(int64_t first, int64_t count, int parts)
    : first_(first), count_(count), parts_(parts) {
  outcomes.reserve(static_cast<size_t>(count));
}

bool Claim::EndPart(std::exception_ptr error) {
  ++parts_ended_;
  if (error) {
    phase_ = Phase::kFailed;
    if (!error_) error_ = std::move(error);
  }
  return parts_ended_ == parts_begun_ && !HasPartsLeft();
}

ClaimQueue::ClaimQueue(int64_t items, int64_t first_item, int64_t ahead, int parts)
    : items_(items), ahead_(ahead), parts_(parts), next_item_(first_item) {}

int64_t ClaimQueue::Room() const {
  const int64_t undelivered = claims_.empty() ? 0 : next_item_ - claims_.front()->first();
  const int64_t room = ahead_ - undelivered;
  return items_ < 0 ? room : std::min(room, items_ - next_item_);
}

bool ClaimQueue::HasRoomFor(int64_t items) const {
  const int64_t room = Room();
  return room > 0 && (room >= items || room == items_ - next_item_);
}

bool ClaimQueue::WorthWaking() const { return HasRoomFor(std::max(claim_items_, ahead_ / 2)); }

std::unique_ptr<Claim> ClaimQueue::NewClaim() const {
  const int64_t count = std::min(claim_items_, Room());
  return count > 0 ? std::make_unique<Claim>(next_item_, count, parts_) : nullptr;
}

void ClaimQueue::Add(std::unique_ptr<Claim> claim) {
  claims_.push_back(std::move(claim));
  next_item_ += claims_.back()->count();
}

std::unique_ptr<Claim> ClaimQueue::PopFront() {
  std::unique_ptr<Claim> front = std::move(claims_.front());
  claims_.pop_front();
  return front;
}

void ClaimQueue::Took(const Claim& claim, std::chrono::nanoseconds spent) {
  if (parts_ > 1 || claim.count() != claim_items_) return;
  if (spent < kShortClaim)
    claim_items_ = std::min(2 * claim_items_, std::max<int64_t>(ahead_ / 8, 1));
  if (spent > kLongClaim) claim_items_ = std::max<int64_t>(claim_items_ / 2, 1);
}

}  // namespace npyfast
