#include "core/order/block_order.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/order/splitmix.h"
#include "core/os/per_thread.h"

namespace npyfast {
namespace {

// What a seed is for: each use has a chain of hashes of its own.
enum class Use : uint64_t { kRotation = 1, kBlocks = 2, kWindow = 3 };

uint64_t DeriveSeed(uint64_t seed, uint64_t epoch, uint64_t rows, Use use, uint64_t window = 0) {
  return Chain({seed, epoch, rows, static_cast<uint64_t>(use), window});
}

}  // namespace

// A window, as the thread remembers it that used it last.
struct BlockOrder::Window {
  // More slots than this are not worth the time and the memory of a list.
  static constexpr uint64_t kMostListed = 4096;

  // What all the rest is a function of.
  struct Key {
    uint64_t rows = 0, seed = 0, epoch = 0, block_rows = 0, windows = 0, window = 0;
    bool operator==(const Key&) const = default;
  };

  Key key;
  uint64_t first_slot = 0;
  uint64_t first_position = 0;
  Order order{0, 0, 0};         // of the window's rows
  std::vector<int64_t> starts;  // the rows where its slots begin; empty: too many to list
};

BlockOrder::BlockOrder(uint64_t rows, uint64_t seed, uint64_t epoch, const BlockSizes& sizes)
    : rows_(rows),
      seed_(seed),
      epoch_(epoch),
      block_rows_(static_cast<uint64_t>(sizes.block_rows)),
      blocks_(rows / block_rows_),
      remainder_(rows % block_rows_),
      windows_(1),
      rotation_(MultiplyHigh(DeriveSeed(seed, epoch, rows, Use::kRotation), rows)),
      block_at_(blocks_, DeriveSeed(seed, epoch, rows, Use::kBlocks), 0) {
  const uint64_t window_blocks =
      std::max<uint64_t>(1, static_cast<uint64_t>(sizes.window_rows) / block_rows_);
  if (blocks_ > 0) windows_ = (blocks_ - 1) / window_blocks + 1;
}

uint64_t BlockOrder::WindowOf(uint64_t position) const {
  if (windows_ == 1) return 0;
  // The remainder's positions are behind the last block's, in the last window.
  const uint64_t slot = std::min(position / block_rows_, blocks_ - 1);
  // The w with floor(w * blocks / windows) <= slot < floor((w + 1) * blocks / windows).
  return static_cast<uint64_t>((static_cast<unsigned __int128>(slot + 1) * windows_ - 1) / blocks_);
}

uint64_t BlockOrder::FirstSlot(uint64_t window) const {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(window) * blocks_ / windows_);
}

uint64_t BlockOrder::EndSlot(uint64_t window) const {
  return window + 1 == windows_ ? static_cast<uint64_t>(slots()) : FirstSlot(window + 1);
}

uint64_t BlockOrder::SlotStart(uint64_t slot) const {
  return BlockStart(slot < blocks_ ? block_at_(slot) : blocks_);
}

const BlockOrder::Window& BlockOrder::Remember(uint64_t window) const {
  Window& last = PerThread<Window, struct LastWindow>::Get();
  const Window::Key key{rows_, seed_, epoch_, block_rows_, windows_, window};
  if (last.key == key) return last;
  last.key = {};  // should there be no memory for the list
  last.first_slot = FirstSlot(window);
  last.first_position = last.first_slot * block_rows_;
  const uint64_t slots = EndSlot(window) - last.first_slot;
  last.starts.resize(slots <= Window::kMostListed ? slots : 0);
  if (!last.starts.empty()) {
    const std::span full = std::span(last.starts).first(std::min(slots, blocks_ - last.first_slot));
    block_at_.Fill(last.first_slot, full);
    for (int64_t& start : full)
      start = static_cast<int64_t>(BlockStart(static_cast<uint64_t>(start)));
    if (full.size() < slots) last.starts.back() = static_cast<int64_t>(BlockStart(blocks_));
  }
  const uint64_t end = window + 1 == windows_ ? rows_ : FirstSlot(window + 1) * block_rows_;
  last.order =
      Order(end - last.first_position, DeriveSeed(seed_, epoch_, rows_, Use::kWindow, window), 0);
  last.key = key;
  return last;
}

void BlockOrder::Fill(uint64_t first, std::span<int64_t> out) const {
  while (!out.empty()) {
    const Window& window = Remember(WindowOf(first));
    const uint64_t start = first - window.first_position;
    const std::span part = out.first(std::min<uint64_t>(out.size(), window.order.rows() - start));
    window.order.Fill(start, part);
    for (int64_t& row : part) {
      const uint64_t place = static_cast<uint64_t>(row);
      const uint64_t slot = place / block_rows_;
      const uint64_t slot_start = window.starts.empty()
                                      ? SlotStart(window.first_slot + slot)
                                      : static_cast<uint64_t>(window.starts[slot]);
      row = static_cast<int64_t>(Wrap(slot_start + (place - slot * block_rows_)));
    }
    first += part.size();
    out = out.subspan(part.size());
  }
}

std::array<BlockOrder::Stretch, 2> BlockOrder::SlotRows(int64_t slot) const {
  const uint64_t first = SlotStart(static_cast<uint64_t>(slot));
  const uint64_t rows = static_cast<uint64_t>(slot) < blocks_ ? block_rows_ : remainder_;
  const uint64_t before_end = std::min(rows, rows_ - first);
  return {{{static_cast<int64_t>(first), static_cast<int64_t>(before_end)},
           {0, static_cast<int64_t>(rows - before_end)}}};
}

int64_t BlockOrder::FirstSlotOf(uint64_t position) const {
  return static_cast<int64_t>(FirstSlot(WindowOf(position)));
}

int64_t BlockOrder::EndSlotOf(uint64_t position) const {
  return static_cast<int64_t>(EndSlot(WindowOf(position)));
}

}  // namespace npyfast
