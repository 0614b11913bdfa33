// io_uring by system calls alone, so that there is no library to be installed. What it promises is
// in io_uring(7) and io_uring_enter(2).

#if defined(__linux__)

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>

#include "core/os/async_reader.h"
#include "core/os/io_uring_abi.h"

namespace npyfast {
namespace {

using namespace io_uring;

// A mapping of the kernel's.
class Region {
 public:
  Region() = default;
  ~Region() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  bool Map(int ring, size_t bytes, uint64_t offset) {
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                                ring, static_cast<off_t>(offset));
    if (memory == MAP_FAILED) return false;
    memory_ = memory;
    bytes_ = bytes;
    return true;
  }
  template <typename T>
  T* At(size_t offset) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(memory_) + offset);
  }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

class IoUringReader : public AsyncReader {
 public:
  explicit IoUringReader(int depth) : AsyncReader(depth) {}

  ~IoUringReader() override {
    if (ring_ < 0) return;
    std::vector<Completion> completed;
    while (in_flight_ > 0 && !broken_) {
      try {
        IoUringReader::Wait(in_flight_, std::chrono::hours(1), &completed);
      } catch (const std::exception&) {  // then the kernel ends the reads with the ring
      }
    }
    // A forked child has the ring too, and must not keep the memory with it.
    if (fixed_) ::syscall(kRegister, ring_, kUnregisterBuffers, nullptr, 0);
    ::close(ring_);
  }

  // Returns false if the system does not allow it.
  bool Open(std::span<std::byte> buffers) {
    for (const uint32_t flags : {kSetupSingleIssuer | kSetupDeferTaskrun, kSetupCoopTaskrun, 0U}) {
      parameters_ = {};
      parameters_.flags = flags;
      ring_ = static_cast<int>(::syscall(kSetup, static_cast<uint32_t>(depth_), &parameters_));
      if (ring_ >= 0 || errno != EINVAL) break;
    }
    // Without the features of Linux 5.11 there is no timeout for a wait.
    const uint32_t needed = kFeatureSingleMmap | kFeatureExtArg;
    if (ring_ < 0 || (parameters_.features & needed) != needed) return false;
    const auto& sq = parameters_.sq_off;
    const auto& cq = parameters_.cq_off;
    const size_t bytes = std::max(sq.array + parameters_.sq_entries * sizeof(uint32_t),
                                  cq.cqes + parameters_.cq_entries * sizeof(Completed));
    if (!rings_.Map(ring_, bytes, kOffsetOfRings) ||
        !entries_.Map(ring_, parameters_.sq_entries * sizeof(Submission), kOffsetOfEntries))
      return false;
    buffers_ = buffers;
    return CanRead();
  }

  ReadMethod method() const override { return ReadMethod::kIoUring; }

  void Add(const Request& request) override {
    const auto& sq = parameters_.sq_off;
    const uint32_t mask = *rings_.At<uint32_t>(sq.ring_mask);
    std::atomic_ref tail(*rings_.At<uint32_t>(sq.tail));
    const uint32_t at = tail.load(std::memory_order_relaxed);
    Submission& entry = entries_.At<Submission>(0)[at & mask];
    entry = {};
    const bool fixed = fixed_ && request.out >= buffers_.data() &&
                       request.out + request.bytes <= buffers_.data() + buffers_.size();
    entry.opcode = fixed ? kReadFixed : kRead;
    entry.fd = request.descriptor;
    entry.off = static_cast<uint64_t>(request.offset);
    entry.addr = reinterpret_cast<uint64_t>(request.out);
    entry.len = static_cast<uint32_t>(request.bytes);
    entry.user_data = request.tag;
    rings_.At<uint32_t>(sq.array)[at & mask] = at & mask;
    tail.store(at + 1, std::memory_order_release);
    ++to_submit_;
    ++in_flight_;
    bytes_added_ += request.bytes;
  }

  void Wait(int least, std::chrono::milliseconds timeout,
            std::vector<Completion>* completed) override {
    RegisterBuffers();
    const int there = Reap(completed);
    least -= there;
    // Completions come with a call only.
    bool look = there == 0 && in_flight_ > 0;
    for (; to_submit_ > 0 || least > 0 || look; look = false) {
      const int64_t submitted = Enter(std::max(least, 0), timeout);
      if (submitted > 0) to_submit_ -= static_cast<uint32_t>(submitted);
      const int code = submitted < 0 ? errno : 0;
      const int reaped = Reap(completed);
      least -= reaped;
      if (code == ETIME) return;
      // EAGAIN and EBUSY: the kernel wants completions to be taken first.
      if (code == EAGAIN && reaped == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (code == EINTR || code == EAGAIN || code == EBUSY) continue;
      if (code != 0) {
        broken_ = true;
        throw std::system_error(code, std::generic_category(), "io_uring_enter");
      }
    }
  }

 private:
  // A system may allow the ring and forbid its use. A read of no file tells, by its error.
  bool CanRead() {
    try {
      std::vector<Completion> completed;
      IoUringReader::Add({});
      IoUringReader::Wait(1, std::chrono::seconds(10), &completed);
      return completed.size() == 1 && completed[0].result == -EBADF;
    } catch (const std::system_error&) {
      return false;
    }
  }

  // Spares the kernel to look up the pages of each read. Not before the reads have touched all of
  // them: it would wait for memory that is not needed yet, and all faults of the process with it.
  // RLIMIT_MEMLOCK may forbid it.
  void RegisterBuffers() {
    if (registered_ || bytes_added_ < 2 * std::ssize(buffers_)) return;
    registered_ = true;
    const iovec all = {buffers_.data(), buffers_.size()};
    fixed_ = !buffers_.empty() && ::syscall(kRegister, ring_, kRegisterBuffers, &all, 1) == 0;
  }

  int64_t Enter(int least, std::chrono::milliseconds timeout) {
    const auto count = timeout.count();
    const KernelTime time{count / 1000, count % 1000 * 1'000'000};
    WaitArguments arguments = {};
    arguments.timeout = reinterpret_cast<uint64_t>(&time);
    return ::syscall(kEnter, ring_, to_submit_, static_cast<uint32_t>(least),
                     kEnterGetEvents | kEnterExtArg, &arguments, sizeof arguments);
  }

  int Reap(std::vector<Completion>* completed) {
    const auto& cq = parameters_.cq_off;
    const uint32_t mask = *rings_.At<uint32_t>(cq.ring_mask);
    std::atomic_ref head(*rings_.At<uint32_t>(cq.head));
    const uint32_t end =
        std::atomic_ref(*rings_.At<uint32_t>(cq.tail)).load(std::memory_order_acquire);
    const Completed* const entries = rings_.At<Completed>(cq.cqes);
    uint32_t at = head.load(std::memory_order_relaxed);
    completed->reserve(completed->size() + (end - at));
    int reaped = 0;
    for (; at != end; ++at, ++reaped)
      completed->push_back({entries[at & mask].user_data, entries[at & mask].res});
    head.store(at, std::memory_order_release);
    in_flight_ -= reaped;
    return reaped;
  }

  Parameters parameters_ = {};
  int ring_ = -1;
  Region rings_;
  Region entries_;
  std::span<std::byte> buffers_;
  bool broken_ = false;
  bool registered_ = false;  // or refused
  bool fixed_ = false;       // reads may use registered buffers
  int64_t bytes_added_ = 0;
  uint32_t to_submit_ = 0;
};

}  // namespace

std::unique_ptr<AsyncReader> MakeIoUringReader(int depth, std::span<std::byte> buffers) {
  auto reader = std::make_unique<IoUringReader>(depth);
  if (!reader->Open(buffers)) return nullptr;
  return reader;
}

}  // namespace npyfast

#endif  // __linux__
