// What a sampled block stands for.
#ifndef HEAPTIDE_COLLECTOR_SAMPLING_H
#define HEAPTIDE_COLLECTOR_SAMPLING_H

#include <cmath>
#include <cstdint>

#include "collector/bits.h"

namespace heaptide {

struct Weight {
  uint64_t blocks, bytes;
};

// Poisson sampling with one sample in `interval` bytes finds a block of `size` bytes with the
// probability 1 - exp(-size / interval); it counts as one over that many blocks. Rounded at random,
// so that sums stay unbiased, and by the block's own address and birth, so that its end takes away
// exactly what its beginning added. Cost: an exponential, about 20 ns; samples are rare.
inline Weight weigh(uint64_t size, uint64_t interval, uint64_t address, uint32_t born) {
  double s = size == 0 ? 1.0 : static_cast<double>(size);
  double weight = -1.0 / std::expm1(-s / static_cast<double>(interval));
  double random = static_cast<double>(mix(mix(address) ^ born) >> 11) * 0x1p-53;
  double blocks = weight + random;
  double bytes = static_cast<double>(size) * weight + random;
  constexpr double kMost = 0x1p60;
  return {static_cast<uint64_t>(blocks < kMost ? blocks : kMost),
          static_cast<uint64_t>(bytes < kMost ? bytes : kMost)};
}

} // namespace heaptide

#endif
