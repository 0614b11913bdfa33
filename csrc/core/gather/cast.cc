#include "core/gather/cast.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/base/errors.h"
#include "core/gather/cpu_prefetch.h"
#include "core/npy/shape.h"
#include "core/os/float_environment.h"

namespace npyfast {
namespace {

// Items that a kernel is called for at most: their results, scales and shifts fit into the
// first-level cache together.
constexpr int64_t kRun = 1024;

// Where as many items one behind the other have the same scale, one number is kept for all of them.
constexpr int64_t kAlikeFrom = 64;

// Rows of fewer bytes are copied together first, so many that they stay in the first-level cache:
// one call of a kernel casts many of them, and waiting for shuffled rows to come from memory does
// not mix with storing the results, which takes twice as long as one after the other.
constexpr int64_t kTogetherBelow = 1024;
constexpr int64_t kTogether = 8192;

// The position, in an operand that has 1 for some of a row's axes, of the number for an item.
int64_t PositionOf(int64_t item, std::span<const int64_t> row_shape,
                   std::span<const int64_t> operand) {
  int64_t position = 0;
  int64_t step = 1;
  for (size_t axis = row_shape.size(); axis-- > 0;) {
    const int64_t index = item % row_shape[axis];
    item /= row_shape[axis];
    if (operand[axis] != 1) position += index * step;
    step *= operand[axis];
  }
  return position;
}

}  // namespace

// What casting needs on the stack.
struct Cast::Scratch {
  // Of equal numbers, and which one of an operand's it is.
  alignas(64) std::byte scale[kRun * sizeof(double)];
  alignas(64) std::byte shift[kRun * sizeof(double)];
  int64_t scale_is;
  int64_t shift_is;
  alignas(64) std::byte out[kRun * sizeof(double)];
};

Cast::Cast(const Dtype& from, const Dtype& to, std::span<const int64_t> row_shape,
           const std::optional<Operand>& scale, const std::optional<Operand>& shift)
    : from_bytes_(from.itemsize), to_bytes_(to.itemsize), row_items_(*ElementCount(row_shape)) {
  const std::optional<Number> from_number = NumberOf(from);
  const std::optional<Number> to_number = NumberOf(to);
  if (from_number && to_number) kernel_ = FindCastKernel(*from_number, *to_number);
  if (kernel_ == nullptr) throw Error("there is no cast between these dtypes");
  if ((scale || shift) && !IsFloat(*to_number))
    throw Error("a cast to integers has neither scale nor shift");
  if (__builtin_mul_overflow(row_items_, to_bytes_, &row_bytes_))
    throw Error("rows of shape " + ShapeText(row_shape) + " are too large for the cast");
  source_row_.chunk_bytes = source_row_.row_bytes = row_items_ * from_bytes_;
  if (scale) scale_ = MakeBroadcast("scale", *scale, row_shape);
  if (shift) shift_ = MakeBroadcast("shift", *shift, row_shape);
  if (shift && !scale) {  // a product with 1 changes nothing
    Operand one{{}, std::vector<std::byte>(static_cast<size_t>(to_bytes_))};
    const std::byte yes{1};
    FindCastKernel(Number::kBool, *to_number)(&yes, 1, one.items.data(), nullptr, nullptr);
    scale_ = MakeBroadcast("scale", one, row_shape);
  }
}

Cast::Broadcast Cast::MakeBroadcast(const char* name, const Operand& operand,
                                    std::span<const int64_t> row_shape) const {
  bool fits = operand.shape.size() <= row_shape.size();
  // With as many axes as a row has.
  std::vector<int64_t> shape(row_shape.size() - (fits ? operand.shape.size() : 0), 1);
  shape.insert(shape.end(), operand.shape.begin(), operand.shape.end());
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] == 1 || shape[i] == row_shape[i];
  if (!fits) {
    throw Error(std::string(name) + " of shape " + ShapeText(operand.shape) +
                " does not broadcast over a row of shape " + ShapeText(row_shape));
  }
  if (std::ssize(operand.items) != *ElementCount(operand.shape) * to_bytes_) {
    throw Error(std::string(name) + " has " + std::to_string(operand.items.size()) +
                " bytes, and the shape " + ShapeText(operand.shape));
  }
  Broadcast made;
  if (row_items_ == 0) return made;

  // The axes before `first` and from `last` on make no difference, nor do those in [gap, inner).
  const auto differs = [&](size_t axis) { return shape[axis] != 1; };
  size_t first = 0;
  while (first < shape.size() && !differs(first)) ++first;
  size_t last = shape.size();
  while (last > first && !differs(last - 1)) --last;
  size_t inner = last;
  while (inner > first && differs(inner - 1)) --inner;
  size_t gap = inner;
  while (gap > first && !differs(gap - 1)) --gap;
  made.period = *ElementCount(row_shape.subspan(first));
  made.alike = *ElementCount(row_shape.subspan(last));
  if (first == last) made.period = made.alike = 1;  // one number for all items
  const bool many_alike = made.alike >= kAlikeFrom;
  if (!many_alike) made.alike = 1;
  made.pattern = made.block = made.period;
  // Repeating a pattern takes memory for a run of it, too.
  const int64_t pattern = *ElementCount(row_shape.subspan(inner));
  const int64_t block = *ElementCount(row_shape.subspan(gap));
  if (gap > first && pattern + (many_alike ? 0 : kRun) < block) {
    made.pattern = pattern;
    made.block = block;
  }

  int64_t more = kRun - 1;  // of a pattern again: a run may begin with any item of it
  if (many_alike) {
    more = 0;
  } else if (made.block == made.period && source_row_.row_bytes >= kTogetherBelow) {
    // No run goes on from one row to the next.
    more = made.period == row_items_ ? 0 : std::min(kRun, row_items_) - 1;
  }
  made.kept = made.pattern / made.alike + more;
  made.items.reserve(static_cast<size_t>(made.period / made.block * made.kept * to_bytes_));
  for (int64_t start = 0; start < made.period; start += made.block) {
    for (int64_t i = 0; i < made.kept; ++i) {
      const int64_t item = start + i * made.alike % made.pattern;
      const int64_t at = PositionOf(item, row_shape, shape) * to_bytes_;
      made.items.insert(made.items.end(), operand.items.begin() + at,
                        operand.items.begin() + at + to_bytes_);
    }
  }
  return made;
}

// The operand's numbers for a run that begins with an item of a row, of *items items or fewer: then
// *items is changed. Equal ones are written to `filled`, unless they are there.
const std::byte* Cast::At(const Broadcast& broadcast, int64_t item, int64_t* items,
                          std::byte* filled, int64_t* filled_with) const noexcept {
  int64_t at = broadcast.period == 1 ? 0 : item % broadcast.period;
  int64_t first = 0;  // of the numbers of its block
  if (broadcast.block < broadcast.period) {
    first = at / broadcast.block * broadcast.kept;
    at %= broadcast.block;
    *items = std::min(*items, broadcast.block - at);
    at %= broadcast.pattern;
  }
  if (broadcast.alike == 1) return broadcast.items.data() + (first + at) * to_bytes_;
  const int64_t which = first + at / broadcast.alike;
  *items = std::min(*items, broadcast.alike - at % broadcast.alike);
  if (which != *filled_with) {
    *filled_with = which;
    const std::byte* number = broadcast.items.data() + which * to_bytes_;
    const auto bytes = static_cast<size_t>(std::min(kRun, broadcast.alike) * to_bytes_);
    const auto one = static_cast<size_t>(to_bytes_);
    std::memcpy(filled, number, one);
    for (size_t done = one; done < bytes; done *= 2)
      std::memcpy(filled + done, filled, std::min(done, bytes - done));
  }
  return filled;
}

// Casts items that lie one behind the other, the first of which is the first of a row.
void Cast::Run(const std::byte* source, int64_t items, std::byte* out, Stores stores,
               Scratch* scratch) const noexcept {
  for (int64_t item = 0; item < items;) {
    int64_t run = std::min(kRun, items - item);
    const std::byte* scale = nullptr;
    const std::byte* shift = nullptr;
    if (scale_) scale = At(*scale_, item, &run, scratch->scale, &scratch->scale_is);
    if (shift_) shift = At(*shift_, item, &run, scratch->shift, &scratch->shift_is);
    const std::byte* from = source + item * from_bytes_;
    std::byte* to = out + item * to_bytes_;
    if (stores == Stores::kPastCache) {
      kernel_(from, static_cast<size_t>(run), scratch->out, scale, shift);
      copy_past_cache_(scratch->out, static_cast<size_t>(run * to_bytes_), to);
    } else {
      kernel_(from, static_cast<size_t>(run), to, scale, shift);
    }
    item += run;
  }
}

void Cast::Rows(const std::byte* const* sources, size_t count, std::byte* out,
                Stores stores) const noexcept {
  if (row_items_ == 0 || count == 0) return;
  const FloatEnvironment before = UseDefaultFloatEnvironment();
  Scratch scratch;
  scratch.scale_is = scratch.shift_is = -1;
  if (source_row_.row_bytes < kTogetherBelow) {
    alignas(64) std::byte together[kTogether];
    const auto at_once = static_cast<size_t>(kTogether / source_row_.row_bytes);
    for (size_t i = 0; i < count; i += at_once) {
      const size_t rows = std::min(at_once, count - i);
      CopyColumn(source_row_, sources + i, rows, together);
      Run(together, static_cast<int64_t>(rows) * row_items_,
          out + static_cast<int64_t>(i) * row_bytes(), stores, &scratch);
    }
  } else {
    for (size_t i = 0; i < count; ++i) {
      PrefetchAt(sources, i, count, 0, source_row_.row_bytes);
      Run(sources[i], row_items_, out + static_cast<int64_t>(i) * row_bytes(), stores, &scratch);
    }
  }
  UseFloatEnvironment(before);
}

}  // namespace npyfast
