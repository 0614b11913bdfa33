#include "core/readahead/read_distance.h"

#include <algorithm>

namespace npyfast {
namespace {

constexpr int64_t kLeastBytes = 8 << 20;
constexpr int64_t kMostBytes = 256 << 20;
constexpr int64_t kPartOfMemory = 8;
constexpr double kSeconds = 0.5;

// The rate of the makers is measured over at least this long.
constexpr auto kMeasuredOver = std::chrono::milliseconds(100);

}  // namespace

ReadDistance::ReadDistance(int64_t usable_bytes, TimePoint now)
    : bytes_(kLeastBytes), used_since_(now) {
  Limit(usable_bytes);
}

void ReadDistance::Limit(int64_t usable_bytes) {
  most_bytes_ = std::clamp(usable_bytes / kPartOfMemory, kLeastBytes, kMostBytes);
}

void ReadDistance::Requested(int64_t unit, int64_t bytes) {
  requests_.push_back({unit, bytes});
  requested_bytes_ += bytes;
}

void ReadDistance::Used(int64_t unit, TimePoint now) {
  while (!requests_.empty() && requests_.front().unit < unit) {
    requested_bytes_ -= requests_.front().bytes;
    used_bytes_ += requests_.front().bytes;
    requests_.pop_front();
  }
  if (now - used_since_ < kMeasuredOver) return;
  const double elapsed = std::chrono::duration<double>(now - used_since_).count();
  const auto wanted = static_cast<int64_t>(static_cast<double>(used_bytes_) / elapsed * kSeconds);
  bytes_ = std::clamp((bytes_ + wanted) / 2, kLeastBytes, most_bytes_);
  used_bytes_ = 0;
  used_since_ = now;
}

void ReadDistance::Forget() {
  requests_.clear();
  requested_bytes_ = 0;
}

}  // namespace npyfast
