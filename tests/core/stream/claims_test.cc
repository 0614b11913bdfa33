#include "core/stream/claims.h"

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;
using Part = ClaimQueue::Part;

std::exception_ptr Error(const char* what) {
  return std::make_exception_ptr(std::runtime_error(what));
}

// Claims the next items, and begins the first part.
Part Begin(ClaimQueue& queue) {
  std::unique_ptr<Claim> claim = queue.NewClaim();
  if (claim == nullptr) return {};
  queue.Add(std::move(claim));
  return queue.BeginPart();
}

// Ends a claim of one part, which took so long.
void End(ClaimQueue& queue, const Part& part, std::chrono::nanoseconds spent = 50us) {
  CHECK(part.claim->EndPart(nullptr));
  part.claim->Finish();
  queue.Took(*part.claim, spent);
}

TEST(Claim, IsDoneAfterItsLastPart) {
  Claim claim(7, 1, 3);
  CHECK_EQ(claim.BeginPart(), 0);
  CHECK_EQ(claim.BeginPart(), 1);
  CHECK(!claim.EndPart(nullptr));
  CHECK(!claim.EndPart(nullptr));  // the third is left
  CHECK(claim.HasPartsLeft());
  CHECK_EQ(claim.BeginPart(), 2);
  CHECK(!claim.HasPartsLeft());
  CHECK(claim.EndPart(nullptr));
  CHECK(!claim.failed());
  CHECK(!claim.done());
  claim.Finish();
  CHECK(claim.done());
}

TEST(Claim, HasNoPartsLeftOnceOneHasFailed) {
  Claim claim(0, 1, 4);
  claim.BeginPart();
  claim.BeginPart();
  CHECK(!claim.EndPart(Error("first")));
  CHECK(claim.failed());
  CHECK(!claim.HasPartsLeft());
  CHECK(claim.EndPart(Error("second")));  // the last in progress
  CHECK(!claim.done());
  CHECK_THROWS(std::rethrow_exception(claim.TakeError()), std::runtime_error, "first");
  claim.Finish();
  CHECK(claim.done());
  CHECK(!claim.failed());
}

TEST(Claim, DeliversItsOutcomesOnce) {
  Claim claim(0, 2, 1);
  claim.outcomes.push_back({{.rows = 1, .columns = {}}});
  claim.outcomes.push_back({{.rows = 2, .columns = {}}});
  CHECK_EQ(claim.Next().batch.rows, 1);
  CHECK(claim.HasNext());
  CHECK_EQ(claim.Next().batch.rows, 2);
  CHECK(!claim.HasNext());
}

TEST(ClaimQueue, ClaimsFollowEachOther) {
  ClaimQueue queue(5, 2, 100, 1);  // items 2, 3 and 4
  CHECK(!queue.AllClaimed());
  for (int64_t item = 2; item < 5; ++item) {
    const Part part = Begin(queue);
    CHECK_EQ(part.claim->first(), item);
    CHECK_EQ(part.number, 0);
    CHECK_EQ(queue.next_item(), item + 1);
  }
  CHECK(queue.AllClaimed());
  CHECK(Begin(queue).claim == nullptr);
}

TEST(ClaimQueue, HoldsNoMoreThanItMay) {
  ClaimQueue queue(-1, 0, 3, 1);
  Part parts[3];
  for (Part& part : parts) part = Begin(queue);
  CHECK(Begin(queue).claim == nullptr);
  CHECK(!queue.WorthClaiming());
  // Delivered in order: that the second one is done is of no use.
  End(queue, parts[1]);
  CHECK(!queue.FrontIsDone());
  End(queue, parts[0]);
  CHECK(queue.FrontIsDone());
  CHECK_EQ(queue.PopFront()->first(), 0);
  CHECK(queue.FrontIsDone());
  CHECK_EQ(Begin(queue).claim->first(), 3);
  CHECK(Begin(queue).claim == nullptr);
}

TEST(ClaimQueue, ClaimsGrowWhileTheyAreShort) {
  ClaimQueue queue(-1, 0, 64, 1);
  for (const int64_t count : {1, 2, 4, 8, 8, 8}) {  // an eighth of the queue at most
    const Part part = Begin(queue);
    CHECK_EQ(part.claim->count(), count);
    End(queue, part, 1us);
    queue.PopFront();
  }
  for (const int64_t count : {8, 4, 2, 1, 1}) {
    const Part part = Begin(queue);
    CHECK_EQ(part.claim->count(), count);
    End(queue, part, 1ms);
    queue.PopFront();
  }
}

TEST(ClaimQueue, OnlyTheNewestClaimHasPartsLeft) {
  ClaimQueue queue(-1, 0, 2, 2);
  const Part first = Begin(queue);
  CHECK(queue.HasPartsLeft());
  const Part second = queue.BeginPart();
  CHECK(first.claim == second.claim);
  CHECK_EQ(second.number, 1);
  CHECK(!queue.HasPartsLeft());
  CHECK_EQ(Begin(queue).claim->first(), 1);
}

TEST(ClaimQueue, WorkersBeginWhenHalfOfItIsDelivered) {
  ClaimQueue queue(-1, 0, 8, 1);
  CHECK(queue.WorthWaking());
  Part parts[8];
  for (Part& part : parts) part = Begin(queue);
  for (const Part& part : parts) End(queue, part);
  for (int i = 0; i < 3; ++i) queue.PopFront();
  CHECK(queue.WorthClaiming());
  CHECK(!queue.WorthWaking());
  queue.PopFront();
  CHECK(queue.WorthWaking());
}

TEST(ClaimQueue, TheLastItemsAreWorthIt) {
  ClaimQueue queue(2, 0, 64, 1);
  CHECK(queue.WorthWaking());
  Begin(queue);
  CHECK(queue.WorthWaking());
  Begin(queue);
  CHECK(!queue.WorthWaking());
  CHECK(!queue.WorthClaiming());
}

TEST(ClaimQueue, AnItemMayBeLeftOut) {
  ClaimQueue queue(3, 0, 8, 1);
  queue.SkipItem();
  CHECK_EQ(Begin(queue).claim->first(), 1);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
