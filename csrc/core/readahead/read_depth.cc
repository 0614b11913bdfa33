#include "core/readahead/read_depth.h"

#include <algorithm>

namespace npyfast {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(50);

// More reads in flight make each of them later, so they have to gain this much; fewer may lose a
// little.
constexpr double kGain = 1.03;
constexpr double kLoss = 0.99;

// Intervals between two tries once the best depth was found: a second or so.
constexpr int kPause = 20;

}  // namespace

void ReadDepth::Read(int64_t bytes, bool busy, TimePoint now) {
  bytes_ += bytes;
  busy_ = busy_ && busy;
  if (now - since_ < kInterval) return;
  const double seconds = std::chrono::duration<double>(now - since_).count();
  if (busy_) Compare(static_cast<double>(bytes_) / seconds);
  bytes_ = 0;
  busy_ = true;
  since_ = now;
}

void ReadDepth::Compare(double rate) {
  if (depth_ == best_depth_) {
    // The rate drifts with other users of the device.
    best_rate_ = best_rate_ == 0 ? rate : (best_rate_ + rate) / 2;
    if (pause_ > 0) {
      --pause_;
      return;
    }
    return Try(upwards_ ? depth_ + depth_ / 2 : depth_ * 3 / 4);
  }
  const bool better = rate > best_rate_ * (depth_ > best_depth_ ? kGain : kLoss);
  if (better) {
    // Step by step downwards, small losses would add up.
    best_rate_ = depth_ > best_depth_ ? rate : std::max(rate, best_rate_);
    best_depth_ = depth_;
    return Try(upwards_ ? depth_ + depth_ / 2 : depth_ * 3 / 4);
  }
  depth_ = best_depth_;
  upwards_ = !upwards_;
  pause_ = kPause;
}

void ReadDepth::Try(int depth) {
  depth_ = std::clamp(depth, kLeast, kMost);
  if (depth_ != best_depth_) return;
  upwards_ = !upwards_;
  pause_ = kPause;
}

}  // namespace npyfast
