#ifndef NPYFAST_CORE_OS_ASYNC_READER_H_
#define NPYFAST_CORE_OS_ASYNC_READER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace npyfast {

// How reads are kept in flight, the best first.
enum class ReadMethod { kIoUring, kAio, kThreads };

// "io_uring", "aio" or "threads".
const char* ReadMethodName(ReadMethod method);

// Reads of files, many in flight at once. For the thread that made it, and never for a forked
// child, which must not destroy it either.
class AsyncReader {
 public:
  // REQUIRES: descriptor and memory stay until the read has completed.
  struct Request {
    int descriptor = -1;
    int64_t offset = 0;
    std::byte* out = nullptr;
    int64_t bytes = 0;
    uint64_t tag = 0;
  };
  struct Completion {
    uint64_t tag = 0;
    int64_t result = 0;  // bytes that were read, possibly fewer; or -errno
  };

  // The best method from `best` on that the system allows. At most `depth` reads are in flight.
  // `buffers`: all memory that is read into. Throws std::system_error if not even a thread can be
  // started, or std::bad_alloc.
  static std::unique_ptr<AsyncReader> Make(ReadMethod best, int depth,
                                           std::span<std::byte> buffers);

  // Waits for all that is in flight.
  virtual ~AsyncReader() = default;
  AsyncReader(const AsyncReader&) = delete;
  AsyncReader& operator=(const AsyncReader&) = delete;

  virtual ReadMethod method() const = 0;
  int depth() const { return depth_; }
  // Reads that were added and have not completed.
  int in_flight() const { return in_flight_; }

  // REQUIRES: in_flight() < depth().
  virtual void Add(const Request& request) = 0;
  // Begins what was added, and waits until `least` reads have completed, but no longer than
  // `timeout`; 0 does not wait. Adds the completions. One system call, if that is possible.
  // REQUIRES: 0 <= least <= in_flight(). Throws std::system_error if no read can be made any more.
  virtual void Wait(int least, std::chrono::milliseconds timeout,
                    std::vector<Completion>* completed) = 0;

 protected:
  explicit AsyncReader(int depth) : depth_(depth) {}

  const int depth_;
  int in_flight_ = 0;
};

// The method that Make() would return now. Asks the system for it.
ReadMethod MethodFrom(ReadMethod best);

// Each method by itself; null if the system does not allow it. For AsyncReader::Make() and tests.
std::unique_ptr<AsyncReader> MakeIoUringReader(int depth, std::span<std::byte> buffers);
std::unique_ptr<AsyncReader> MakeAioReader(int depth);
std::unique_ptr<AsyncReader> MakeThreadReader(int depth);

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_ASYNC_READER_H_
