#ifndef NPYFAST_CORE_READAHEAD_READAHEAD_POLICY_H_
#define NPYFAST_CORE_READAHEAD_READAHEAD_POLICY_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace npyfast {

// What is read before it is needed. Never changes results.
enum class ReadaheadMode {
  kAuto,   // kWhole if the data fits in the memory that this process may use, else kRows
  kOff,    // what the kernel does by itself
  kWhole,  // the files, once, from beginning to end
  kRows,   // the rows of coming batches and no more
};

// The mode of a name: "auto", "off", "whole" or "rows". Throws Error for any other.
ReadaheadMode ReadaheadModeOf(std::string_view name);

// What is done for one leaf.
enum class LeafAction {
  kLeaveToKernel,  // its rows are scattered over the file, or it was asked for
  kReadRows,       // request the rows of coming items
  kReadWhole,      // read the files as a whole
  kKeepWatch,      // all in memory; look from time to time whether it still is
  kNothing,        // all in memory, and the run ends before that changes
};

// Whether the leaf occupies memory as a whole, which other leaves then cannot have.
inline bool IsWhole(LeafAction action) {
  return action == LeafAction::kReadWhole || action == LeafAction::kKeepWatch ||
         action == LeafAction::kNothing;
}

struct LeafFacts {
  int64_t bytes = 0;         // of the files, from the first to the last row that is read
  bool rows_in_runs = true;  // each row is one run of bytes, or few of them
  bool resident = false;     // all in memory, as far as was looked: see ResidencyMatters()
  int64_t row_bytes = 0;     // of the pages that a row touches, on average
};

// All that the decision depends on.
struct RunFacts {
  ReadaheadMode mode = ReadaheadMode::kAuto;
  int64_t usable_bytes = 0;            // memory that this process may use
  int64_t other_bytes = 0;             // of it, for other arrays that are read as a whole
  double epoch_rows = 0;               // rows that an epoch of this worker reads
  int64_t span_rows = 0;               // from the first to the last of them
  int64_t run_bytes = 0;               // delivered by the run; INT64_MAX if it is endless
  bool by_stretches = false;           // rows come in large stretches of the file
  std::vector<LeafFacts> leaves = {};  // that have files, smallest first
};

// The part of the usable memory that arrays may take.
double BytesForArrays(int64_t usable_bytes);

// Whether arrays of so many bytes fit in memory beside the others. A part of it is left for what
// the training itself needs later.
bool FitsInMemory(double bytes, double other_bytes, int64_t usable_bytes);

// Whether the decision depends on LeafFacts::resident, which takes system calls to find out.
bool ResidencyMatters(const RunFacts& facts);

// Whether leaves that are read row by row should bypass the page cache: if it could not hold their
// rows of an epoch. It would keep some of them, but each row comes once an epoch, and what has been
// kept for longest is evicted first.
bool DirectReadsPay(const RunFacts& facts, const std::vector<LeafAction>& actions);

// How many bytes of each leaf that is read directly stay in memory instead, from its first row on.
// None of large stretches of rows, which are read at full speed: other files keep the page cache.
// `direct`: whether it is, and has dense rows; `buffer_bytes`: for the rows that are being read.
std::vector<int64_t> ResidentBytes(const RunFacts& facts, const std::vector<LeafAction>& actions,
                                   const std::vector<bool>& direct, int64_t buffer_bytes);

// The action for each leaf of `facts.leaves`: a pure function. REQUIRES: mode is not kOff.
std::vector<LeafAction> DecideReadahead(const RunFacts& facts);

}  // namespace npyfast

#endif  // NPYFAST_CORE_READAHEAD_READAHEAD_POLICY_H_
