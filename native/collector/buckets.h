// The buckets of docs/format.md: lifetimes in allocations and in time, and sizes.
#ifndef HEAPTIDE_COLLECTOR_BUCKETS_H
#define HEAPTIDE_COLLECTOR_BUCKETS_H

#include <cstdint>

#include "collector/bits.h"

namespace heaptide {

inline constexpr unsigned kLifetimeBuckets = 8;
inline constexpr unsigned kSizeBuckets = 12;

// Births and deaths are dated in ticks: fine enough for the first bucket, and a 32-bit count of them
// lasts for five days.
inline constexpr uint64_t kTickNs = 100'000;

// By further allocations of the thread: 0, 1, 2-7, 8-63, 64-511, 512-4095, 4096-32767, more.
inline unsigned bucket_by_allocations(uint32_t further) {
  static constexpr uint8_t kByWidth[33] = {0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7,
                                           7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
  return kByWidth[bit_width(further)];
}

// The buckets below which a block counts as short-lived.
inline constexpr unsigned kShortLivedBuckets = 3;

inline constexpr uint32_t kFirstTicks = 10; // below this is the first bucket by time

// By time: below 1 ms, 10 ms, 100 ms, 1 s, 10 s, 100 s, 1000 s, more.
inline unsigned bucket_by_time(uint32_t ticks) {
  // The bucket of the smallest number of that width; at most one bound lies between it and twice it.
  static constexpr uint8_t kByWidth[33] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4,
                                           4, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7};
  static constexpr uint64_t kBounds[8] = {10,      100,       1'000,      10'000,
                                          100'000, 1'000'000, 10'000'000, UINT64_MAX};
  if (ticks < kBounds[0]) return 0; // most
  unsigned bucket = kByWidth[bit_width(ticks)];
  return bucket + (ticks >= kBounds[bucket] ? 1 : 0);
}

// By size: up to 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1048576, more.
constexpr unsigned bucket_by_size(uint64_t size) {
  constexpr uint8_t kByWidth[65] = {
      0,  0,  0,  0,  0,  1,  2,  3,  4,  5,  6,  7,  7,  8,  8,  9,  9,  10, 10, 10, 10, 11,
      11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11,
      11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11};
  return kByWidth[bit_width(size - (size != 0))];
}

} // namespace heaptide

#endif
