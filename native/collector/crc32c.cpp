#include "collector/crc32c.h"

#include <array>
#include <cstring>

namespace heaptide {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = make_table();

uint32_t by_table(const uint8_t *at, size_t bytes, uint32_t crc) {
  for (size_t i = 0; i < bytes; i++) crc = crc >> 8 ^ kTable[(crc ^ at[i]) & 0xff];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t by_instruction(const uint8_t *at, size_t bytes,
                                                          uint32_t crc) {
  uint64_t wide = crc;
  for (; bytes >= 8; at += 8, bytes -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  crc = static_cast<uint32_t>(wide);
  for (; bytes > 0; at++, bytes--) crc = __builtin_ia32_crc32qi(crc, *at);
  return crc;
}
#endif

}  // namespace

uint32_t crc32c(const void *data, size_t bytes, uint32_t crc) {
  const auto *at = static_cast<const uint8_t *>(data);
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast) return ~by_instruction(at, bytes, ~crc);
#endif
  return ~by_table(at, bytes, ~crc);
}

}  // namespace heaptide
