// Chunks of the recording file (docs/format.md): their header, and payloads of columns.
#ifndef HEAPTIDE_COLLECTOR_CHUNK_H
#define HEAPTIDE_COLLECTOR_CHUNK_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace heaptide {

enum class ChunkKind : uint16_t {
  kVoid = 0,
  kMeta = 1,
  kStrings = 2,
  kProcesses = 3,
  kThreads = 4,
  kModules = 5,
  kCodes = 6,
  kFrames = 7,
  kStacks = 8,
  kContexts = 9,
  kDeltas = 10,
  kTimeline = 11,
  kPeak = 12,
  kLifetimes = 13,
  kSizes = 14,
  kMarks = 15,
  kNotes = 16,
  kSymbols = 17, // of imported logs; else for the finishing pass, as are 19, totals, and 21, births
  kEnd = 18,
  kCensus = 20,
  kExtras = 22, // of imported logs
};

inline constexpr size_t kFileHeaderBytes = 16;
inline constexpr size_t kChunkHeaderBytes = 48;

struct ChunkHeader {
  uint32_t magic;
  uint16_t kind;
  uint8_t codec;
  uint8_t flags;
  uint64_t rows, stored, raw;
  uint32_t payload_crc;
  uint32_t reserved[2];
  uint32_t header_crc;
};
static_assert(sizeof(ChunkHeader) == kChunkHeaderBytes);

inline constexpr uint8_t kSupersedes = 1;
inline constexpr uint8_t kFinal = 2; // stays when the others of its kind are superseded

// Space of a chunk in the file: header, payload, padding.
constexpr uint64_t chunk_bytes(uint64_t stored) {
  return kChunkHeaderBytes + ((stored + 7) & ~uint64_t{7});
}

ChunkHeader make_chunk_header(ChunkKind kind, uint8_t flags, uint64_t rows, uint64_t stored,
                              uint32_t payload_crc);

// A payload under construction. Columns come in any order, each in the narrowest type that fits.
class Payload {
 public:
  // Always written, so that a reader knows the number of rows.
  Payload &column(std::string_view name, std::span<const uint64_t> values);
  Payload &column(std::string_view name, std::initializer_list<uint64_t> values) {
    return column(name, std::span<const uint64_t>(values.begin(), values.size()));
  }
  // Left out if all its values are 0: that is what a reader takes it for.
  Payload &sparse(std::string_view name, std::span<const uint64_t> values);
  Payload &bytes(std::string_view name, std::string_view data);

  std::vector<uint8_t> finish();

 private:
  void add(std::string_view name, char type, size_t bytes);

  uint32_t columns_ = 0;
  std::vector<uint8_t> descriptors_;
  std::vector<uint8_t> data_;
};

// A chunk ready to be written.
struct Chunk {
  ChunkKind kind;
  uint64_t rows;
  std::vector<uint8_t> payload;
  // The earlier chunk with the same key, if any, is superseded and gives its space back. 0: none.
  uint64_t key = 0;
  uint8_t flags = 0;

  // Whether it says how things stand, rather than adding rows to those before.
  bool is_state() const { return flags == kSupersedes && kind != ChunkKind::kDeltas; }
  // Whether a state's rows are of contexts.
  bool by_context() const {
    return kind == ChunkKind::kPeak || kind == ChunkKind::kLifetimes || kind == ChunkKind::kSizes;
  }
};

} // namespace heaptide

#endif
