#include "core/os/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <new>

#include "core/os/fork.h"
#include "core/os/page_size.h"

namespace npyfast {
namespace {

// Made when the library is loaded: no fork can come in between.
[[maybe_unused]] const BufferPool& made_at_load = BufferPool::Shared();

constexpr size_t kHugePage = size_t{2} << 20;

// The head of every block, in front of the bytes that are handed out.
struct Head {
  size_t capacity;
};
constexpr size_t kHeadBytes = BufferPool::kAlignment;
static_assert(sizeof(Head) <= kHeadBytes);

Head* HeadOf(std::byte* block) { return reinterpret_cast<Head*>(block - kHeadBytes); }

// Batches of nearly the same size share blocks: at most an eighth of one is wasted.
size_t CapacityFor(size_t bytes) {
  // At least one: a block without bytes has its own address, too.
  const size_t total = std::max<size_t>(bytes, 1) + kHeadBytes;
  const size_t step = std::max(BufferPool::kAlignment, std::bit_floor(total) / 8);
  return (total + step - 1) / step * step - kHeadBytes;
}

// From here on a block is a mapping of its own, so that giving it up gives its pages back.
constexpr size_t kMapFrom = size_t{256} << 10;

// A mapping of `bytes` bytes, aligned to a huge page where it can hold one.
void* Map(size_t bytes) {
  const size_t slack = bytes >= kHugePage ? kHugePage : 0;
  void* memory =
      ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (slack == 0) return memory;
  auto* first = static_cast<std::byte*>(memory);
  const size_t before = -reinterpret_cast<uintptr_t>(first) % kHugePage;
  if (before > 0) ::munmap(first, before);
  // munmap takes whole pages: of the slack after the block, only those.
  const auto page = static_cast<size_t>(PageBytes());
  const size_t end = (bytes + page - 1) / page * page;
  if (before + end < bytes + slack) ::munmap(first + before + end, bytes + slack - before - end);
  // Huge pages cut the faults of a fresh block, and the TLB misses of every later use, by 512.
  // Advice: where it is refused nothing is lost.
#if defined(MADV_HUGEPAGE)
  ::madvise(first + before, bytes, MADV_HUGEPAGE);
#endif
  return first + before;
}

std::byte* Allocate(size_t capacity) {
  const size_t total = capacity + kHeadBytes;
  void* memory = total >= kMapFrom ? Map(total) : std::aligned_alloc(BufferPool::kAlignment, total);
  if (memory == nullptr) throw std::bad_alloc();
  new (memory) Head{capacity};
  return static_cast<std::byte*>(memory) + kHeadBytes;
}

void Free(std::byte* block) {
  Head* head = HeadOf(block);
  const size_t total = head->capacity + kHeadBytes;
  if (total >= kMapFrom) {
    ::munmap(head, total);
  } else {
    std::free(head);
  }
}

}  // namespace

BufferPool& BufferPool::Shared() {
  // Never destroyed: arrays outlive main().
  static BufferPool* const pool = new BufferPool;
  static const AtFork at_fork(ForkRank::kOs, pool->mutex_);
  return *pool;
}

std::byte* BufferPool::Acquire(size_t bytes) {
  if (bytes >= static_cast<size_t>(kTooManyBytes)) throw std::bad_alloc();
  const size_t capacity = CapacityFor(bytes);
  {
    const MutexLock lock(mutex_);
    used_bytes_ += static_cast<int64_t>(capacity);
    const auto found = free_.find(capacity);
    if (found != free_.end() && !found->second.empty()) {
      std::byte* block = found->second.back();
      found->second.pop_back();
      free_bytes_ -= static_cast<int64_t>(capacity);
      return block;
    }
  }
  try {
    return Allocate(capacity);
  } catch (...) {
    const MutexLock lock(mutex_);
    used_bytes_ -= static_cast<int64_t>(capacity);
    throw;
  }
}

void BufferPool::Release(std::byte* block) noexcept {
  const auto capacity = static_cast<int64_t>(HeadOf(block)->capacity);
  {
    const MutexLock lock(mutex_);
    used_bytes_ -= capacity;
    if (free_bytes_ + capacity <= kKeptBytes + reserved_bytes_) {
      try {
        free_[static_cast<size_t>(capacity)].push_back(block);
        free_bytes_ += capacity;
        return;
      } catch (const std::bad_alloc&) {  // then it goes back to the system
      }
    }
  }
  Free(block);
}

void BufferPool::Reserve(int64_t bytes) noexcept {
  const MutexLock lock(mutex_);
  reserved_bytes_ += bytes;
  Trim(kKeptBytes + reserved_bytes_);
}

void BufferPool::Trim(int64_t limit) noexcept {
  while (free_bytes_ > limit && !free_.empty()) {
    const auto largest = std::prev(free_.end());
    if (!largest->second.empty()) {
      Free(largest->second.back());
      largest->second.pop_back();
      free_bytes_ -= static_cast<int64_t>(largest->first);
    } else {
      free_.erase(largest);
    }
  }
}

int64_t BufferPool::used_bytes() const {
  const MutexLock lock(mutex_);
  return used_bytes_;
}

int64_t BufferPool::free_bytes() const {
  const MutexLock lock(mutex_);
  return free_bytes_;
}

}  // namespace npyfast
