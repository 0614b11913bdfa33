#include "core/source/residency.h"

#include "core/os/fork.h"

namespace npyfast {

struct ResidencyFork {
  static const AtFork at_fork;
};

namespace {

using Clock = std::chrono::steady_clock;

// How long rows that were seen in memory are taken to be there.
constexpr auto kSeenFor = std::chrono::seconds(1);

}  // namespace

Mutex ResidencyMutex::mutex_;
const AtFork ResidencyFork::at_fork{ForkRank::kSource, ResidencyMutex::mutex_};
int64_t MemoryAccount::total_bytes_ = 0;

MemoryAccount::~MemoryAccount() { Set(0); }

int64_t MemoryAccount::TotalBytes() {
  const MutexLock lock(mutex_);
  return total_bytes_;
}

int64_t MemoryAccount::bytes() const {
  const MutexLock lock(mutex_);
  return bytes_;
}

int64_t MemoryAccount::other_bytes() const {
  const MutexLock lock(mutex_);
  return total_bytes_ - bytes_;
}

void MemoryAccount::Set(int64_t bytes) {
  const MutexLock lock(mutex_);
  total_bytes_ += bytes - bytes_;
  bytes_ = bytes;
}

void ChunkClaims::Reset(int64_t chunks) {
  const MutexLock lock(mutex_);
  requested_.assign(static_cast<size_t>(chunks), false);
}

bool ChunkClaims::Claim(int64_t chunk) {
  const MutexLock lock(mutex_);
  if (requested_[static_cast<size_t>(chunk)]) return false;
  requested_[static_cast<size_t>(chunk)] = true;
  return true;
}

void ResidentChunks::Prepare(int64_t chunks) {
  const MutexLock lock(mutex_);
  if (resident_.empty()) resident_ = std::vector<std::atomic<bool>>(static_cast<size_t>(chunks));
}

bool ResidentChunks::IsPrepared() const {
  const MutexLock lock(mutex_);
  return !resident_.empty();
}

bool ResidentChunks::Hold(int64_t first, int64_t last) const {
  for (int64_t c = first; c <= last; ++c)
    if (!resident_[static_cast<size_t>(c)].load(std::memory_order_relaxed)) return false;
  return true;
}

int64_t ResidentChunks::CountOutside(int64_t first, int64_t end) const {
  int64_t count = 0;
  for (int64_t c = 0; c < std::ssize(resident_); ++c)
    if ((c < first || c >= end) && Hold(c, c)) ++count;
  return count;
}

void ResidentChunks::Set(int64_t chunk, bool resident) {
  resident_[static_cast<size_t>(chunk)].store(resident, std::memory_order_relaxed);
}

void SeenRows::Remember(int64_t first_row, int64_t end_row) {
  const MutexLock lock(mutex_);
  at_ = Clock::now();
  first_row_ = first_row;
  end_row_ = end_row;
}

bool SeenRows::Cover(int64_t first_row, int64_t end_row) const {
  const MutexLock lock(mutex_);
  return first_row_ <= first_row && end_row <= end_row_ && Clock::now() - at_ < kSeenFor;
}

std::vector<size_t> RandomAdvice::Expect(bool random, size_t files) {
  const MutexLock lock(mutex_);
  std::vector<size_t> told;
  if (random_ == random) return told;
  for (size_t s = 0; s < told_.size(); ++s)
    if (told_[s]) told.push_back(s);
  random_ = random;
  told_.assign(files, false);
  return told;
}

bool RandomAdvice::expected() const {
  const MutexLock lock(mutex_);
  return random_;
}

bool RandomAdvice::ShouldTell(size_t file) {
  const MutexLock lock(mutex_);
  if (!random_ || told_[file]) return false;
  told_[file] = true;
  return true;
}

}  // namespace npyfast
