#include "core/source/residency.h"

#include <cstdint>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

using Files = std::vector<size_t>;

TEST(MemoryAccount, CountsAllArrays) {
  const int64_t before = MemoryAccount::TotalBytes();
  MemoryAccount a;
  CHECK_EQ(a.bytes(), 0);
  a.Set(100);
  {
    MemoryAccount b;
    b.Set(30);
    CHECK_EQ(MemoryAccount::TotalBytes(), before + 130);
    CHECK_EQ(a.other_bytes(), before + 30);
    CHECK_EQ(b.other_bytes(), before + 100);
    b.Set(50);  // in place of the 30
    CHECK_EQ(a.other_bytes(), before + 50);
  }
  CHECK_EQ(MemoryAccount::TotalBytes(), before + 100);
  a.Set(0);
  CHECK_EQ(MemoryAccount::TotalBytes(), before);
}

TEST(ChunkClaims, EachChunkOnce) {
  ChunkClaims chunks;
  chunks.Reset(3);
  CHECK(chunks.Claim(1));
  CHECK(!chunks.Claim(1));
  CHECK(chunks.Claim(2));
  chunks.Reset(3);
  CHECK(chunks.Claim(1));
}

TEST(SeenRows, CoverPartsOfThem) {
  SeenRows seen;
  CHECK(!seen.Cover(0, 1));
  seen.Remember(10, 20);
  CHECK(seen.Cover(10, 20));
  CHECK(seen.Cover(12, 13));
  CHECK(!seen.Cover(9, 13));
  CHECK(!seen.Cover(12, 21));
}

TEST(RandomAdvice, TellsEachFileOnce) {
  RandomAdvice advice;
  CHECK(!advice.expected());
  CHECK(!advice.ShouldTell(0));
  CHECK_EQ(advice.Expect(false, 3), Files{});
  CHECK_EQ(advice.Expect(true, 3), Files{});
  CHECK(advice.expected());
  CHECK(advice.ShouldTell(2));
  CHECK(!advice.ShouldTell(2));
  CHECK(advice.ShouldTell(0));
  CHECK_EQ(advice.Expect(true, 3), Files{});
  CHECK(!advice.ShouldTell(0));
  // Only those that were told must be told otherwise.
  CHECK_EQ(advice.Expect(false, 3), (Files{0, 2}));
  CHECK(!advice.ShouldTell(1));
  CHECK_EQ(advice.Expect(true, 3), Files{});
  CHECK(advice.ShouldTell(0));
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
