#include "core/readahead/readahead_policy.h"

#include <algorithm>
#include <string>

#include "core/base/errors.h"

namespace npyfast {
namespace {

// The part of the usable memory that arrays may take.
constexpr double kArraysPart = 0.85;

// The part of it that small leaves may take although the large ones do not fit: labels and the like
// are worth it.
constexpr double kSmallLeavesPart = 1.0 / 8;

// If at least this part of the rows between the first and the last is read, reading all of them
// costs less than picking.
constexpr double kDensePart = 0.25;

// A run that delivers more than this is long enough for its files to be pushed out of memory.
constexpr int64_t kLongRunBytes = int64_t{16} << 30;

bool AllFit(const RunFacts& facts) {
  double bytes = 0;
  for (const LeafFacts& leaf : facts.leaves) bytes += static_cast<double>(leaf.bytes);
  return FitsInMemory(bytes, static_cast<double>(facts.other_bytes), facts.usable_bytes);
}

}  // namespace

ReadaheadMode ReadaheadModeOf(std::string_view name) {
  if (name == "auto") return ReadaheadMode::kAuto;
  if (name == "off") return ReadaheadMode::kOff;
  if (name == "whole") return ReadaheadMode::kWhole;
  if (name == "rows") return ReadaheadMode::kRows;
  throw Error("readahead must be auto, off, whole or rows, got " + std::string(name));
}

double BytesForArrays(int64_t usable_bytes) {
  return kArraysPart * static_cast<double>(usable_bytes);
}

bool FitsInMemory(double bytes, double other_bytes, int64_t usable_bytes) {
  return bytes + other_bytes < BytesForArrays(usable_bytes);
}

bool ResidencyMatters(const RunFacts& facts) {
  return facts.mode == ReadaheadMode::kWhole || AllFit(facts);
}

std::vector<LeafAction> DecideReadahead(const RunFacts& facts) {
  const bool all_fit = AllFit(facts);
  const bool dense = facts.epoch_rows >= kDensePart * static_cast<double>(facts.span_rows);
  const double small_bytes = kSmallLeavesPart * static_cast<double>(facts.usable_bytes);
  const bool long_run = facts.run_bytes > kLongRunBytes;

  std::vector<LeafAction> actions;
  double bytes_so_far = static_cast<double>(facts.other_bytes);
  for (const LeafFacts& leaf : facts.leaves) {
    bytes_so_far += static_cast<double>(leaf.bytes);
    const bool pays = all_fit && (dense || leaf.resident);
    const bool whole = facts.mode == ReadaheadMode::kWhole ||
                       (facts.mode == ReadaheadMode::kAuto && (pays || bytes_so_far < small_bytes));
    if (whole && leaf.resident) {
      actions.push_back(long_run ? LeafAction::kKeepWatch : LeafAction::kNothing);
    } else if (whole) {
      actions.push_back(LeafAction::kReadWhole);
    } else {
      actions.push_back(leaf.rows_in_runs ? LeafAction::kReadRows : LeafAction::kLeaveToKernel);
    }
  }
  return actions;
}

bool DirectReadsPay(const RunFacts& facts, const std::vector<LeafAction>& actions) {
  double bytes = static_cast<double>(facts.other_bytes);
  for (size_t i = 0; i < actions.size(); ++i) {
    const LeafFacts& leaf = facts.leaves[i];
    const auto all = static_cast<double>(leaf.bytes);
    bytes += actions[i] == LeafAction::kReadRows
                 ? std::min(all, facts.epoch_rows * static_cast<double>(leaf.row_bytes))
                 : all;
  }
  return !FitsInMemory(bytes, 0, facts.usable_bytes);
}

std::vector<int64_t> ResidentBytes(const RunFacts& facts, const std::vector<LeafAction>& actions,
                                   const std::vector<bool>& direct, int64_t buffer_bytes) {
  std::vector<int64_t> bytes(actions.size(), 0);
  const bool dense = facts.epoch_rows >= kDensePart * static_cast<double>(facts.span_rows);
  if (facts.mode != ReadaheadMode::kAuto || !dense || facts.by_stretches) return bytes;
  double left = BytesForArrays(facts.usable_bytes) - static_cast<double>(facts.other_bytes) -
                static_cast<double>(buffer_bytes);
  double all = 0;
  for (size_t i = 0; i < actions.size(); ++i) {
    const auto leaf_bytes = static_cast<double>(facts.leaves[i].bytes);
    if (direct[i]) {
      all += leaf_bytes;
    } else if (IsWhole(actions[i])) {
      left -= leaf_bytes;
    }
  }
  // A run that ends before it has read as much would load rows for others only.
  if (left <= 0 || static_cast<double>(facts.run_bytes) < left) return bytes;
  for (size_t i = 0; i < actions.size(); ++i) {
    if (direct[i])
      bytes[i] = static_cast<int64_t>(static_cast<double>(facts.leaves[i].bytes) *
                                      std::min(left / all, 1.0));
  }
  return bytes;
}

}  // namespace npyfast
