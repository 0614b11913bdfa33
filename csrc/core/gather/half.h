#ifndef NPYFAST_CORE_GATHER_HALF_H_
#define NPYFAST_CORE_GATHER_HALF_H_

#include <bit>
#include <cstdint>

// Conversions of 16-bit floats as in NumPy and ml_dtypes: rounded to nearest, ties to even. They
// use integer operations without branches, which the compiler vectorizes; the conversions of CPUs
// treat NaNs differently.
//
// REQUIRES: floating-point operations round to nearest and keep denormals.
namespace npyfast {

struct Half {  // IEEE 754 binary16
  uint16_t bits;
};

struct Bfloat16 {  // the upper half of a float
  uint16_t bits;
};

[[gnu::always_inline]] inline float FloatOf(Bfloat16 b) {
  return std::bit_cast<float>(uint32_t{b.bits} << 16);
}

// The payload of a NaN is lost, as in ml_dtypes.
[[gnu::always_inline]] inline Bfloat16 Bfloat16Of(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f);
  const uint32_t rounded = (x + 0x7FFF + ((x >> 16) & 1)) >> 16;
  const uint32_t nan = ((x >> 16) & 0x8000) | 0x7FC0;
  return {static_cast<uint16_t>((x & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded)};
}

[[gnu::always_inline]] inline float FloatOf(Half h) {
  const uint32_t sign = (uint32_t{h.bits} & 0x8000) << 16;
  const uint32_t rest = uint32_t{h.bits} & 0x7FFF;
  const uint32_t normal = (rest << 13) + (112u << 23);
  const uint32_t special = (rest << 13) + (224u << 23);  // infinity and NaN
  const uint32_t tiny =
      std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(rest)) * 0x1p-24f);
  const uint32_t large = rest >= 0x7C00 ? special : normal;
  return std::bit_cast<float>(sign | (rest < 0x0400 ? tiny : large));
}

// The payload of a NaN is kept, and a signalling one stays so, as in NumPy.
[[gnu::always_inline]] inline double DoubleOf(Half h) {
  const uint64_t rest = uint64_t{h.bits} & 0x7FFF;
  const uint64_t nan =
      ((uint64_t{h.bits} & 0x8000) << 48) | (uint64_t{0x7FF} << 52) | ((rest & 0x3FF) << 42);
  const uint64_t number = std::bit_cast<uint64_t>(static_cast<double>(FloatOf(h)));
  return std::bit_cast<double>(rest > 0x7C00 ? nan : number);
}

// The payload of a NaN is cut off, and a signalling one stays so, as in NumPy.
[[gnu::always_inline]] inline Half HalfOf(float f) {
  constexpr uint32_t kInfinity = 0x7F800000;
  constexpr uint32_t kOverflow = 0x477FF000;  // 65520, which rounds to 65536
  constexpr uint32_t kNormal = 0x38800000;    // 2^-14
  const uint32_t x = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (x >> 16) & 0x8000;
  const uint32_t rest = x & 0x7FFFFFFF;
  const uint32_t normal = (rest - (112u << 23) + 0xFFF + ((rest >> 13) & 1)) >> 13;
  // The last bit of a float between 1/2 and 1 is 2^-24, as in a denormal half.
  const uint32_t tiny =
      std::bit_cast<uint32_t>(std::bit_cast<float>(rest) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t payload = (rest & 0x7FFFFF) >> 13;
  const uint32_t nan = 0x7C00 + (payload == 0 ? 1 : payload);
  const uint32_t finite = rest < kNormal ? tiny : normal;
  const uint32_t special = rest > kInfinity ? nan : 0x7C00;
  return {static_cast<uint16_t>(sign | (rest >= kOverflow ? special : finite))};
}

// Rounded once, not by way of a float.
[[gnu::always_inline]] inline Half HalfOf(double d) {
  constexpr uint64_t kInfinity = uint64_t{0x7FF} << 52;
  const uint64_t x = std::bit_cast<uint64_t>(d);
  const uint64_t sign = (x >> 48) & 0x8000;
  const uint64_t rest = x & ~(uint64_t{1} << 63);
  const uint64_t normal =
      (rest - (uint64_t{1008} << 52) + ((uint64_t{1} << 41) - 1) + ((rest >> 42) & 1)) >> 42;
  const uint64_t tiny = std::bit_cast<uint64_t>(std::bit_cast<double>(rest) + 0x1p28) -
                        std::bit_cast<uint64_t>(0x1p28);
  const uint64_t payload = (rest & ((uint64_t{1} << 52) - 1)) >> 42;
  const uint64_t nan = 0x7C00 + (payload == 0 ? 1 : payload);
  const uint64_t finite = rest < std::bit_cast<uint64_t>(0x1p-14) ? tiny : normal;
  const uint64_t special = rest > kInfinity ? nan : 0x7C00;
  return {
      static_cast<uint16_t>(sign | (rest >= std::bit_cast<uint64_t>(65520.0) ? special : finite))};
}

}  // namespace npyfast

#endif  // NPYFAST_CORE_GATHER_HALF_H_
