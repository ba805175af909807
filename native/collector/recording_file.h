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

  // Marks the file as finished and closes it.
  bool finish();

  int error() const { return error_; } // errno of the first failure, 0: none
  // What the file holds, holes left out. Any thread.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Region {
    uint64_t offset, bytes;
  };

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
  uint64_t end_ = 0; // of the last whole chunk
  uint64_t given_back_ = 0;
  std::map<uint64_t, uint64_t> voids_;           // offset -> bytes, joined when adjacent
  std::unordered_map<uint64_t, Region> current_; // key -> the chunk that holds for it
  std::vector<Region> written_;                  // chunks in file order, the latest few
  std::vector<Region> reserves_;
  std::atomic<uint64_t> bytes_{0};
};

} // namespace heaptide

#endif
