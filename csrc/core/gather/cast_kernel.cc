#include "core/gather/cast_kernel.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/gather/half.h"
#include "core/os/x86.h"

namespace npyfast {
namespace {

// A bool as its byte in a file, which may have any value: all but 0 are true.
struct Bool {
  uint8_t byte;
};

template <typename T>
inline constexpr bool kIsSmallFloat = std::is_same_v<T, Half> || std::is_same_v<T, Bfloat16>;

template <typename T>
inline constexpr bool kIsFloat = std::is_floating_point_v<T> || kIsSmallFloat<T>;

template <typename From, typename To>
inline constexpr bool kHasCast = !std::is_same_v<To, Bool> && !std::is_same_v<To, long double> &&
                                 (kIsFloat<To> || !kIsFloat<From>);

template <typename From, typename To>
[[gnu::always_inline]] inline To Convert(From from) {
  if constexpr (std::is_same_v<From, To>) {
    return from;
  } else if constexpr (std::is_same_v<From, Bool>) {
    return Convert<uint8_t, To>(from.byte != 0);
  } else if constexpr (std::is_same_v<From, Half>) {
    if constexpr (std::is_same_v<To, double>) return DoubleOf(from);
    if constexpr (!std::is_same_v<To, double>) return Convert<float, To>(FloatOf(from));
  } else if constexpr (std::is_same_v<From, Bfloat16> && std::is_same_v<To, Half>) {
    const bool is_nan = (from.bits & 0x7FFF) > 0x7F80;
    const auto nan = static_cast<uint16_t>((from.bits & 0x8000) | 0x7E00);
    return {is_nan ? nan : HalfOf(FloatOf(from)).bits};  // the payload is lost
  } else if constexpr (std::is_same_v<From, Bfloat16>) {
    return static_cast<To>(FloatOf(from));
  } else if constexpr (std::is_same_v<To, Bfloat16>) {
    return Bfloat16Of(static_cast<float>(from));  // rounded twice, as ml_dtypes does it
  } else if constexpr (std::is_same_v<To, Half>) {
    if constexpr (std::is_same_v<From, double>) return HalfOf(from);
    if constexpr (!std::is_same_v<From, double>) return HalfOf(static_cast<float>(from));
  } else {
    return static_cast<To>(from);
  }
}

// Small floats are computed as floats, and rounded after each step.
template <typename T>
[[gnu::always_inline]] inline T Multiplied(T a, T b) {
  if constexpr (kIsSmallFloat<T>) {
    return Convert<float, T>(FloatOf(a) * FloatOf(b));
  } else {
    return a * b;
  }
}

template <typename T>
[[gnu::always_inline]] inline T Sum(T a, T b) {
  if constexpr (kIsSmallFloat<T>) {
    return Convert<float, T>(FloatOf(a) + FloatOf(b));
  } else {
    return a + b;
  }
}

template <typename T>
[[gnu::always_inline]] inline T Load(const std::byte* numbers, size_t i) {
  T number;
  std::memcpy(&number, numbers + i * sizeof(T), sizeof(T));
  return number;
}

template <typename From, typename To, bool kScale, bool kShift>
[[gnu::always_inline]] inline void CastAll(const std::byte* __restrict source, size_t count,
                                           std::byte* __restrict out,
                                           const std::byte* __restrict scale,
                                           const std::byte* __restrict shift) {
  for (size_t i = 0; i < count; ++i) {
    To number = Convert<From, To>(Load<From>(source, i));
    if constexpr (kScale) number = Multiplied(number, Load<To>(scale, i));
    if constexpr (kShift) number = Sum(number, Load<To>(shift, i));
    std::memcpy(out + i * sizeof(To), &number, sizeof(To));
  }
}

template <typename From, typename To>
[[gnu::always_inline]] inline void ConvertAll(const std::byte* source, size_t count,
                                              std::byte* out) {
  if constexpr (std::is_same_v<From, To>) {
    // Not through a register of floats, which could change a NaN.
    std::memcpy(out, source, count * sizeof(To));
  } else {
    CastAll<From, To, false, false>(source, count, out, nullptr, nullptr);
  }
}

template <typename From, typename To>
[[gnu::always_inline]] inline void FusedAll(const std::byte* source, size_t count, std::byte* out,
                                            const std::byte* scale, const std::byte* shift) {
  if (shift != nullptr) {
    CastAll<From, To, true, true>(source, count, out, scale, shift);
  } else if (scale != nullptr) {
    CastAll<From, To, true, false>(source, count, out, scale, shift);
  } else {
    ConvertAll<From, To>(source, count, out);
  }
}

// The same loops, compiled for each set of instructions.
struct Baseline {
  template <typename From, typename To>
  static void Convert(const std::byte* source, size_t count, std::byte* out) {
    ConvertAll<From, To>(source, count, out);
  }

  template <typename From, typename To>
  static void Fused(const std::byte* source, size_t count, std::byte* out, const std::byte* scale,
                    const std::byte* shift) {
    FusedAll<From, To>(source, count, out, scale, shift);
  }
};

#ifdef NPYFAST_X86_64
// The baseline of x86-64 has half the vector width, and no conversion of small integers in vectors.
struct Avx2 {
  static bool IsSupported() { return HasAvx2() && HasF16c(); }

  template <typename From, typename To>
  [[gnu::target("avx2")]] static void Convert(const std::byte* source, size_t count,
                                              std::byte* out) {
    ConvertAll<From, To>(source, count, out);
  }

  template <typename From, typename To>
  [[gnu::target("avx2")]] static void Fused(const std::byte* source, size_t count, std::byte* out,
                                            const std::byte* scale, const std::byte* shift) {
    if constexpr (std::is_same_v<To, Half>) {
      FusedHalves(source, count, out, scale, shift);
    } else {
      FusedAll<From, To>(source, count, out, scale, shift);
    }
  }

  // Floats to halves by the CPU's instruction. It agrees with NumPy on quiet NaNs, and arithmetic
  // yields no others.
  [[gnu::target("avx2,f16c")]] static void FusedHalves(const std::byte* source, size_t count,
                                                       std::byte* out, const std::byte* scale,
                                                       const std::byte* shift) {
    constexpr int kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    constexpr size_t kLanes = 8;
    const auto operand = [](const std::byte* numbers, size_t i) {
      return numbers == nullptr ? nullptr : numbers + i * sizeof(Half);
    };
    for (size_t i = 0; i < count; i += kLanes) {
      const size_t lanes = std::min(kLanes, count - i);
      const std::byte* from = source + i * sizeof(float);
      std::byte* to = out + i * sizeof(Half);
      bool plain = lanes == kLanes;
      if (plain) {
        const __m256 floats = _mm256_loadu_ps(reinterpret_cast<const float*>(from));
        plain = _mm256_movemask_ps(_mm256_cmp_ps(floats, floats, _CMP_UNORD_Q)) == 0;
        __m128i halves = _mm256_cvtps_ph(floats, kToNearest);
        if (scale != nullptr) {
          const __m256 factors = _mm256_cvtph_ps(Load<__m128i>(operand(scale, i), 0));
          halves = _mm256_cvtps_ph(_mm256_mul_ps(_mm256_cvtph_ps(halves), factors), kToNearest);
        }
        if (shift != nullptr) {
          const __m256 summands = _mm256_cvtph_ps(Load<__m128i>(operand(shift, i), 0));
          halves = _mm256_cvtps_ph(_mm256_add_ps(_mm256_cvtph_ps(halves), summands), kToNearest);
        }
        if (plain) std::memcpy(to, &halves, sizeof halves);
      }
      if (!plain) FusedAll<float, Half>(from, lanes, to, operand(scale, i), operand(shift, i));
    }
  }
};
#endif

// Whether the loop that converts also scales and shifts: only for the casts that matter most,
// because such loops for all pairs of types would take half a megabyte.
template <typename From, typename To>
inline constexpr bool kIsFused =
    (std::is_same_v<To, float> && std::is_integral_v<From> && sizeof(From) <= 2) ||
    (std::is_same_v<To, From> && std::is_floating_point_v<To>) ||
    (kIsSmallFloat<To> && std::is_same_v<From, float>);

// Whether there is a loop that converts directly. Halves and bfloat16 are converted by way of
// floats, except where NumPy does otherwise.
template <typename From, typename To>
inline constexpr bool kIsDirect =
    !kIsSmallFloat<To> || std::is_same_v<From, To> ||
    (std::is_same_v<To, Half> && (std::is_same_v<From, double> || std::is_same_v<From, Bfloat16>));

template <typename Instructions, typename From, typename To>
void Cast(const std::byte* source, size_t count, std::byte* out, const std::byte* scale,
          const std::byte* shift) noexcept {
  if constexpr (kIsFused<From, To>) {
    Instructions::template Fused<From, To>(source, count, out, scale, shift);
  } else {
    if constexpr (kIsDirect<From, To>) {
      if (scale == nullptr) return Instructions::template Convert<From, To>(source, count, out);
    }
    if constexpr (kIsFloat<To>) {  // by way of a type that has a direct loop
      using Middle = std::conditional_t<
          kIsSmallFloat<To> && (std::is_same_v<From, To> || !kIsDirect<From, To>), float, To>;
      constexpr size_t kAtOnce = 256;
      alignas(64) std::byte middle[kAtOnce * sizeof(Middle)];
      const auto operand = [](const std::byte* numbers, size_t i) {
        return numbers == nullptr ? nullptr : numbers + i * sizeof(To);
      };
      for (size_t i = 0; i < count; i += kAtOnce) {
        const size_t numbers = std::min(kAtOnce, count - i);
        Cast<Instructions, From, Middle>(source + i * sizeof(From), numbers, middle, nullptr,
                                         nullptr);
        Cast<Instructions, Middle, To>(middle, numbers, out + i * sizeof(To), operand(scale, i),
                                       operand(shift, i));
      }
    }
  }
}

template <typename Instructions, typename From, typename To>
CastKernel KernelOf() {
  if constexpr (!kHasCast<From, To>) {
    return nullptr;
  } else if constexpr (std::is_integral_v<To>) {
    // Signed and unsigned integers have the same bits.
    return Cast<Instructions, From, std::make_unsigned_t<To>>;
  } else {
    return Cast<Instructions, From, To>;
  }
}

template <typename T>
struct Type {
  using type = T;
};

// Calls a function with the C++ type of a number.
template <typename Function>
auto ForType(Number number, Function function) {
  switch (number) {
    case Number::kBool:
      return function(Type<Bool>());
    case Number::kInt8:
      return function(Type<int8_t>());
    case Number::kInt16:
      return function(Type<int16_t>());
    case Number::kInt32:
      return function(Type<int32_t>());
    case Number::kInt64:
      return function(Type<int64_t>());
    case Number::kUint8:
      return function(Type<uint8_t>());
    case Number::kUint16:
      return function(Type<uint16_t>());
    case Number::kUint32:
      return function(Type<uint32_t>());
    case Number::kUint64:
      return function(Type<uint64_t>());
    case Number::kHalf:
      return function(Type<Half>());
    case Number::kBfloat16:
      return function(Type<Bfloat16>());
    case Number::kFloat:
      return function(Type<float>());
    case Number::kDouble:
      return function(Type<double>());
    case Number::kLongDouble:
      break;
  }
  return function(Type<long double>());
}

template <typename Instructions>
CastKernel KernelFor(Number from, Number to) {
  return ForType(from, [to](auto from_type) {
    return ForType(to, [](auto to_type) {
      return KernelOf<Instructions, typename decltype(from_type)::type,
                      typename decltype(to_type)::type>();
    });
  });
}

}  // namespace

std::optional<Number> NumberOf(const Dtype& dtype) {
  if (dtype.is_structured() || dtype.is_subarray()) return {};
  const auto of = [&](int64_t bytes, Number number) -> std::optional<Number> {
    if (dtype.itemsize != bytes) return {};
    return number;
  };
  const auto one_of = [&](Number b1, Number b2, Number b4, Number b8) -> std::optional<Number> {
    switch (dtype.itemsize) {
      case 1:
        return b1;
      case 2:
        return b2;
      case 4:
        return b4;
      case 8:
        return b8;
      default:
        return {};
    }
  };
  switch (dtype.kind) {
    case 'b':
      return of(1, Number::kBool);
    case 'i':
      return one_of(Number::kInt8, Number::kInt16, Number::kInt32, Number::kInt64);
    case 'u':
      return one_of(Number::kUint8, Number::kUint16, Number::kUint32, Number::kUint64);
    case 'V':
      return of(2, Number::kBfloat16);
    case 'f':
      if (dtype.itemsize == 2) return Number::kHalf;
      if (dtype.itemsize == 4) return Number::kFloat;
      if (dtype.itemsize == 8) return Number::kDouble;
      return of(static_cast<int64_t>(sizeof(long double)), Number::kLongDouble);
    default:
      return {};
  }
}

bool IsFloat(Number number) {
  return ForType(number, [](auto type) { return kIsFloat<typename decltype(type)::type>; });
}

CastKernel FindCastKernel(Number from, Number to) {
#ifdef NPYFAST_X86_64
  if (Avx2::IsSupported()) return KernelFor<Avx2>(from, to);
#endif
  return KernelFor<Baseline>(from, to);
}

CastKernel FindBaselineCastKernel(Number from, Number to) { return KernelFor<Baseline>(from, to); }

}  // namespace npyfast
