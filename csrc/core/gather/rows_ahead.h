#ifndef NPYFAST_CORE_GATHER_ROWS_AHEAD_H_
#define NPYFAST_CORE_GATHER_ROWS_AHEAD_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace npyfast {

// Rows that somebody reads into memory of their own before the items that hold them are made, so
// that they are copied from there rather than from the mappings of their files.
//
// A maker calls Await(), then Locate() for each leaf, copies, and calls Release(). Thread-safe.
class RowsAhead {
 public:
  virtual ~RowsAhead() = default;

  // Waits until rows of an item are in memory, from `begin` on; returns the end of those that are.
  // REQUIRES: 0 <= begin < end, which is at most the rows of the item. Ensures: begin < result <=
  // end. Throws OsError or FormatError if they cannot be read, Stopped if they will not be.
  virtual int64_t Await(int64_t item, int64_t begin, int64_t end) = 0;

  // Writes where rows of a leaf are: those at the places `begin` ... of the item, which have these
  // numbers. Null stands for a row to be taken from the array. Returns false, and writes nothing,
  // if that is so for all of them.
  // REQUIRES: Await() has returned for them, and Release() was not called.
  virtual bool Locate(int64_t item, int64_t begin, std::span<const int64_t> rows, size_t leaf,
                      std::span<const std::byte*> addresses) = 0;

  // The rows [begin, end) of the item have been copied, of all leaves; or never will be, and were
  // perhaps not awaited. Exactly once for each row: others need its memory.
  virtual void Release(int64_t item, int64_t begin, int64_t end) = 0;
};

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_ROWS_AHEAD_H_
