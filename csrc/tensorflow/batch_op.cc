#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/base/stream_counters.h"
#include "core/gather/gather.h"
#include "core/npy/shape.h"
#include "core/order/plan.h"
#include "core/os/recent_limits.h"
#include "core/readahead/readahead.h"
#include "core/source/array.h"
#include "core/stream/indexed_batches.h"
#include "tensorflow/kernel.h"
#include "tensorflow/leaf_spec.h"
#include "tensorflow/open_arrays.h"
#include "tensorflow/open_statistics.h"

namespace npyfast::tf {
namespace {

// One output: a field of a leaf, or all of it.
struct Output {
  TF_DataType type;
  Text text;
  std::vector<int64_t> row_shape;
};

// The attributes, which npyfast/_engines/op_attributes.py writes.
struct Spec {
  explicit Spec(const Attributes& attributes);

  std::vector<LeafSpec> leaves;
  std::string machine;
  std::vector<Output> outputs;
  bool listed;      // whether the rows are an input
  size_t memories;  // inputs that hold the arrays in memory, after those
  Selection selection;
  Plan::Options plan;
  IndexedBatches::Epochs run;
  int64_t first;  // index of batch 0
  int64_t stride;
  int64_t threads;  // 0: as many as the process may use
  ReadaheadMode readahead;
  std::shared_ptr<Statistics> statistics;
};

// TensorFlow aborts the process for a shape that it does not allow.
void CheckShape(const std::vector<int64_t>& row_shape) {
  constexpr size_t kMostDims = 254;  // the batch's is one of them
  const bool counts = std::ranges::all_of(row_shape, [](int64_t count) { return count >= 0; });
  if (row_shape.size() >= kMostDims || !counts || !CheckedProduct(row_shape)) Malformed("dims");
}

std::vector<Output> ReadOutputs(const Attributes& attributes) {
  const std::vector<TF_DataType> types = attributes.Types("types");
  const std::vector<std::string> texts = attributes.Strings("texts");
  const std::vector<int64_t> ranks = attributes.Ints("ranks");
  const std::vector<int64_t> dims = attributes.Ints("dims");
  if (texts.size() != types.size() || ranks.size() != types.size()) Malformed("types");
  std::vector<Output> outputs;
  auto dim = dims.begin();
  for (size_t i = 0; i < types.size(); ++i) {
    if (ranks[i] < 0 || ranks[i] > dims.end() - dim) Malformed("dims");
    Output output{types[i], Text::kNone, {dim, dim + ranks[i]}};
    dim += ranks[i];
    CheckShape(output.row_shape);
    // Types without a size, such as resource and variant, are no plain values.
    if (output.type != TF_STRING && Api().TF_DataTypeSize(output.type) == 0) Malformed("types");
    if (texts[i] == "S") output.text = Text::kBytes;
    if (texts[i] == "U") output.text = Text::kUtf32;
    if ((output.text != Text::kNone) != (output.type == TF_STRING)) Malformed("texts");
    outputs.push_back(std::move(output));
  }
  return outputs;
}

// Another version of an order would give other rows.
void CheckVersions(const Spec& spec, int64_t order, int64_t block_order) {
  const bool ordered = spec.plan.shuffle || spec.selection.order;
  const bool in_blocks = spec.plan.shuffle && spec.plan.blocks.block_rows > 0;
  if ((!ordered || order == kOrderVersion) && (!in_blocks || block_order == kBlockOrderVersion))
    return;
  throw StatusError(
      TF_FAILED_PRECONDITION,
      spec.leaves[0].name + ": the dataset was made with order version " + std::to_string(order) +
          " and block order version " + std::to_string(block_order) + ", and this npyfast has " +
          std::to_string(kOrderVersion) + " and " + std::to_string(kBlockOrderVersion) +
          ": install the same version of npyfast in all processes");
}

Spec::Spec(const Attributes& attributes)
    : leaves(ReadLeafSpecs(attributes)),
      machine(attributes.String("machine")),
      outputs(ReadOutputs(attributes)),
      listed(attributes.Int("lists") > 0),
      memories(static_cast<size_t>(attributes.Int("memories"))),
      first(attributes.Int("first")),
      stride(attributes.Int("stride")),
      threads(attributes.Int("threads")),
      readahead(ReadaheadModeOf(attributes.String("readahead"))),
      statistics(FindStatistics(attributes.Int("statistics"))) {
  // A process that the dataset was sent to has no counters for it.
  if (statistics == nullptr) statistics = std::make_shared<Statistics>();
  const std::vector<int64_t> selected = attributes.Ints("selection");
  if (selected.size() != 3) Malformed("selection");
  selection = {selected[0], selected[1], selected[2]};
  const std::vector<int64_t> order = attributes.Ints("selection_order");
  if (!order.empty()) {
    // The limit of an order; CheckRows() compares it with the files.
    if (order.size() != 2 || order[0] < 0 || order[0] > int64_t{1} << 62 || listed)
      Malformed("selection_order");
    selection.order.emplace(static_cast<uint64_t>(order[0]), static_cast<uint64_t>(order[1]),
                            kSplitEpoch);
  }
  plan.batch_size = attributes.Int("batch_size");
  plan.shuffle = attributes.Bool("shuffle");
  plan.seed = static_cast<uint64_t>(attributes.Int("seed"));
  plan.blocks = {attributes.Int("block_rows"), attributes.Int("window_rows")};
  plan.shard_index = attributes.Int("shard_index");
  plan.shard_count = attributes.Int("shard_count");
  plan.drop_remainder = attributes.Bool("drop_remainder");
  run.start_epoch = static_cast<uint64_t>(attributes.Int("start_epoch"));
  run.start_batch = attributes.Int("start_batch");
  run.epochs = attributes.Int("epochs");
  run.single_epochs = attributes.Bool("single_passes");
  // The limits of npyfast/_order/plan.py, so that nothing below overflows.
  constexpr int64_t kMost = int64_t{1} << 31;
  constexpr int64_t kMostThreads = 1 << 15;
  const bool fine = plan.batch_size >= 1 && plan.batch_size < kMost && plan.shard_index >= 0 &&
                    plan.shard_index < plan.shard_count && plan.shard_count < kMost &&
                    plan.blocks.block_rows >= 0 &&
                    (plan.blocks.block_rows == 0 || plan.blocks.window_rows >= 1) &&
                    selection.size >= 0 && run.start_batch >= 0 && first >= 0 && stride >= 1 &&
                    threads >= 0 && threads < kMostThreads;
  if (!fine) Malformed("an option is out of range");
  CheckVersions(*this, attributes.Int("order_version"), attributes.Int("block_order_version"));
}

// A selection with rows outside the array would read arbitrary memory.
void CheckRows(const Selection& selection, int64_t rows) {
  const auto check = [rows](__int128 row) {
    if (row < 0 || row >= rows) Malformed("a row is out of range");
  };
  if (selection.order && selection.order->rows() != static_cast<uint64_t>(rows))
    Malformed("selection_order is of another number of rows");
  if (selection.size == 0) return;
  if (selection.list == nullptr) {
    check(selection.start);
    check(selection.start + static_cast<__int128>(selection.size - 1) * selection.step);
    return;
  }
  for (int64_t i = 0; i < selection.size; ++i) check(selection.list.get()[i]);
}

// NpyfastBatch: batch `index` / stride of the run that the attributes describe.
class BatchKernel {
 public:
  explicit BatchKernel(const Attributes& attributes) : spec_(attributes) {}

  void Compute(TF_OpKernelContext* context) {
    const Tensor index = GetInput(context, 0);
    if (Api().TF_TensorElementCount(index.get()) != 1)
      throw StatusError(TF_INVALID_ARGUMENT, "NpyfastBatch: index must be a scalar");
    const int64_t place = *static_cast<const int64_t*>(Api().TF_TensorData(index.get()));
    if (place < spec_.first || (place - spec_.first) % spec_.stride != 0)
      throw ForeignCheckpoint(spec_.leaves[0].name);
    const std::shared_ptr<Opened> opened = OpenedFor(context);
    Batch batch = opened->batches->Get((place - spec_.first) / spec_.stride);
    std::vector<int64_t> shape;
    const Status status;
    for (size_t i = 0; i < spec_.outputs.size(); ++i) {
      const Output& output = spec_.outputs[i];
      shape.assign(1, batch.rows);
      shape.insert(shape.end(), output.row_shape.begin(), output.row_shape.end());
      const Tensor tensor = output.text == Text::kNone
                                ? AdoptBuffer(output.type, shape, std::move(batch.columns[i]))
                                : Strings(*opened, i, shape, batch.columns[i].get());
      Api().TF_SetOutput(context, static_cast<int>(i), tensor.get(), status.get());
      status.Check();
    }
  }

 private:
  // The opened files. Replaced as a whole if other lists of rows or arrays are the inputs.
  struct Opened {
    std::vector<const void*> inputs;  // their data, which the plan and the arrays own
    std::vector<int64_t> widths;      // of an item of each output, in bytes
    std::vector<std::string> names;   // a file of each output
    std::unique_ptr<IndexedBatches> batches;
  };

  // The inputs after the index.
  struct Inputs {
    Tensor list;  // none if the rows are no input
    std::vector<Tensor> memories;

    std::vector<const void*> Data() const {
      std::vector<const void*> data;
      if (list != nullptr) data.push_back(Api().TF_TensorData(list.get()));
      for (const Tensor& memory : memories) data.push_back(Api().TF_TensorData(memory.get()));
      return data;
    }
  };

  // An output of text.
  Tensor Strings(const Opened& opened, size_t output, std::span<const int64_t> shape,
                 const std::byte* items) const {
    try {
      return MakeStrings(spec_.outputs[output].text, opened.widths[output], shape, items);
    } catch (const StatusError& e) {
      throw StatusError(e.code(), opened.names[output] + ": " + e.what());
    }
  }

  std::shared_ptr<Opened> OpenedFor(TF_OpKernelContext* context) {
    Inputs inputs;
    if (spec_.listed) inputs.list = GetInput(context, 1);
    for (size_t i = 0; i < spec_.memories; ++i)
      inputs.memories.push_back(GetInput(context, static_cast<int>(1 + spec_.listed + i)));
    const std::vector<const void*> data = inputs.Data();
    std::shared_ptr<Opened> replaced;  // destroyed after the lock: it waits for its threads
    const std::lock_guard lock(mutex_);
    if (opened_ == nullptr || opened_->inputs != data) {
      replaced = std::move(opened_);
      opened_ = Open(std::move(inputs));
      opened_->inputs = data;
    }
    return opened_;
  }

  std::shared_ptr<Opened> Open(Inputs inputs) const {
    auto opened = std::make_shared<Opened>();
    Selection selection = spec_.selection;
    if (inputs.list != nullptr) {
      if (Api().TF_TensorElementCount(inputs.list.get()) != selection.size) Malformed("rows");
      const auto* numbers = static_cast<const int64_t*>(Api().TF_TensorData(inputs.list.get()));
      selection.list = {std::shared_ptr<TF_Tensor>(std::move(inputs.list)), numbers};
    }
    const bool same_machine = !spec_.machine.empty() && spec_.machine == MachineId();
    std::vector<std::shared_ptr<const Gather>> gathers;
    size_t memory = 0;
    for (const LeafSpec& leaf : spec_.leaves) {
      std::shared_ptr<const Array> array;
      if (leaf.in_memory()) {
        if (memory == inputs.memories.size()) Malformed("memories");
        array = View(leaf, std::move(inputs.memories[memory++]));
      } else {
        array = OpenShared(leaf.files, same_machine);
      }
      const size_t output = opened->widths.size();
      if (output >= spec_.outputs.size()) Malformed("columns");
      gathers.push_back(leaf.MakeGather(std::move(array), spec_.outputs[output].row_shape));
      for (size_t c = 0; c < gathers.back()->columns(); ++c) {
        opened->widths.push_back(ItemBytes(opened->widths.size(), gathers.back()->row_bytes(c)));
        opened->names.push_back(leaf.name);
      }
    }
    if (memory != inputs.memories.size()) Malformed("memories");
    CheckRows(selection, gathers[0]->array()->rows());
    if (opened->widths.size() != spec_.outputs.size()) Malformed("columns");
    const Plan plan(selection, spec_.plan);
    if (spec_.run.start_batch > plan.batches()) Malformed("start_batch");
    const int threads = spec_.threads > 0 ? static_cast<int>(spec_.threads) : UsualThreads(gathers);
    opened->batches =
        std::make_unique<IndexedBatches>(std::move(gathers), plan, spec_.run,
                                         BatchStream::Options{.threads = threads,
                                                              .readahead = spec_.readahead,
                                                              .statistics = spec_.statistics,
                                                              .cpus = RecentUsableCpus()});
    return opened;
  }

  // An array that lies in an input.
  static std::shared_ptr<const Array> View(const LeafSpec& leaf, Tensor input) {
    const auto* data = static_cast<const std::byte*>(Api().TF_TensorData(input.get()));
    const int64_t bytes = Api().TF_TensorElementCount(input.get());
    return leaf.View({std::shared_ptr<TF_Tensor>(std::move(input)), data}, bytes);
  }

  // Bytes of an item of an output whose rows have `row_bytes` bytes.
  int64_t ItemBytes(size_t output, int64_t row_bytes) const {
    if (output >= spec_.outputs.size()) Malformed("columns");
    const auto& [type, text, row_shape] = spec_.outputs[output];
    int64_t items = 1;
    for (const int64_t count : row_shape) items *= count;
    const int64_t width = items == 0 ? 0 : row_bytes / items;
    bool fits = width * items == row_bytes;
    if (text == Text::kUtf32) fits = fits && width % 4 == 0;
    if (text == Text::kNone && items > 0)
      fits = fits && width == static_cast<int64_t>(Api().TF_DataTypeSize(type));
    if (!fits) Malformed("an output does not fit its rows");
    return width;
  }

  const Spec spec_;
  std::mutex mutex_;
  std::shared_ptr<Opened> opened_;
};

// Saved graphs hold these names. A new attribute has a default; an incompatible change gets a new
// op.
constexpr std::initializer_list<const char*> kAttributes = {
    // The arrays of the leaves: EncodedArrays of core/source/array_source.h. The bytes of those in
    // memory are inputs, in the order of the leaves.
    "memories: int >= 0 = 0",
    "files: list(string)",
    "shards: list(int)",
    "kinds: list(int) = []",
    "headers: list(string) = []",
    "offsets: list(int) = []",
    "strides: list(int) = []",
    "stamps: list(int)",
    "views: list(int) = []",
    "row_types: list(string)",
    "rows_of_leaf: int",
    // The machine on which the stamps hold.
    "machine: string",
    // Of each leaf that is cast: a .npy header of the new type, and .npy files of the factors and
    // of
    // the summands; else "".
    "casts: list(string) = []",
    "scales: list(string) = []",
    "shifts: list(string) = []",
    // The outputs: "S" or "U" for text; the rank of a row, and the dimensions of all outputs' rows.
    "types: list(type) >= 1",
    "texts: list(string)",
    "ranks: list(int)",
    "dims: list(int)",
    // The rows that take part: start, step, size. With lists = 1 their numbers are an input, and
    // the
    // selection is 0, 1, size. For a part of a split: rows and seed of its order.
    "lists: int >= 0",
    "selection: list(int)",
    "selection_order: list(int) = []",
    // The plan. The seed's 64 bits have no sign; block_rows = 0 shuffles fully.
    "batch_size: int",
    "shuffle: bool",
    "seed: int",
    "block_rows: int = 0",
    "window_rows: int = 0",
    "shard_index: int",
    "shard_count: int",
    "drop_remainder: bool",
    "order_version: int",
    "block_order_version: int",
    // The run: epochs = -1 is endless; with single_passes each iteration is one epoch.
    "start_epoch: int",
    "start_batch: int",
    "epochs: int",
    "single_passes: bool",
    // The index of batch 0, and from each batch to the next.
    "first: int",
    "stride: int",
    // 0: as many threads as the process may use.
    "threads: int",
    "readahead: string",
    // The number of the dataset's counters.
    "statistics: int = 0",
};

}  // namespace

void RegisterBatchOp() {
  RegisterOp({.name = "NpyfastBatch",
              .inputs = {"index: int64", "rows: lists * int64", "memory: memories * uint8"},
              .outputs = {"columns: types"},
              .attributes = kAttributes,
              .create = CreateKernel<BatchKernel>,
              .compute = ComputeKernel<BatchKernel>,
              .destroy = DestroyKernel<BatchKernel>});
}

}  // namespace npyfast::tf
