#include "core/readahead/direct_sizes.h"

#include <algorithm>

#include "core/os/buffer_pool.h"
#include "core/source/row_runs.h"

namespace npyfast {
namespace {

// Blocks of a device, or pages, that a row touches beyond its own bytes.
constexpr int64_t kBlockBytes = 4096;

// Small enough for the first of a batch to be there soon, large enough for its rows to keep the
// device busy and for one change of threads to be worth it.
constexpr int64_t kMostPieceBytes = 1 << 20;
constexpr int64_t kPiecesOfMemory = 64;

// Memory for the rows of coming batches: several times what may be in flight, if rows are small.
constexpr int64_t kMostBufferBytes = 32 << 20;
constexpr int64_t kPartOfMemory = 8;
constexpr int64_t kPartOfMemoryForBlocks = 2;
constexpr int64_t kLeastPieces = 4;

// What is read for one row.
struct RowReads {
  int64_t bytes = 0;  // of memory, with the blocks that the row touches
  int64_t reads = 0;
};

RowReads ReadsOf(const Array& array) {
  if (array.has_dense_rows()) return {array.row_bytes() + 2 * kBlockBytes, 1};
  RowReads most;
  const std::vector<FileRows>& files = array.file_rows();
  for (size_t i = 0; i < files.size(); ++i) {
    if (i > 0 && files[i].strides == files[i - 1].strides) continue;
    const RowImage image = ImageOf(array, i);
    // Up to a block before it, and the block in which it ends.
    most.bytes = std::max(most.bytes, BytesTogether(image.bytes, 3 * RowImage::kUnit));
    most.reads = std::max(most.reads, image.runs.count);
  }
  return most;
}

RowReads ReadsOf(const std::vector<DirectLeaf>& leaves) {
  RowReads all;
  for (const DirectLeaf& leaf : leaves) {
    const RowReads one = ReadsOf(*leaf.array);
    all.bytes = BytesTogether(all.bytes, one.bytes);
    all.reads += one.reads;
  }
  return all;
}

// Bytes from a row to the next.
int64_t StretchedBytes(const std::vector<DirectLeaf>& leaves) {
  int64_t bytes = 0;
  for (const DirectLeaf& leaf : leaves) bytes = BytesTogether(bytes, leaf.array->row_stride());
  return bytes;
}

int64_t SlotBytes(const PiecePlan& plan, const std::vector<DirectLeaf>& leaves) {
  if (!plan.shared()) return BytesOfRows(plan.most_rows(), ReadsOf(leaves).bytes);
  int64_t bytes = BytesOfRows(plan.most_rows(), StretchedBytes(leaves));
  for (const DirectLeaf& leaf : leaves) {
    // One stretch of rows or two, each cut where it reaches from one file into another.
    const Array& array = *leaf.array;
    const int64_t rows_per_file =
        std::max<int64_t>(array.rows() / std::ssize(array.file_rows()), 1);
    // The last row of a stretch may be longer than its distance to the next.
    const int64_t more =
        2 * kBlockBytes + std::max<int64_t>(array.row_bytes() - array.row_stride(), 0);
    bytes = BytesTogether(bytes, BytesOfRows(plan.most_rows() / rows_per_file + 4, more));
  }
  return bytes;
}

}  // namespace

bool ByStretches(const Plan& plan) {
  if (plan.options().shuffle) return plan.options().blocks.block_rows > 0;
  return plan.selection().ascending() && plan.selection().step == 1;
}

DirectSizes SizesFor(const ItemPlan& items, const std::vector<DirectLeaf>& leaves,
                     int64_t usable_bytes) {
  DirectSizes sizes;
  sizes.piece_bytes = std::min(kMostPieceBytes, usable_bytes / kPiecesOfMemory);
  const PiecePlan plan = PiecesOf(items, leaves, sizes);
  sizes.slot_bytes = (SlotBytes(plan, leaves) + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  const RowReads row = ReadsOf(leaves);
  sizes.read_bytes = std::max<int64_t>(plan.shared() ? sizes.slot_bytes : row.bytes / row.reads, 1);
  const Selection& selection = items.plan().selection();
  const bool consecutive = selection.ascending() && selection.step == 1;
  if (plan.shared() && !consecutive) return sizes;
  if (plan.shared() && items.plan().options().shuffle) {
    const int64_t bytes = BytesOfRows(plan.needed_together(), sizes.slot_bytes);
    if (bytes <= usable_bytes / kPartOfMemoryForBlocks) sizes.slots = plan.needed_together();
    return sizes;
  }
  const int64_t most = usable_bytes / kPartOfMemory;
  const int64_t least = std::max(kLeastPieces, plan.needed_together());
  if (BytesOfRows(least, sizes.slot_bytes) <= most)
    sizes.slots = std::max(least, std::min(most, kMostBufferBytes) / sizes.slot_bytes);
  return sizes;
}

PiecePlan PiecesOf(const ItemPlan& items, const std::vector<DirectLeaf>& leaves,
                   const DirectSizes& sizes) {
  const int64_t row_bytes =
      ByStretches(items.plan()) ? StretchedBytes(leaves) : ReadsOf(leaves).bytes;
  return PiecePlan(items, row_bytes, sizes.piece_bytes);
}

}  // namespace npyfast
