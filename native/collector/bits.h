// Small arithmetic that several files share.
#ifndef HEAPTIDE_COLLECTOR_BITS_H
#define HEAPTIDE_COLLECTOR_BITS_H

#include <cstdint>
#include <cstring>
#include <string_view>

// For the few functions on the path of every event.
#define HT_HOT __attribute__((always_inline)) inline

namespace heaptide {

// Folds a 64x64-bit product: every input bit reaches every output bit. About 4 cycles.
inline uint64_t mix(uint64_t a, uint64_t b = 0x9e3779b97f4a7c15ull) {
  unsigned __int128 product = static_cast<unsigned __int128>(a ^ 0x2545f4914f6cdd1dull) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Number of bits needed for the value, which is below 2^63: 0 for 0.
constexpr unsigned bit_width(uint64_t value) {
  return 63u - static_cast<unsigned>(__builtin_clzll(value << 1 | 1));
}

// Empties a container and frees its memory, which `container = {}` keeps.
template <class Container>
void give_back(Container &container) {
  Container().swap(container);
}

// 128 bits of content: equal digests are taken for equal content.
struct Digest {
  uint64_t low, high;
  bool operator==(const Digest &) const = default;
  uint64_t hash() const { return low; }
};

inline Digest digest(std::string_view bytes, uint64_t seed = 0) {
  uint64_t a = mix(seed ^ bytes.size()), b = mix(seed + 0x5851f42d4c957f2dull, bytes.size() | 1);
  const char *at = bytes.data();
  for (size_t left = bytes.size(); left > 0;) {
    uint64_t word = 0;
    size_t take = left < 8 ? left : 8;
    std::memcpy(&word, at, take);
    a = mix(a ^ word);
    b = mix(b + word, 0xd6e8feb86659fd93ull);
    at += take;
    left -= take;
  }
  return {a, b};
}

} // namespace heaptide

#endif
