#ifndef NPYFAST_CORE_READAHEAD_READ_DISTANCE_H_
#define NPYFAST_CORE_READAHEAD_READ_DISTANCE_H_

#include <chrono>
#include <cstdint>
#include <deque>

namespace npyfast {

// How far ahead of the makers rows are requested: as many bytes as they use in half a second, from
// 8 MiB to 256 MiB, or an eighth of the usable memory if that is less.
//
// A slow reader gets a short distance and a fast disk a long one. A request that takes longer than
// half a second is not helped by more of them. For one thread.
class ReadDistance {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  ReadDistance(int64_t usable_bytes, TimePoint now);

  // Whether more should be requested.
  bool HasRoom() const { return requested_bytes_ < bytes_; }
  // A unit was requested, of so many bytes. REQUIRES: units increase.
  void Requested(int64_t unit, int64_t bytes);
  // The makers have taken up all units before this one.
  void Used(int64_t unit, TimePoint now);
  // What was requested is gone.
  void Forget();
  // The usable memory has changed.
  void Limit(int64_t usable_bytes);

  int64_t bytes() const { return bytes_; }

 private:
  struct Request {
    int64_t unit;
    int64_t bytes;
  };

  std::deque<Request> requests_;  // not yet used
  int64_t requested_bytes_ = 0;   // of all of them
  int64_t bytes_;
  int64_t most_bytes_;
  int64_t used_bytes_ = 0;  // since then
  TimePoint used_since_;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READ_DISTANCE_H_
