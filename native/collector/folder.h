// Makes a recording smaller when it nears the limit of its size: slices of time become coarser, and so
// does the timeline; rows that many checkpoints have added one by one go into one chunk. No figure of
// the whole recording changes.
//
// Slices are merged until they are as long as a resolution, which doubles whenever merging gains too
// little; so all of a recording stays equally fine, but for what was written since.
#ifndef HEAPTIDE_COLLECTOR_FOLDER_H
#define HEAPTIDE_COLLECTOR_FOLDER_H

#include <cstdint>
#include <vector>

#include "collector/recording_file.h"

namespace heaptide {

class Folder {
 public:
  // `file` keeps its index.
  explicit Folder(RecordingFile &file) : file_(file) {}

  // Whether fold() may gain something worth its while.
  bool promising() const { return file_.bytes() > tried_at_; }
  void fold();

 private:
  struct Slice {
    uint64_t number, start, end;
    RecordingFile::Region region;
  };

  std::vector<Slice> slices();
  static std::vector<std::vector<Slice>> group(const std::vector<Slice> &slices, uint64_t length);
  void fold_slices();
  void merge(const std::vector<Slice> &group);
  void fold_timeline();
  void join(ChunkKind kind);

  RecordingFile &file_;
  uint64_t resolution_ = 0; // nanoseconds; 0: as the slices came
  uint64_t tried_at_ = 0;   // the file's size below which folding it again gains too little
};

} // namespace heaptide

#endif
