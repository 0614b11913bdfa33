#include "core/readahead/read_distance.h"

#include <chrono>
#include <cstdint>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kPlenty = int64_t{64} << 30;
constexpr ReadDistance::TimePoint kStart{};

TEST(ReadDistance, StartsShort) {
  ReadDistance distance(kPlenty, kStart);
  CHECK_EQ(distance.bytes(), 8 * kMiB);
  CHECK(distance.HasRoom());
  distance.Requested(0, 5 * kMiB);
  CHECK(distance.HasRoom());
  distance.Requested(1, 3 * kMiB);
  CHECK(!distance.HasRoom());
  distance.Used(1, kStart);
  CHECK(distance.HasRoom());
}

// 100 units of 1 MiB in 0.1 s are 500 MiB in half a second: towards that, halfway at each look.
TEST(ReadDistance, GrowsWithTheRate) {
  ReadDistance distance(kPlenty, kStart);
  for (int64_t unit = 0; unit < 1000; ++unit) distance.Requested(unit, kMiB);
  distance.Used(100, kStart + 99ms);
  CHECK_EQ(distance.bytes(), 8 * kMiB);
  distance.Used(100, kStart + 100ms);
  CHECK_EQ(distance.bytes(), (8 + 500) / 2 * kMiB);
  distance.Used(200, kStart + 200ms);
  CHECK_EQ(distance.bytes(), 256 * kMiB);
  // And back, when the makers stand still.
  distance.Used(200, kStart + 300ms);
  CHECK_EQ(distance.bytes(), 128 * kMiB);
  for (int i = 4; i < 20; ++i) distance.Used(200, kStart + i * 100ms);
  CHECK_EQ(distance.bytes(), 8 * kMiB);
}

TEST(ReadDistance, TakesAnEighthOfTheMemory) {
  ReadDistance distance(160 * kMiB, kStart);
  for (int64_t unit = 0; unit < 1000; ++unit) distance.Requested(unit, kMiB);
  distance.Used(500, kStart + 100ms);
  CHECK_EQ(distance.bytes(), 20 * kMiB);
  distance.Limit(80 * kMiB);
  distance.Used(900, kStart + 200ms);
  CHECK_EQ(distance.bytes(), 10 * kMiB);
  distance.Limit(0);  // but never less than the least
  distance.Used(1000, kStart + 300ms);
  CHECK_EQ(distance.bytes(), 8 * kMiB);
}

TEST(ReadDistance, WhatIsGoneTakesNoRoom) {
  ReadDistance distance(kPlenty, kStart);
  distance.Requested(0, 100 * kMiB);
  CHECK(!distance.HasRoom());
  distance.Forget();
  CHECK(distance.HasRoom());
  distance.Used(1, kStart + 200ms);  // nothing of it was used
  CHECK_EQ(distance.bytes(), 8 * kMiB);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
