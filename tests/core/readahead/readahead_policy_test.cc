#include "core/readahead/readahead_policy.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "tests/core/support/check.h"

namespace npyfast {
namespace {

constexpr auto kAuto = ReadaheadMode::kAuto;
constexpr auto kWhole = ReadaheadMode::kWhole;
constexpr auto kRows = ReadaheadMode::kRows;

constexpr int64_t kEndless = std::numeric_limits<int64_t>::max();
constexpr int64_t kGiB = int64_t{1} << 30;

// What happens to a leaf, as one letter.
char Letter(LeafAction action) {
  switch (action) {
    case LeafAction::kLeaveToKernel:
      return 'k';
    case LeafAction::kReadRows:
      return 'r';
    case LeafAction::kReadWhole:
      return 'W';
    case LeafAction::kKeepWatch:
      return 'w';
    case LeafAction::kNothing:
      return '-';
  }
  return '?';
}

std::string Decide(const RunFacts& facts) {
  std::string letters;
  for (const LeafAction action : DecideReadahead(facts)) letters += Letter(action);
  return letters;
}

constexpr bool kDense = true;
constexpr bool kFortran = false;
constexpr bool kCold = false;
constexpr bool kInMemory = true;

// 1000 bytes of memory, and an epoch that reads all of 100 rows, unless a line says otherwise.
struct Example {
  const char* what;
  RunFacts facts;
  std::string actions;
};

const std::vector<Example> kExamples = {
    {"fits: the whole file", {.mode = kAuto, .leaves = {{800, kDense, kCold}}}, "W"},
    {"does not fit: its rows", {.mode = kAuto, .leaves = {{850, kDense, kCold}}}, "r"},
    {"fits, but not beside the others",
     {.mode = kAuto, .other_bytes = 50, .leaves = {{800, kDense, kCold}}},
     "r"},
    {"does not fit, and its rows are scattered",
     {.mode = kAuto, .leaves = {{900, kFortran, kCold}}},
     "k"},
    {"fits, its rows are scattered", {.mode = kAuto, .leaves = {{800, kFortran, kCold}}}, "W"},
    {"labels are small whatever the images are",
     {.mode = kAuto, .leaves = {{100, kDense, kCold}, {5000, kDense, kCold}}},
     "Wr"},
    {"small leaves are counted together",
     {.mode = kAuto, .leaves = {{70, kDense, kCold}, {70, kDense, kCold}, {900, kDense, kCold}}},
     "Wrr"},
    {"and beside the others",
     {.mode = kAuto, .other_bytes = 30, .leaves = {{100, kDense, kCold}, {900, kDense, kCold}}},
     "rr"},
    {"a quarter of the rows is dense",
     {.mode = kAuto, .epoch_rows = 25, .leaves = {{800, kDense, kCold}}},
     "W"},
    {"less is not", {.mode = kAuto, .epoch_rows = 24, .leaves = {{800, kDense, kCold}}}, "r"},
    {"few rows of what is in memory",
     {.mode = kAuto, .epoch_rows = 1, .leaves = {{800, kDense, kInMemory}}},
     "-"},
    {"in memory", {.mode = kAuto, .leaves = {{800, kDense, kInMemory}}}, "-"},
    {"in memory, for a long run",
     {.mode = kAuto, .run_bytes = 16 * kGiB + 1, .leaves = {{800, kDense, kInMemory}}},
     "w"},
    {"for an endless one",
     {.mode = kAuto, .run_bytes = kEndless, .leaves = {{800, kDense, kInMemory}}},
     "w"},
    {"not quite long enough",
     {.mode = kAuto, .run_bytes = 16 * kGiB, .leaves = {{800, kDense, kInMemory}}},
     "-"},
    {"some leaves in memory",
     {.mode = kAuto, .leaves = {{300, kDense, kCold}, {400, kDense, kInMemory}}},
     "W-"},
    {"whole, although it does not fit",
     {.mode = kWhole, .leaves = {{5000, kDense, kCold}, {6000, kFortran, kCold}}},
     "WW"},
    {"whole, and in memory", {.mode = kWhole, .leaves = {{5000, kDense, kInMemory}}}, "-"},
    {"whole, although few rows are read",
     {.mode = kWhole, .epoch_rows = 1, .leaves = {{800, kDense, kCold}}},
     "W"},
    {"rows, although it fits and is small",
     {.mode = kRows, .leaves = {{10, kDense, kCold}, {100, kFortran, kCold}}},
     "rk"},
    {"rows, although it is in memory", {.mode = kRows, .leaves = {{10, kDense, kInMemory}}}, "r"},
    {"no leaves", {.mode = kAuto}, ""},
};

TEST(ReadaheadPolicy, Examples) {
  for (const Example& example : kExamples) {
    RunFacts facts = example.facts;
    facts.usable_bytes = 1000;
    facts.span_rows = 100;
    if (facts.epoch_rows == 0) facts.epoch_rows = 100;
    const std::string actions = Decide(facts);
    if (actions != example.actions)
      testing::Fail(__FILE__, __LINE__,
                    std::string(example.what) + ": " + actions + ", not " + example.actions);
  }
}

TEST(ReadaheadPolicy, LooksIntoThePageCacheOnlyIfThatDecides) {
  RunFacts facts{.mode = kAuto, .usable_bytes = 1000, .leaves = {{800, kDense, kCold}}};
  CHECK(ResidencyMatters(facts));
  facts.mode = kRows;
  CHECK(ResidencyMatters(facts));  // a stream asks whether its rows are in memory
  facts.leaves.push_back({900, kDense, kCold});
  CHECK(!ResidencyMatters(facts));
  facts.mode = kAuto;
  CHECK(!ResidencyMatters(facts));
  facts.mode = kWhole;
  CHECK(ResidencyMatters(facts));
}

TEST(ReadaheadPolicy, WholeLeavesTakeMemory) {
  CHECK(IsWhole(LeafAction::kReadWhole));
  CHECK(IsWhole(LeafAction::kKeepWatch));
  CHECK(IsWhole(LeafAction::kNothing));
  CHECK(!IsWhole(LeafAction::kReadRows));
  CHECK(!IsWhole(LeafAction::kLeaveToKernel));
}

TEST(ReadaheadPolicy, PartOfTheMemoryIsLeft) {
  CHECK(FitsInMemory(800, 49, 1000));
  CHECK(!FitsInMemory(800, 50, 1000));
  CHECK(FitsInMemory(1e15, 1e15, kEndless));
}

TEST(ReadaheadPolicy, ModesHaveNames) {
  CHECK(ReadaheadModeOf("auto") == ReadaheadMode::kAuto);
  CHECK(ReadaheadModeOf("off") == ReadaheadMode::kOff);
  CHECK(ReadaheadModeOf("whole") == ReadaheadMode::kWhole);
  CHECK(ReadaheadModeOf("rows") == ReadaheadMode::kRows);
  CHECK_THROWS(ReadaheadModeOf("on"), Error, "got on");
}

// --- Past the page cache.

constexpr LeafAction kR = LeafAction::kReadRows;
constexpr LeafAction kW = LeafAction::kReadWhole;

// 1000 bytes of memory, of which arrays may take 850.
RunFacts Large(std::vector<LeafFacts> leaves) {
  return {.mode = kAuto,
          .usable_bytes = 1000,
          .epoch_rows = 100,
          .span_rows = 100,
          .run_bytes = kEndless,
          .leaves = std::move(leaves)};
}

LeafFacts Leaf(int64_t bytes, int64_t row_bytes) {
  return {.bytes = bytes, .row_bytes = row_bytes};
}

TEST(ReadaheadPolicy, DirectReadsPayWhereAnEpochDoesNotFit) {
  CHECK(DirectReadsPay(Large({Leaf(5000, 50)}), {kR}));
  CHECK(DirectReadsPay(Large({Leaf(850, 50)}), {kR}));
  CHECK(!DirectReadsPay(Large({Leaf(849, 50)}), {kR}));
  // An epoch of few rows fits.
  CHECK(!DirectReadsPay(Large({Leaf(5000, 8)}), {kR}));
  RunFacts few = Large({Leaf(5000, 50)});
  few.epoch_rows = 16;
  CHECK(!DirectReadsPay(few, {kR}));
  few.epoch_rows = 17;
  CHECK(DirectReadsPay(few, {kR}));
  // Beside what else is in memory: other arrays, and leaves that are read as a whole.
  few.epoch_rows = 16;
  few.other_bytes = 50;
  CHECK(DirectReadsPay(few, {kR}));
  few.other_bytes = 0;
  few.leaves.insert(few.leaves.begin(), Leaf(100, 1));
  CHECK(DirectReadsPay(few, {kW, kR}));
  few.leaves[0].bytes = 49;
  CHECK(!DirectReadsPay(few, {kW, kR}));
  // More rows than there are bytes of: those of a leaf are counted once.
  RunFacts many = Large({Leaf(800, 50)});
  many.epoch_rows = 1e9;
  CHECK(!DirectReadsPay(many, {kR}));
  CHECK(!DirectReadsPay(Large({}), {}));
}

using Bytes = std::vector<int64_t>;

TEST(ReadaheadPolicy, AsMuchStaysInMemoryAsFits) {
  CHECK_EQ(ResidentBytes(Large({Leaf(8500, 85)}), {kR}, {true}, 0), (Bytes{850}));
  CHECK_EQ(ResidentBytes(Large({Leaf(8500, 85)}), {kR}, {true}, 170), (Bytes{680}));
  // Each leaf in proportion.
  CHECK_EQ(ResidentBytes(Large({Leaf(1700, 17), Leaf(6800, 68)}), {kR, kR}, {true, true}, 0),
           (Bytes{170, 680}));
  // Less where others have their part, and never for leaves that are not read directly.
  CHECK_EQ(ResidentBytes(Large({Leaf(100, 1), Leaf(7500, 75)}), {kW, kR}, {false, true}, 0),
           (Bytes{0, 750}));
  RunFacts beside = Large({Leaf(7500, 75)});
  beside.other_bytes = 100;
  CHECK_EQ(ResidentBytes(beside, {kR}, {true}, 0), (Bytes{750}));
  // No more than there is.
  CHECK_EQ(ResidentBytes(Large({Leaf(500, 5)}), {kR}, {true}, 0), (Bytes{500}));
}

TEST(ReadaheadPolicy, NothingStaysWhereThatDoesNotPay) {
  const RunFacts usual = Large({Leaf(8500, 85)});
  const Bytes nothing = {0};
  CHECK_EQ(ResidentBytes(usual, {kR}, {false}, 0), nothing);
  CHECK_EQ(ResidentBytes(usual, {kR}, {true}, 850), nothing);
  CHECK_EQ(ResidentBytes(usual, {kR}, {true}, 5000), nothing);
  RunFacts facts = usual;
  facts.mode = kRows;
  CHECK_EQ(ResidentBytes(facts, {kR}, {true}, 0), nothing);
  facts = usual;
  facts.epoch_rows = 24;  // rows that are kept would hardly be needed
  CHECK_EQ(ResidentBytes(facts, {kR}, {true}, 0), nothing);
  facts = usual;
  facts.run_bytes = 849;
  CHECK_EQ(ResidentBytes(facts, {kR}, {true}, 0), nothing);
  facts.run_bytes = 851;
  CHECK_EQ(ResidentBytes(facts, {kR}, {true}, 0), (Bytes{850}));
  facts = usual;
  facts.other_bytes = 5000;
  CHECK_EQ(ResidentBytes(facts, {kR}, {true}, 0), nothing);
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
