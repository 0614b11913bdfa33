#ifndef NPYFAST_CORE_READAHEAD_READ_DEPTH_H_
#define NPYFAST_CORE_READAHEAD_READ_DEPTH_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace npyfast {

// How many reads are kept in flight: as many as make the device deliver more.
//
// While there is always something to read, the rate of one interval is compared with that of the
// best depth so far. The depth goes up by half as long as that gains, and back where it does not;
// from time to time it tries again, up and down, as devices change with their load. For one thread.
class ReadDepth {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  static constexpr int kLeast = 8;
  static constexpr int kMost = 256;

  // Begins with `depth`.
  ReadDepth(int depth, TimePoint now)
      : depth_(std::clamp(depth, kLeast, kMost)), best_depth_(depth_), since_(now) {}

  int depth() const { return depth_; }
  // So many bytes have come. `busy`: as many reads were in flight as depth() allows; an interval
  // in which they were not says nothing about the device.
  void Read(int64_t bytes, bool busy, TimePoint now);

 private:
  void Compare(double rate);
  void Try(int depth);

  int depth_;
  int best_depth_;
  double best_rate_ = 0;
  bool upwards_ = true;
  int pause_ = 0;  // intervals until the next try
  int64_t bytes_ = 0;
  bool busy_ = true;
  TimePoint since_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READ_DEPTH_H_
