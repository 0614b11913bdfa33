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

// Elements of one call of a kernel at most: their results, scales and shifts fit into the
// first-level cache together.
constexpr int64_t kMostElements = 1024;

// From so many consecutive elements with the same number on, one number is kept for all of them.
constexpr int64_t kAlikeFrom = 64;

// Smaller rows are first copied together, as many as stay in the first-level cache. Then one call
// of a kernel casts many of them. And loading shuffled rows from memory does not mix with storing
// the results, which takes twice as long as doing one after the other.
constexpr int64_t kTogetherBelow = 1024;
constexpr int64_t kTogether = 8192;

// The shape of an operand, with as many axes as a row has. Throws Error if it does not broadcast
// over a row, or does not hold as many numbers as it says.
std::vector<int64_t> ShapeOf(const char* name, const Operand& operand, int64_t number_bytes,
                             std::span<const int64_t> row_shape) {
  bool fits = operand.shape.size() <= row_shape.size();
  std::vector<int64_t> shape(row_shape.size() - (fits ? operand.shape.size() : 0), 1);
  shape.insert(shape.end(), operand.shape.begin(), operand.shape.end());
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] == 1 || shape[i] == row_shape[i];
  if (!fits) {
    throw Error(std::string(name) + " of shape " + ShapeText(operand.shape) +
                " does not broadcast over a row of shape " + ShapeText(row_shape));
  }
  if (std::ssize(operand.numbers) != *ElementCount(operand.shape) * number_bytes) {
    throw Error(std::string(name) + " has " + std::to_string(operand.numbers.size()) +
                " bytes, and the shape " + ShapeText(operand.shape));
  }
  return shape;
}

// The position of an element's number in an operand that has 1 for some of a row's axes.
int64_t PositionOf(int64_t element, std::span<const int64_t> row_shape,
                   std::span<const int64_t> operand) {
  int64_t position = 0;
  int64_t step = 1;
  for (size_t axis = row_shape.size(); axis-- > 0;) {
    const int64_t index = element % row_shape[axis];
    element /= row_shape[axis];
    if (operand[axis] != 1) position += index * step;
    step *= operand[axis];
  }
  return position;
}

}  // namespace

// What casting needs on the stack.
struct Cast::Scratch {
  // One number over and over, and the index of that number in the operand.
  alignas(64) std::byte scale[kMostElements * sizeof(double)];
  alignas(64) std::byte shift[kMostElements * sizeof(double)];
  int64_t scale_is;
  int64_t shift_is;
  alignas(64) std::byte out[kMostElements * sizeof(double)];
};

Cast::Cast(const Dtype& from, const Dtype& to, std::span<const int64_t> row_shape,
           const std::optional<Operand>& scale, const std::optional<Operand>& shift)
    : from_bytes_(from.itemsize), to_bytes_(to.itemsize), row_elements_(*ElementCount(row_shape)) {
  const std::optional<Number> from_number = NumberOf(from);
  const std::optional<Number> to_number = NumberOf(to);
  if (from_number && to_number) kernel_ = FindCastKernel(*from_number, *to_number);
  if (kernel_ == nullptr) throw Error("there is no cast between these dtypes");
  if ((scale || shift) && !IsFloat(*to_number))
    throw Error("a cast to integers has neither scale nor shift");
  if (__builtin_mul_overflow(row_elements_, to_bytes_, &row_bytes_))
    throw Error("rows of shape " + ShapeText(row_shape) + " are too large for the cast");
  source_row_.chunk_bytes = source_row_.row_bytes = row_elements_ * from_bytes_;
  if (scale) scale_ = MakeBroadcast("scale", *scale, row_shape);
  if (shift) shift_ = MakeBroadcast("shift", *shift, row_shape);
  if (shift && !scale) {  // kernels shift only what they scale; a product with 1 changes nothing
    Operand one{{}, std::vector<std::byte>(static_cast<size_t>(to_bytes_))};
    const std::byte yes{1};
    FindCastKernel(Number::kBool, *to_number)(&yes, 1, one.numbers.data(), nullptr, nullptr);
    scale_ = MakeBroadcast("scale", one, row_shape);
  }
}

Cast::Broadcast Cast::LayOut(std::span<const int64_t> shape,
                             std::span<const int64_t> row_shape) const {
  // The operand is the same along the axes before `first`, from `last` on, and in [gap, inner).
  const auto differs = [&](size_t axis) { return shape[axis] != 1; };
  size_t first = 0;
  while (first < shape.size() && !differs(first)) ++first;
  size_t last = shape.size();
  while (last > first && !differs(last - 1)) --last;
  size_t inner = last;
  while (inner > first && differs(inner - 1)) --inner;
  size_t gap = inner;
  while (gap > first && !differs(gap - 1)) --gap;
  Broadcast made;
  made.period = *ElementCount(row_shape.subspan(first));
  made.alike = *ElementCount(row_shape.subspan(last));
  if (first == last) made.period = made.alike = 1;  // one number for all elements
  const bool many_alike = made.alike >= kAlikeFrom;
  if (!many_alike) made.alike = 1;
  made.pattern = made.section = made.period;
  // A pattern is worth it only if it takes less memory than the section, with what a kernel needs
  // to go on.
  const int64_t pattern = *ElementCount(row_shape.subspan(inner));
  const int64_t section = *ElementCount(row_shape.subspan(gap));
  if (gap > first && pattern + (many_alike ? 0 : kMostElements) < section) {
    made.pattern = pattern;
    made.section = section;
  }
  int64_t more = kMostElements - 1;  // a kernel may begin with any element of the pattern
  if (many_alike) {
    more = 0;
  } else if (made.section == made.period && source_row_.row_bytes >= kTogetherBelow) {
    // No kernel goes on from one row to the next.
    more = made.period == row_elements_ ? 0 : std::min(kMostElements, row_elements_) - 1;
  }
  made.kept = made.pattern / made.alike + more;
  return made;
}

Cast::Broadcast Cast::MakeBroadcast(const char* name, const Operand& operand,
                                    std::span<const int64_t> row_shape) const {
  const std::vector<int64_t> shape = ShapeOf(name, operand, to_bytes_, row_shape);
  if (row_elements_ == 0) return {};
  Broadcast made = LayOut(shape, row_shape);
  made.numbers.reserve(static_cast<size_t>(made.period / made.section * made.kept * to_bytes_));
  for (int64_t start = 0; start < made.period; start += made.section) {
    for (int64_t i = 0; i < made.kept; ++i) {
      const int64_t element = start + i * made.alike % made.pattern;
      const auto number =
          operand.numbers.begin() + PositionOf(element, row_shape, shape) * to_bytes_;
      made.numbers.insert(made.numbers.end(), number, number + to_bytes_);
    }
  }
  return made;
}

const std::byte* Cast::At(const Broadcast& broadcast, int64_t element, int64_t* elements,
                          std::byte* filled, int64_t* filled_with) const noexcept {
  int64_t at = broadcast.period == 1 ? 0 : element % broadcast.period;
  int64_t first = 0;  // number of the section
  if (broadcast.section < broadcast.period) {
    first = at / broadcast.section * broadcast.kept;
    at %= broadcast.section;
    *elements = std::min(*elements, broadcast.section - at);
    at %= broadcast.pattern;
  }
  if (broadcast.alike == 1) return broadcast.numbers.data() + (first + at) * to_bytes_;
  const int64_t which = first + at / broadcast.alike;
  *elements = std::min(*elements, broadcast.alike - at % broadcast.alike);
  if (which != *filled_with) {
    *filled_with = which;
    const std::byte* number = broadcast.numbers.data() + which * to_bytes_;
    const auto bytes = static_cast<size_t>(std::min(kMostElements, broadcast.alike) * to_bytes_);
    const auto one = static_cast<size_t>(to_bytes_);
    std::memcpy(filled, number, one);
    for (size_t done = one; done < bytes; done *= 2)
      std::memcpy(filled + done, filled, std::min(done, bytes - done));
  }
  return filled;
}

void Cast::Elements(const std::byte* source, int64_t elements, std::byte* out, Stores stores,
                    Scratch* scratch) const noexcept {
  for (int64_t element = 0; element < elements;) {
    int64_t count = std::min(kMostElements, elements - element);
    const std::byte* scale = nullptr;
    const std::byte* shift = nullptr;
    if (scale_) scale = At(*scale_, element, &count, scratch->scale, &scratch->scale_is);
    if (shift_) shift = At(*shift_, element, &count, scratch->shift, &scratch->shift_is);
    const std::byte* from = source + element * from_bytes_;
    std::byte* to = out + element * to_bytes_;
    if (stores == Stores::kPastCache) {
      kernel_(from, static_cast<size_t>(count), scratch->out, scale, shift);
      copy_past_cache_(scratch->out, static_cast<size_t>(count * to_bytes_), to);
    } else {
      kernel_(from, static_cast<size_t>(count), to, scale, shift);
    }
    element += count;
  }
}

void Cast::Rows(const std::byte* const* sources, size_t count, std::byte* out,
                Stores stores) const noexcept {
  if (row_elements_ == 0 || count == 0) return;
  const FloatEnvironment before = UseDefaultFloatEnvironment();
  Scratch scratch;
  scratch.scale_is = scratch.shift_is = -1;
  if (source_row_.row_bytes < kTogetherBelow) {
    alignas(64) std::byte together[kTogether];
    const auto at_once = static_cast<size_t>(kTogether / source_row_.row_bytes);
    for (size_t i = 0; i < count; i += at_once) {
      const size_t rows = std::min(at_once, count - i);
      CopyColumn(source_row_, sources + i, rows, together);
      Elements(together, static_cast<int64_t>(rows) * row_elements_,
               out + static_cast<int64_t>(i) * row_bytes(), stores, &scratch);
    }
  } else {
    for (size_t i = 0; i < count; ++i) {
      PrefetchAt(sources, i, count, 0, source_row_.row_bytes);
      Elements(sources[i], row_elements_, out + static_cast<int64_t>(i) * row_bytes(), stores,
               &scratch);
    }
  }
  UseFloatEnvironment(before);
}

}  // namespace npyfast
