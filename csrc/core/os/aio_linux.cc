// Linux AIO by system calls alone: io_setup(2), io_submit(2), io_getevents(2). Asynchronous for
// direct reads only, which is all that it is used for.

#if defined(__linux__)

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <thread>
#include <utility>

#include "core/os/async_reader.h"

namespace npyfast {
namespace {

// <linux/aio_abi.h>, which is missing on some systems: struct iocb and struct io_event, whose two
// halves of a word that is not used here change places with the order of bytes.
struct Block {
  uint64_t tag;
  std::array<uint32_t, 2> unused;
  uint16_t operation;
  int16_t priority;
  uint32_t descriptor;
  uint64_t out;
  uint64_t bytes;
  int64_t offset;
  std::array<uint64_t, 2> more;
};
static_assert(sizeof(Block) == 64);

struct Event {
  uint64_t tag;
  uint64_t block;
  int64_t result;
  int64_t more;
};

constexpr uint16_t kRead = 0;  // IOCB_CMD_PREAD

class AioReader : public AsyncReader {
 public:
  explicit AioReader(int depth)
      : AsyncReader(depth),
        blocks_(static_cast<size_t>(depth)),
        tags_(static_cast<size_t>(depth)),
        events_(static_cast<size_t>(depth)) {
    for (Block& block : blocks_) unused_.push_back(&block);
  }

  ~AioReader() override {
    if (context_ != 0) ::syscall(SYS_io_destroy, context_);  // waits for what is in flight
  }

  // Returns false if the system does not allow it.
  bool Open() {
    if (::syscall(SYS_io_setup, static_cast<unsigned>(depth_), &context_) != 0) return false;
    // It may allow that alone. A read of no file tells, by its error.
    Block none = {};
    none.descriptor = ~uint32_t{0};
    Block* all = &none;
    return ::syscall(SYS_io_submit, context_, 1L, &all) < 0 && errno == EBADF;
  }

  ReadMethod method() const override { return ReadMethod::kAio; }

  void Add(const Request& request) override {
    Block* const block = unused_.back();
    unused_.pop_back();
    *block = {};
    block->tag = static_cast<uint64_t>(block - blocks_.data());
    tags_[block->tag] = request.tag;
    block->operation = kRead;
    block->descriptor = static_cast<uint32_t>(request.descriptor);
    block->out = reinterpret_cast<uint64_t>(request.out);
    block->bytes = static_cast<uint64_t>(request.bytes);
    block->offset = request.offset;
    added_.push_back(block);
    ++in_flight_;
  }

  void Wait(int least, std::chrono::milliseconds timeout,
            std::vector<Completion>* completed) override {
    const auto before = completed->size();
    completed->reserve(before + static_cast<size_t>(in_flight_));
    Submit(completed);
    least -= static_cast<int>(completed->size() - before);
    const auto count = timeout.count();
    timespec time = {static_cast<time_t>(count / 1000),
                     static_cast<long>(count % 1000 * 1'000'000)};
    const auto most = static_cast<long>(in_flight_) - std::ssize(added_);
    if (most == 0) {  // the kernel has no memory, or there was nothing to do
      if (!added_.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    long got;
    do {
      got = ::syscall(SYS_io_getevents, context_, std::min<long>(std::max(least, 0), most), most,
                      events_.data(), &time);
    } while (got < 0 && errno == EINTR);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "io_getevents");
    for (long i = 0; i < got; ++i) {
      const Event& event = events_[static_cast<size_t>(i)];
      Complete(&blocks_[event.tag], event.result, completed);
    }
  }

 private:
  void Submit(std::vector<Completion>* completed) {
    while (!added_.empty()) {
      const long taken = ::syscall(SYS_io_submit, context_, added_.size(), added_.data());
      if (taken > 0) {
        added_.erase(added_.begin(), added_.begin() + taken);
      } else if (errno == EAGAIN) {
        return;  // with the next ones
      } else if (errno != EINTR) {
        Complete(added_.front(), -errno, completed);  // the first one is at fault
        added_.erase(added_.begin());
      }
    }
  }

  void Complete(Block* block, int64_t result, std::vector<Completion>* completed) {
    completed->push_back({tags_[block->tag], result});
    unused_.push_back(block);
    --in_flight_;
  }

  unsigned long context_ = 0;
  std::vector<Block> blocks_;
  std::vector<uint64_t> tags_;  // of each block
  std::vector<Block*> unused_;
  std::vector<Block*> added_;  // not submitted
  std::vector<Event> events_;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeAioReader(int depth) {
  auto reader = std::make_unique<AioReader>(depth);
  if (!reader->Open()) return nullptr;
  return reader;
}

}  // namespace npyfast

#endif  // __linux__
