// CRC-32C (Castagnoli), as RFC 3720 has it.
#ifndef HEAPTIDE_COLLECTOR_CRC32C_H
#define HEAPTIDE_COLLECTOR_CRC32C_H

#include <cstddef>
#include <cstdint>

namespace heaptide {

// Of `bytes` bytes, going on from `crc` (0 at the beginning). With SSE4.2 about 8 bytes in 3 cycles,
// without it by tables.
uint32_t crc32c(const void *data, size_t bytes, uint32_t crc = 0);

uint32_t crc32c_by_tables(const void *data, size_t bytes, uint32_t crc = 0);

} // namespace heaptide

#endif
