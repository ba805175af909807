// The recording file as its writer sees it: whole chunks are appended, superseded ones become holes.
//
// Whatever fails (a full disk, a file size limit, an I/O error), the file is cut back to its last whole
// chunk and nothing more is appended but what `append_last` makes room for.
#ifndef HEAPTIDE_COLLECTOR_RECORDING_FILE_H
#define HEAPTIDE_COLLECTOR_RECORDING_FILE_H

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "collector/chunk.h"

namespace heaptide {

class RecordingFile {
 public:
  RecordingFile() = default;
  ~RecordingFile();
  RecordingFile(const RecordingFile &) = delete;
  RecordingFile &operator=(const RecordingFile &) = delete;

  // Creates the file with its header and, if `roomy`, some space in reserve. False: error() says why.
  bool create(const std::string &path, bool roomy);

  // Appends the chunks in order, then voids those that they supersede. False if one could not be
  // written: those before it stand, nothing has been voided for those after it.
  bool append(const std::vector<Chunk> &chunks);

  // The same at the end of a file that may have failed: gives up reserved space first, and then
  // further chunks at the file's end until the last of `chunks` fits.
  bool append_last(const std::vector<Chunk> &chunks);

  // From here on the file knows its chunks: what follows works for those written since.
  void keep_index() { indexed_ = true; }
  // A chunk's place in the file.
  struct Region {
    uint64_t offset, bytes;
  };
  // The chunks of a kind that hold, in file order.
  std::vector<Region> chunks_of(ChunkKind kind) const;
  // The rows that a chunk says it has, and its payload. False: it could not be read.
  bool read(Region region, uint64_t *rows, std::vector<uint8_t> *payload);
  // Writes a chunk in the place of those in `old`, which are voided when it stands.
  bool replace(const std::vector<Region> &old, const Chunk &chunk);
  void drop(ChunkKind kind); // voids all chunks of a kind
  // The space of what `chunks` will supersede.
  uint64_t superseded_by(const std::vector<Chunk> &chunks) const;

  // Marks the file as finished and closes it.
  bool finish();

  int error() const { return error_; } // errno of the first failure, 0: none
  // What the file holds, holes left out. Any thread.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  bool write(const Chunk &chunk);
  bool put(uint64_t offset, const void *data, size_t size);
  void reserve(uint64_t payload);
  void release_reserve();
  void void_chunk(Region region);
  bool cut_back(uint64_t end);
  void account();

  int fd_ = -1;
  int error_ = 0;
  bool can_punch_ = true;
  bool indexed_ = false;
  std::map<uint64_t, std::pair<ChunkKind, uint64_t>> index_; // offset -> kind, bytes
  uint64_t end_ = 0;                                         // of the last whole chunk
  uint64_t given_back_ = 0;
  std::map<uint64_t, uint64_t> voids_;           // offset -> bytes, joined when adjacent
  std::unordered_map<uint64_t, Region> current_; // key -> the chunk that holds for it
  std::vector<Region> written_;                  // chunks in file order, the latest few
  std::vector<Region> reserves_;
  std::atomic<uint64_t> bytes_{0};
};

} // namespace heaptide

#endif
