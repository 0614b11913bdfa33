#ifndef NPYFAST_CORE_ORDER_SPLITMIX_H_
#define NPYFAST_CORE_ORDER_SPLITMIX_H_

#include <cstdint>
#include <initializer_list>

namespace npyfast {

inline constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;

// The finalizer of SplitMix64, David Stafford's 13th variant: a bijection where each bit of the
// argument flips each bit of the result with a chance near one half.
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// Where a chain of hashes leads that takes in one number after the other. Each link is a bijection
// of its number, so that chains of one length that differ in one number can't end at the same
// place.
constexpr uint64_t Chain(std::initializer_list<uint64_t> numbers) {
  uint64_t state = 0;
  for (const uint64_t number : numbers) state = Mix((state ^ number) + kGolden);
  return state;
}

// floor(a * b / 2^64), without a 128-bit type: not every compiler has one.
constexpr uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xFFFFFFFF, a1 = a >> 32, b0 = b & 0xFFFFFFFF, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
  const uint64_t other = a0 * b1 + (middle & 0xFFFFFFFF);
  return a1 * b1 + (middle >> 32) + (other >> 32);
}

}  // namespace npyfast

#endif  // NPYFAST_CORE_ORDER_SPLITMIX_H_
