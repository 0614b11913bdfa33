#ifndef NPYFAST_CORE_OS_IO_URING_ABI_H_
#define NPYFAST_CORE_OS_IO_URING_ABI_H_

#include <array>
#include <cstdint>

// What io_uring and its users agree upon, as far as reads need it, by the names of
// <linux/io_uring.h>. That header is missing on some systems and old on others, while the kernel
// that a wheel meets is a newer one. The layouts and numbers never change, and are the same on all
// architectures that npyfast supports.
namespace npyfast::io_uring {

// System calls.
inline constexpr long kSetup = 425;
inline constexpr long kEnter = 426;
inline constexpr long kRegister = 427;

inline constexpr uint32_t kSetupCoopTaskrun = 1U << 8;    // Linux 5.19
inline constexpr uint32_t kSetupSingleIssuer = 1U << 12;  // 6.0
inline constexpr uint32_t kSetupDeferTaskrun = 1U << 13;  // 6.1
inline constexpr uint32_t kEnterGetEvents = 1U << 0;
inline constexpr uint32_t kEnterExtArg = 1U << 3;
inline constexpr uint32_t kFeatureSingleMmap = 1U << 0;
inline constexpr uint32_t kFeatureExtArg = 1U << 8;  // 5.11
inline constexpr uint32_t kRegisterBuffers = 0;
inline constexpr uint32_t kUnregisterBuffers = 1;
inline constexpr uint8_t kReadFixed = 4;
inline constexpr uint8_t kRead = 22;

// Offsets of mmap().
inline constexpr uint64_t kOffsetOfRings = 0;
inline constexpr uint64_t kOffsetOfEntries = 0x10000000;

// struct io_sqring_offsets.
struct SubmissionOffsets {
  uint32_t head;
  uint32_t tail;
  uint32_t ring_mask;
  uint32_t ring_entries;
  uint32_t flags;
  uint32_t dropped;
  uint32_t array;
  uint32_t unused;
  uint64_t user_addr;
};

// struct io_cqring_offsets.
struct CompletionOffsets {
  uint32_t head;
  uint32_t tail;
  uint32_t ring_mask;
  uint32_t ring_entries;
  uint32_t overflow;
  uint32_t cqes;
  uint32_t flags;
  uint32_t unused;
  uint64_t user_addr;
};

// struct io_uring_params.
struct Parameters {
  uint32_t sq_entries;
  uint32_t cq_entries;
  uint32_t flags;
  uint32_t sq_thread_cpu;
  uint32_t sq_thread_idle;
  uint32_t features;
  uint32_t wq_fd;
  std::array<uint32_t, 3> unused;
  SubmissionOffsets sq_off;
  CompletionOffsets cq_off;
};
static_assert(sizeof(Parameters) == 120);

// struct io_uring_sqe.
struct Submission {
  uint8_t opcode;
  uint8_t flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t off;
  uint64_t addr;
  uint32_t len;
  uint32_t rw_flags;
  uint64_t user_data;
  uint16_t buf_index;
  std::array<uint16_t, 11> unused;
};
static_assert(sizeof(Submission) == 64);

// struct io_uring_cqe.
struct Completed {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};
static_assert(sizeof(Completed) == 16);

// struct io_uring_getevents_arg.
struct WaitArguments {
  uint64_t signals;
  uint32_t signals_bytes;
  uint32_t unused;
  uint64_t timeout;
};

// struct __kernel_timespec.
struct KernelTime {
  int64_t seconds;
  int64_t nanoseconds;
};

}  // namespace npyfast::io_uring

#endif  // NPYFAST_CORE_OS_IO_URING_ABI_H_
