#include "core/gather/cast.h"

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/errors.h"
#include "core/gather/cast_kernel.h"
#include "core/os/float_environment.h"
#include "tests/core/support/check.h"
#include "tests/core/support/naive.h"
#include "tests/core/support/npy_file.h"

namespace npyfast {
namespace {

using testing::Bytes;
using testing::DtypeOf;
using testing::RandomBytes;

const std::vector<std::string> kIntegers = {"'|i1'", "'<i2'", "'<i4'", "'<i8'",
                                            "'|u1'", "'<u2'", "'<u4'", "'<u8'"};
const std::vector<std::string> kFloats = {"'<f2'", "'|V2'", "'<f4'", "'<f8'"};

// A number, whatever its type: an integer exactly, in two's complement, or any other.
struct Value {
  bool is_integer;
  uint64_t integer;
  long double number;
};

// The slow and obvious way: the number that is nearest to `x` among those with so many bits and a
// last bit of at least 2^min_exponent; even ones win. Infinite from 2^max_exponent on.
long double Rounded(long double x, int bits, int min_exponent, int max_exponent) {
  if (!std::isfinite(x) || x == 0) return x;
  int exponent;
  std::frexp(x, &exponent);
  const int last = std::max(exponent - bits, min_exponent);
  const long double result = std::ldexp(std::nearbyint(std::ldexp(x, -last)), last);
  const long double infinity = std::numeric_limits<long double>::infinity();
  return std::abs(result) >= std::ldexp(1.0L, max_exponent) ? std::copysign(infinity, x) : result;
}

long double RoundedTo(const Dtype& to, long double x) {
  const long double as_float = Rounded(x, 24, -149, 128);
  if (to.kind == 'V') return Rounded(as_float, 8, -133, 128);  // by way of a float
  if (to.itemsize == 2) return Rounded(x, 11, -24, 16);
  return to.itemsize == 4 ? as_float : Rounded(x, 53, -1074, 1024);
}

// The number that the bits of a half or bfloat16 stand for.
long double OfBits(uint32_t bits, int fraction_bits, int exponent_bits) {
  const auto sign = (bits & 0x8000) != 0 ? -1.0L : 1.0L;
  const auto fraction = static_cast<long double>(bits & ((1u << fraction_bits) - 1));
  const int exponent = static_cast<int>((bits & 0x7FFF) >> fraction_bits);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction != 0 ? std::numeric_limits<long double>::quiet_NaN()
                         : sign * std::numeric_limits<long double>::infinity();
  }
  const long double one = std::ldexp(1.0L, fraction_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(one + fraction, exponent - bias - fraction_bits);
}

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename Integer>
Value ValueOf(const std::byte* at) {
  const auto integer = Load<Integer>(at);
  return {true, static_cast<uint64_t>(integer), static_cast<long double>(integer)};
}

Value ReadValue(const Dtype& dtype, const std::byte* at) {
  switch (dtype.kind) {
    case 'b':
      return {true, *at != std::byte{0} ? 1u : 0u, *at != std::byte{0} ? 1.0L : 0.0L};
    case 'i':
      if (dtype.itemsize == 1) return ValueOf<int8_t>(at);
      if (dtype.itemsize == 2) return ValueOf<int16_t>(at);
      if (dtype.itemsize == 4) return ValueOf<int32_t>(at);
      return ValueOf<int64_t>(at);
    case 'u':
      if (dtype.itemsize == 1) return ValueOf<uint8_t>(at);
      if (dtype.itemsize == 2) return ValueOf<uint16_t>(at);
      if (dtype.itemsize == 4) return ValueOf<uint32_t>(at);
      return ValueOf<uint64_t>(at);
    case 'V':
      return {false, 0, OfBits(Load<uint16_t>(at), 7, 8)};
    default:
      if (dtype.itemsize == 2) return {false, 0, OfBits(Load<uint16_t>(at), 10, 5)};
      if (dtype.itemsize == 4) return {false, 0, Load<float>(at)};
      if (dtype.itemsize == 8) return {false, 0, Load<double>(at)};
      return {false, 0, Load<long double>(at)};
  }
}

// Whether an item holds a number, bit for bit; of NaNs, any.
bool Holds(const Dtype& dtype, const std::byte* at, const Value& wanted) {
  const Value found = ReadValue(dtype, at);
  if (found.is_integer) {
    const uint64_t mask = ~uint64_t{0} >> (64 - 8 * dtype.itemsize);
    return (found.integer & mask) == (wanted.integer & mask);
  }
  if (std::isnan(wanted.number)) return std::isnan(found.number);
  return found.number == wanted.number && std::signbit(found.number) == std::signbit(wanted.number);
}

// The item of an operand for item `item` of a row.
Value OperandValue(const Dtype& to, const Operand& operand, int64_t item,
                   const std::vector<int64_t>& row_shape) {
  int64_t position = 0;
  int64_t step = 1;
  for (size_t behind = 0; behind < row_shape.size(); ++behind) {
    const int64_t count = row_shape[row_shape.size() - 1 - behind];
    const int64_t index = item % count;
    item /= count;
    if (behind >= operand.shape.size()) continue;
    const int64_t own = operand.shape[operand.shape.size() - 1 - behind];
    position += (own == 1 ? 0 : index) * step;
    step *= own;
  }
  return ReadValue(to, operand.numbers.data() + position * to.itemsize);
}

Value NaiveCast(const Dtype& to, Value value, const std::optional<Value>& scale,
                const std::optional<Value>& shift) {
  if (to.kind == 'i' || to.kind == 'u') return value;
  long double x = RoundedTo(to, value.number);
  // A product and a sum of floats are rounded to float before they are to a smaller type. A double
  // is an operation of its own: long double rounds its sums before we could.
  const bool small = to.itemsize == 2;
  const auto operate = [&](long double y, bool product) -> long double {
    if (to.itemsize == 8) {
      const auto a = static_cast<double>(x), b = static_cast<double>(y);
      return product ? a * b : a + b;
    }
    if (small || to.itemsize == 4) {
      const auto a = static_cast<float>(x), b = static_cast<float>(y);
      return RoundedTo(to, product ? a * b : a + b);
    }
    return 0;
  };
  if (scale) x = operate(scale->number, true);
  if (shift) x = operate(shift->number, false);
  return {false, 0, x};
}

// Items of all sizes, infinities and NaNs among them.
Bytes RandomItems(const Dtype& dtype, size_t count) {
  Bytes items = RandomBytes(static_cast<int64_t>(count) * dtype.itemsize);
  for (size_t i = 0; i < count; ++i) {
    std::byte* at = items.data() + static_cast<int64_t>(i) * dtype.itemsize;
    const auto random = static_cast<unsigned>(at[0]) + i;
    if (dtype.itemsize == 16) {
      // Not all bits are a long double.
      const auto x = static_cast<long double>(Load<int64_t>(at));
      const long double y = std::ldexp(x, static_cast<int>(random % 400) - 260);
      std::memcpy(at, &y, sizeof y);
    } else if (dtype.kind == 'f' && dtype.itemsize > 2 && i % 2 == 0) {
      // Most random bits are far too large or small for a half.
      const double x = std::ldexp(1.0 + static_cast<double>(random % 4099) / 2048,
                                  static_cast<int>(random % 48) - 28);
      const auto y = static_cast<float>(x);
      if (dtype.itemsize == 8) std::memcpy(at, &x, sizeof x);
      if (dtype.itemsize == 4) std::memcpy(at, &y, sizeof y);
    } else if ((dtype.kind == 'i' || dtype.kind == 'u') && i % 2 == 0) {
      std::fill(at + 1 + static_cast<int64_t>(random) % dtype.itemsize, at + dtype.itemsize,
                std::byte{random % 3 == 0 && dtype.kind == 'i' ? uint8_t{0xFF} : uint8_t{0}});
    }
  }
  return items;
}

using Shape = std::vector<int64_t>;

Operand OperandOf(const Dtype& to, const Shape& shape) {
  size_t count = 1;
  for (const int64_t n : shape) count *= static_cast<size_t>(n);
  Operand operand{shape, RandomItems(to, count)};
  // Numbers that make other numbers of most: of the size of 1, and a NaN or infinity at times.
  for (size_t i = 0; i < count; ++i) {
    std::byte* at = operand.numbers.data() + static_cast<int64_t>(i) * to.itemsize;
    if (i % 17 == 16) continue;
    at[to.itemsize - 1] = std::byte{0x3F};
    if (to.kind == 'f' && to.itemsize == 2) at[1] = std::byte{0x39};
  }
  return operand;
}

// Casts `count` rows that begin anywhere, and compares them item by item.
void CheckCast(const std::string& from_descr, const std::string& to_descr, const Shape& row_shape,
               const std::optional<Shape>& scale_shape, const std::optional<Shape>& shift_shape,
               size_t count) {
  const Dtype from = DtypeOf(from_descr), to = DtypeOf(to_descr);
  std::optional<Operand> scale, shift;
  if (scale_shape) scale = OperandOf(to, *scale_shape);
  if (shift_shape) shift = OperandOf(to, *shift_shape);
  const Cast cast(from, to, row_shape, scale, shift);
  int64_t row_items = 1;
  for (const int64_t n : row_shape) row_items *= n;
  CHECK_EQ(cast.source_row_bytes(), row_items * from.itemsize);
  CHECK_EQ(cast.row_bytes(), row_items * to.itemsize);

  constexpr size_t kRowsInMemory = 3;
  const Bytes items = RandomItems(from, kRowsInMemory * static_cast<size_t>(row_items));
  Bytes memory(1);  // nothing is aligned
  memory.insert(memory.end(), items.begin(), items.end());
  std::vector<const std::byte*> sources;
  for (size_t i = 0; i < count; ++i) {
    sources.push_back(memory.data() + 1 +
                      static_cast<int64_t>(i * i % kRowsInMemory) * cast.source_row_bytes());
  }
  for (const Stores stores : {Stores::kCached, Stores::kPastCache}) {
    for (const int64_t at : {0, 1}) {
      // Of just the size that it needs: whatever is written beyond is seen by AddressSanitizer.
      Bytes out(static_cast<size_t>(at + static_cast<int64_t>(count) * cast.row_bytes()));
      cast.Rows(sources.data(), count, out.data() + at, stores);
      FinishStores();
      for (int64_t i = 0; i < static_cast<int64_t>(count) * row_items; ++i) {
        const std::byte* source = sources[static_cast<size_t>(i / row_items)];
        const int64_t item = i % row_items;
        std::optional<Value> factor, summand;
        if (scale) factor = OperandValue(to, *scale, item, row_shape);
        if (shift) summand = OperandValue(to, *shift, item, row_shape);
        const Value wanted =
            NaiveCast(to, ReadValue(from, source + item * from.itemsize), factor, summand);
        if (!Holds(to, out.data() + at + i * to.itemsize, wanted)) {
          testing::Fail(__FILE__, __LINE__,
                        from_descr + " to " + to_descr + ", item " + std::to_string(i) + ": not " +
                            std::to_string(wanted.number));
        }
      }
    }
  }
}

std::vector<std::string> Sources() {
  std::vector<std::string> all = {"'|b1'"};
  all.insert(all.end(), kIntegers.begin(), kIntegers.end());
  all.insert(all.end(), kFloats.begin(), kFloats.end());
  if (sizeof(long double) == 16) all.push_back("'<f16'");
  return all;
}

bool IsInteger(const std::string& descr) {
  return std::find(kIntegers.begin(), kIntegers.end(), descr) != kIntegers.end();
}

TEST(Cast, EveryPair) {
  for (const std::string& from : Sources()) {
    for (const std::string& to : kIntegers) {
      if (!IsInteger(from) && from != "'|b1'") continue;
      CheckCast(from, to, {}, {}, {}, 70);
      CheckCast(from, to, {601}, {}, {}, 5);
    }
    for (const std::string& to : kFloats) {
      for (const auto& scale : {std::optional<Shape>(), std::optional<Shape>(Shape{})}) {
        for (const auto& shift : {std::optional<Shape>(), std::optional<Shape>(Shape{})}) {
          CheckCast(from, to, {}, scale, shift, 70);
          CheckCast(from, to, {1203}, scale, shift, 5);
        }
      }
    }
  }
}

TEST(Cast, IsTheSameOnEveryMachine) {
  constexpr size_t kItems = 1003;
  std::vector<std::string> descrs = kIntegers;
  descrs.insert(descrs.end(), kFloats.begin(), kFloats.end());
  for (const std::string& to_descr : descrs) {
    const Dtype to = DtypeOf(to_descr);
    const auto bytes = kItems * static_cast<size_t>(to.itemsize);
    for (std::string from_descr : descrs) {
      if (from_descr == to_descr) from_descr = "'|b1'";
      const Dtype from = DtypeOf(from_descr);
      const CastKernel fastest = FindCastKernel(*NumberOf(from), *NumberOf(to));
      const CastKernel baseline = FindBaselineCastKernel(*NumberOf(from), *NumberOf(to));
      CHECK_EQ(fastest == nullptr, baseline == nullptr);
      if (fastest == nullptr) continue;
      const Bytes source = RandomBytes(kItems * static_cast<size_t>(from.itemsize));
      // Small numbers: where two NaNs meet, either one may survive.
      Bytes operands(2 * bytes);
      FindBaselineCastKernel(Number::kInt8, *NumberOf(to))(
          RandomBytes(2 * kItems).data(), 2 * kItems, operands.data(), nullptr, nullptr);
      const std::byte* scale = operands.data();
      const std::byte* shift = operands.data() + bytes;
      for (const int given : {0, 1, 2}) {
        if (given > 0 && !IsFloat(*NumberOf(to))) continue;
        Bytes fast(bytes);
        Bytes plain(bytes);
        fastest(source.data(), kItems, fast.data(), given > 0 ? scale : nullptr,
                given > 1 ? shift : nullptr);
        baseline(source.data(), kItems, plain.data(), given > 0 ? scale : nullptr,
                 given > 1 ? shift : nullptr);
        CHECK(fast == plain);
      }
    }
  }
}

TEST(Cast, EveryNumberOfItems) {
  for (int64_t items = 0; items <= 70; ++items) {
    for (const char* to : {"'<f2'", "'|V2'", "'<f4'", "'<f8'"}) {
      CheckCast("'|u1'", to, {items}, Shape{1}, Shape{items}, 3);
      CheckCast("'<f4'", to, {items}, Shape{items}, {}, 2);
    }
    CheckCast("'<i8'", "'|u1'", {items}, {}, {}, 4);
  }
  CheckCast("'|u1'", "'<f4'", {3}, Shape{3}, {}, 0);
  for (const int64_t items : {1023, 1024, 1025, 2048, 5000})
    CheckCast("'|u1'", "'<f4'", {items}, Shape{}, Shape{items}, 2);
}

TEST(Cast, BroadcastsAsNumpyDoes) {
  const std::vector<Shape> rows = {{3},           {7, 5, 3},   {70, 3},           {3, 70},
                                   {2, 3, 65},    {3, 700},    {4, 1, 300},       {2, 3, 1100},
                                   {2, 2, 2, 64}, {2, 600, 3}, {2, 20, 30, 2, 3}, {3, 5, 2, 70}};
  for (const Shape& row : rows) {
    std::vector<Shape> shapes = {{}};
    for (unsigned mask = 0; mask < 1u << row.size(); ++mask) {
      Shape shape = row;
      for (size_t axis = 0; axis < row.size(); ++axis) {
        if ((mask >> axis & 1) != 0) shape[axis] = 1;
      }
      shapes.push_back(shape);
    }
    shapes.emplace_back(row.begin() + 1, row.end());
    for (size_t i = 0; i < shapes.size(); ++i) {
      CheckCast("'<u2'", "'<f4'", row, shapes[i], shapes[shapes.size() - 1 - i], 4);
      CheckCast("'<f2'", "'<f8'", row, {}, shapes[i], 2);
      CheckCast("'|u1'", "'<f2'", row, shapes[i], {}, 2);
    }
  }
}

template <typename To, typename From>
To CastOne(const char* from, const char* to, From item, const std::optional<Operand>& scale = {}) {
  const Cast cast(DtypeOf(from), DtypeOf(to), {}, scale, {});
  // Enough of them for vectors.
  std::vector<const std::byte*> sources(20, reinterpret_cast<const std::byte*>(&item));
  std::vector<To> out(20);
  cast.Rows(sources.data(), sources.size(), reinterpret_cast<std::byte*>(out.data()),
            Stores::kCached);
  for (const To& each : out) CHECK_EQ(each, out[0]);
  return out[0];
}

TEST(Cast, KnowsTheBitsOfNaNs) {
  // Into and out of halves a payload is kept, as far as there is room, and so is what signals.
  CHECK_EQ((CastOne<uint32_t>("'<f2'", "'<f4'", uint16_t{0x7C01})), 0x7F802000u);
  CHECK_EQ((CastOne<uint64_t>("'<f2'", "'<f8'", uint16_t{0xFC01})), 0xFFF0040000000000u);
  CHECK_EQ((CastOne<uint16_t>("'<f4'", "'<f2'", uint32_t{0x7F800001})), 0x7C01);
  CHECK_EQ((CastOne<uint16_t>("'<f4'", "'<f2'", uint32_t{0xFFC12345})), 0xFE09);
  CHECK_EQ((CastOne<uint16_t>("'<f8'", "'<f2'", uint64_t{0x7FF0100000000000})), 0x7C04);
  // bfloat16 has one NaN of each sign.
  CHECK_EQ((CastOne<uint16_t>("'<f4'", "'|V2'", uint32_t{0xFFC12345})), 0xFFC0);
  CHECK_EQ((CastOne<uint16_t>("'<f2'", "'|V2'", uint16_t{0x7C01})), 0x7FC0);
  CHECK_EQ((CastOne<uint16_t>("'|V2'", "'<f2'", uint16_t{0xFF81})), 0xFE00);
  // What has the type already is not touched.
  CHECK_EQ((CastOne<uint16_t>("'|V2'", "'|V2'", uint16_t{0x7F81})), 0x7F81);
  CHECK_EQ((CastOne<uint32_t>("'<f4'", "'<f4'", uint32_t{0x7F800001})), 0x7F800001u);
  CHECK_EQ((CastOne<uint64_t>("'<f8'", "'<f8'", uint64_t{0x7FF0000000000001})),
           0x7FF0000000000001u);
}

TEST(Cast, RoundsWhereNumpyDoes) {
  // A double to a half at once; to bfloat16, and a long double to either, by way of a float.
  const double above_a_tie = 1 + 0x1p-11 + 0x1p-40;
  CHECK_EQ((CastOne<uint16_t>("'<f8'", "'<f2'", above_a_tie)), 0x3C01);
  CHECK_EQ((CastOne<uint16_t>("'<f8'", "'|V2'", 1 + 0x1p-8 + 0x1p-40)), 0x3F80);
  if (sizeof(long double) == 16)
    CHECK_EQ((CastOne<uint16_t>("'<f16'", "'<f2'", static_cast<long double>(above_a_tie))), 0x3C00);
  CHECK_EQ((CastOne<uint16_t>("'<i8'", "'<f2'", int64_t{65519})), 0x7BFF);
  CHECK_EQ((CastOne<uint16_t>("'<i8'", "'<f2'", int64_t{65520})), 0x7C00);
  CHECK_EQ((CastOne<uint8_t>("'<i4'", "'|u1'", int32_t{-1})), 255);
}

// A scale for each frame and channel of a film, say: no number is kept for every pixel.
TEST(Cast, KeepsNoRowOfAnOperand) {
  const int64_t pixels = int64_t{1} << 40;
  const Shape frames = {2, 1, 3};
  for (const Shape& row : {Shape{2, pixels, 3}, Shape{2, pixels, 3, 100}}) {
    Shape shape = frames;
    if (row.size() > shape.size()) shape.push_back(1);
    const Cast cast(DtypeOf("'|u1'"), DtypeOf("'<f4'"), row, Operand{shape, Bytes(24)}, {});
    CHECK_EQ(cast.row_bytes() / cast.source_row_bytes(), 4);
  }
}

#if defined(__SSE__)
TEST(Cast, RoundsToNearestInThreadsThatDoNot) {
  const int before = std::fegetround();
  std::fesetround(FE_TOWARDZERO);
  const auto wide = 1 + 0x1p-53L + 0x1p-63L;  // before it is used: not computed as it is here
  const auto made = CastOne<double>("'<f16'", "'<f8'", wide);
  const int after = std::fegetround();
  std::fesetround(before);
  CHECK_EQ(made, 1 + 0x1p-52);
  CHECK_EQ(after, FE_TOWARDZERO);
}

TEST(Cast, KeepsDenormalsInThreadsThatFlushThem) {
  constexpr unsigned kFlush = 0x8040;
  const FloatEnvironment before = UseDefaultFloatEnvironment();
  FloatEnvironment flushing = before;
  flushing.sse |= kFlush;
  UseFloatEnvironment(flushing);
  const auto half = CastOne<uint16_t>("'<f4'", "'<f2'", 0x1p-24f);
  const auto tiny = CastOne<uint32_t>("'<f8'", "'<f4'", 0x1p-149);
  const auto same = CastOne<uint32_t>(
      "'<f4'", "'<f4'", uint32_t{1},
      Operand{{}, {std::byte{0}, std::byte{0}, std::byte{0x80}, std::byte{0x3F}}});
  const FloatEnvironment after = UseDefaultFloatEnvironment();
  UseFloatEnvironment(before);
  CHECK_EQ(half, 1);
  CHECK_EQ(tiny, 1u);
  CHECK_EQ(same, 1u);
  CHECK_EQ(after.sse & kFlush, kFlush);
}
#endif

TEST(Cast, RefusesWhatThereIsNot) {
  const auto make = [](const char* from, const char* to, const Shape& row,
                       const std::optional<Operand>& scale) {
    return Cast(DtypeOf(from), DtypeOf(to), row, scale, {});
  };
  for (const char* from : {"'<c8'", "'|S1'", "'|V1'", "'<M8[s]'", "[('a', '<f4')]"})
    CHECK_THROWS(make(from, "'<f4'", {}, {}), Error, "no cast");
  CHECK_THROWS(make("'<f4'", "'<i4'", {}, {}), Error, "no cast");
  CHECK_THROWS(make("'<f4'", "'<f16'", {}, {}), Error, "no cast");
  CHECK_THROWS(make("'|u1'", "'|b1'", {}, {}), Error, "no cast");
  CHECK_THROWS(make("'|u1'", "'<i4'", {}, Operand{{}, Bytes(4)}), Error, "neither scale nor shift");
  CHECK_THROWS(make("'|u1'", "'<f4'", {4, 3}, Operand{{2}, Bytes(8)}), Error,
               "scale of shape (2,) does not broadcast over a row of shape (4, 3)");
  CHECK_THROWS(make("'|u1'", "'<f8'", {int64_t{1} << 62}, {}), Error, "too large");
  CHECK_THROWS(make("'|u1'", "'<f4'", {3}, Operand{{1, 3}, Bytes(12)}), Error, "(1, 3)");
  CHECK_THROWS(make("'|u1'", "'<f4'", {3}, Operand{{3}, Bytes(8)}), Error, "8 bytes");
}

}  // namespace
}  // namespace npyfast

TEST_MAIN()
