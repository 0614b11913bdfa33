#include "core/os/io_uring_abi.h"

#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif

#include <cstddef>

#include "tests/core/support/check.h"

namespace npyfast {
namespace {

#if __has_include(<linux/io_uring.h>)

#define SAME_PLACE(ours, field, theirs, their_field)              \
  CHECK_EQ(offsetof(ours, field), offsetof(theirs, their_field)); \
  CHECK_EQ(sizeof(ours::field), sizeof(theirs::their_field))

TEST(IoUringAbi, IsThatOfTheKernelsHeader) {
  using namespace io_uring;
  CHECK_EQ(sizeof(Parameters), sizeof(io_uring_params));
  SAME_PLACE(Parameters, sq_entries, io_uring_params, sq_entries);
  SAME_PLACE(Parameters, cq_entries, io_uring_params, cq_entries);
  SAME_PLACE(Parameters, flags, io_uring_params, flags);
  SAME_PLACE(Parameters, features, io_uring_params, features);
  SAME_PLACE(Parameters, sq_off, io_uring_params, sq_off);
  SAME_PLACE(Parameters, cq_off, io_uring_params, cq_off);
  SAME_PLACE(SubmissionOffsets, tail, io_sqring_offsets, tail);
  SAME_PLACE(SubmissionOffsets, ring_mask, io_sqring_offsets, ring_mask);
  SAME_PLACE(SubmissionOffsets, array, io_sqring_offsets, array);
  SAME_PLACE(CompletionOffsets, head, io_cqring_offsets, head);
  SAME_PLACE(CompletionOffsets, tail, io_cqring_offsets, tail);
  SAME_PLACE(CompletionOffsets, ring_mask, io_cqring_offsets, ring_mask);
  SAME_PLACE(CompletionOffsets, cqes, io_cqring_offsets, cqes);
  SAME_PLACE(Submission, opcode, io_uring_sqe, opcode);
  SAME_PLACE(Submission, fd, io_uring_sqe, fd);
  SAME_PLACE(Submission, off, io_uring_sqe, off);
  SAME_PLACE(Submission, addr, io_uring_sqe, addr);
  SAME_PLACE(Submission, len, io_uring_sqe, len);
  SAME_PLACE(Submission, user_data, io_uring_sqe, user_data);
  SAME_PLACE(Submission, buf_index, io_uring_sqe, buf_index);
  SAME_PLACE(Completed, user_data, io_uring_cqe, user_data);
  SAME_PLACE(Completed, res, io_uring_cqe, res);
  CHECK_EQ(kOffsetOfRings, uint64_t{IORING_OFF_SQ_RING});
  CHECK_EQ(kOffsetOfEntries, uint64_t{IORING_OFF_SQES});
  CHECK_EQ(int{kReadFixed}, int{IORING_OP_READ_FIXED});
  CHECK_EQ(int{kRead}, int{IORING_OP_READ});
  CHECK_EQ(kEnterGetEvents, uint32_t{IORING_ENTER_GETEVENTS});
  CHECK_EQ(kRegisterBuffers, uint32_t{IORING_REGISTER_BUFFERS});
  CHECK_EQ(kUnregisterBuffers, uint32_t{IORING_UNREGISTER_BUFFERS});
}

#else

TEST(IoUringAbi, IsThatOfTheKernelsHeader) { SKIP("there is no <linux/io_uring.h>"); }

#endif

}  // namespace
}  // namespace npyfast

TEST_MAIN()
