#include "core/os/buffer_pool.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

BufferPool& Pool() { return BufferPool::Shared(); }

// Gives all free blocks back to the system, and looks that none is left.
void Empty() {
  Pool().Reserve(-BufferPool::kKeptBytes);
  CHECK_EQ(Pool().free_bytes(), 0);
  Pool().Reserve(BufferPool::kKeptBytes);
}

TEST(BufferPool, BlocksOfEverySizeAreAlignedAndWritable) {
  std::vector<size_t> sizes = {0, 1, 63, 64, 65, 4032, 4096, 100'000};
  for (size_t shift = 12; shift <= 24; ++shift) {
    for (const size_t around :
         {(size_t{1} << shift) - 65, (size_t{1} << shift) - 64, (size_t{1} << shift) - 1,
          size_t{1} << shift, (size_t{1} << shift) + 1, (size_t{3} << shift) / 2})
      sizes.push_back(around);
  }
  for (const size_t size : sizes) {
    std::byte* block = Pool().Acquire(size);
    CHECK_EQ(reinterpret_cast<uintptr_t>(block) % BufferPool::kAlignment, 0u);
    std::memset(block, 0xAB, size);
    Pool().Release(block);
  }
  CHECK_EQ(Pool().used_bytes(), 0);
}

TEST(BufferPool, AtMostAnEighthIsWasted) {
  for (size_t size = 4096; size < (size_t{64} << 20); size += size / 7) {
    const Buffer block = AcquireBuffer(size);
    CHECK(Pool().used_bytes() >= static_cast<int64_t>(size));
    CHECK(Pool().used_bytes() <= static_cast<int64_t>(size + size / 8 + 64));
  }
}

TEST(BufferPool, TheLastFreedBlockIsTheNextTaken) {
  for (const size_t size : {size_t{1000}, size_t{1} << 20, size_t{4} << 20}) {
    Empty();
    std::byte* a = Pool().Acquire(size);
    std::byte* b = Pool().Acquire(size);
    CHECK(a != b);
    Pool().Release(a);
    Pool().Release(b);
    CHECK(Pool().Acquire(size) == b);
    CHECK(Pool().Acquire(size - 1) == a);  // nearly as large is large enough
    Pool().Release(a);
    Pool().Release(b);
  }
}

TEST(BufferPool, CountsWhatIsUsedAndWhatIsFree) {
  Empty();
  const int64_t used = Pool().used_bytes();
  Buffer block = AcquireBuffer(1 << 20);
  const int64_t bytes = Pool().used_bytes() - used;
  CHECK(bytes >= 1 << 20);
  CHECK_EQ(Pool().free_bytes(), 0);
  block = nullptr;
  CHECK_EQ(Pool().used_bytes(), used);
  CHECK_EQ(Pool().free_bytes(), bytes);
  block = AcquireBuffer(1 << 20);
  CHECK_EQ(Pool().free_bytes(), 0);
  CHECK_EQ(Pool().used_bytes(), used + bytes);
}

TEST(BufferPool, KeepsNoMoreThanItMay) {
  Empty();
  constexpr size_t kBlock = size_t{8} << 20;
  constexpr int64_t kReserved = 32 << 20;
  Pool().Reserve(kReserved);
  std::vector<Buffer> blocks;
  for (int i = 0; i < 20; ++i) blocks.push_back(AcquireBuffer(kBlock));
  blocks.clear();
  const int64_t with = Pool().free_bytes();
  CHECK(with <= BufferPool::kKeptBytes + kReserved);
  CHECK(with > BufferPool::kKeptBytes);
  Pool().Reserve(-kReserved);
  CHECK(Pool().free_bytes() <= BufferPool::kKeptBytes);
  CHECK(Pool().free_bytes() > BufferPool::kKeptBytes / 2);
}

TEST(BufferPool, GivesTheLargestBlocksBackFirst) {
  Empty();
  constexpr int64_t kReserved = 64 << 20;
  Pool().Reserve(kReserved);
  std::byte* small = Pool().Acquire(1000);
  std::byte* large = Pool().Acquire(size_t{100} << 20);
  Pool().Release(small);
  Pool().Release(large);
  CHECK(Pool().free_bytes() > 100 << 20);
  Pool().Reserve(-kReserved);
  CHECK(Pool().free_bytes() > 0);
  CHECK(Pool().free_bytes() < 2000);
  CHECK(Pool().Acquire(1000) == small);
  Pool().Release(small);
}

TEST(BufferPool, MoreIsGivenBackThanWasReserved) {
  Empty();
  Pool().Reserve(-BufferPool::kKeptBytes - 1);
  const Buffer block = AcquireBuffer(10);
  Pool().Reserve(BufferPool::kKeptBytes + 1);
}

TEST(BufferPool, WhatNoMachineHasIsBadAlloc) {
  const int64_t used = Pool().used_bytes();
  CHECK_THROWS(Pool().Acquire(size_t{1} << 60), std::bad_alloc, "");
  CHECK_THROWS(Pool().Acquire(static_cast<size_t>(std::numeric_limits<int64_t>::max())),
               std::bad_alloc, "");
  CHECK_EQ(Pool().used_bytes(), used);
}

TEST(BufferPool, BuffersMove) {
  Buffer a = AcquireBuffer(100);
  std::byte* block = a.get();
  Buffer b = std::move(a);
  CHECK(b.get() == block);
  b = nullptr;
  CHECK(AcquireBuffer(100).get() == block);
}

TEST(BufferPool, ManyThreadsNeverShareABlock) {
  Empty();
  std::vector<char> right(4, 1);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([t, &right] {
      std::mt19937_64 random(t);
      std::vector<std::pair<Buffer, size_t>> held;
      for (int i = 0; i < 3000; ++i) {
        const size_t size = size_t{1} << (random() % 15);
        held.emplace_back(AcquireBuffer(size), size);
        std::memset(held.back().first.get(), static_cast<int>(t), size);
        if (held.size() < 20) continue;
        std::swap(held[random() % held.size()], held.back());
        for (size_t at = 0; at < held.back().second; ++at) {
          if (held.back().first[at] != static_cast<std::byte>(t)) right[t] = 0;
        }
        held.pop_back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(right, std::vector<char>(4, 1));
  CHECK_EQ(Pool().used_bytes(), 0);
}

TEST(BufferPool, WorksInAForkedChildWhileThreadsUseIt) {
  // The threads never rest here, and one may be inside the sanitizer's runtime, with its locks.
  if (testing::kAddressSanitizer || testing::kThreadSanitizer)
    SKIP("a sanitizer does not survive such a fork()");
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&stop] {
      while (!stop) AcquireBuffer(1000);
    });
  }
  std::string failure;
  try {
    for (int i = 0; i < 50; ++i) {
      IN_CHILD([] {
        for (int k = 0; k < 10; ++k) AcquireBuffer(1000);
      });
    }
  } catch (const testing::Failure& e) {
    failure = e.what();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(failure, "");
}

TEST(BufferPool, RefusesBytesThatCannotBeCounted) {
  constexpr int64_t kHalf = int64_t{1} << 60;
  CHECK_EQ(BytesOfRows(3, 100), 300);
  CHECK_EQ(BytesOfRows(0, kHalf), 0);
  CHECK_EQ(BytesOfRows(16, kHalf), BufferPool::kTooManyBytes);  // 2**64, which would be 0
  CHECK_EQ(BytesOfRows(17, kHalf), BufferPool::kTooManyBytes);  // and this a large block
  CHECK_EQ(BytesTogether(kHalf * 7, kHalf * 7), BufferPool::kTooManyBytes);
  CHECK_EQ(BytesTogether(3, 4), 7);
  const int64_t used = BufferPool::Shared().used_bytes();
  for (const int64_t rows : {4, 7, 8, 15, 16, 17, 32})
    CHECK_THROWS(AcquireRows(rows, kHalf), std::bad_alloc, "");
  CHECK_THROWS(AcquireBuffer(SIZE_MAX), std::bad_alloc, "");
  CHECK_THROWS(AcquireBuffer(SIZE_MAX - 63), std::bad_alloc, "");
  CHECK_EQ(BufferPool::Shared().used_bytes(), used);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
