#ifndef NPYFAST_TENSORFLOW_PHILOX_H_
#define NPYFAST_TENSORFLOW_PHILOX_H_

#include <array>
#include <cstdint>

namespace npyfast::tf {

// Block `index` of the random numbers that TensorFlow's PhiloxRandom(seed, seed2) gives: Philox
// 4x32 with ten rounds, of J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011.
inline std::array<uint32_t, 4> Philox(uint64_t seed, uint64_t seed2, uint64_t index) {
  std::array<uint32_t, 4> x = {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                               static_cast<uint32_t>(seed2), static_cast<uint32_t>(seed2 >> 32)};
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * x[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ key0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ x[3] ^ key1, static_cast<uint32_t>(a)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return x;
}

}  // namespace npyfast::tf

#endif  // NPYFAST_TENSORFLOW_PHILOX_H_
