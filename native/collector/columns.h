// Columns of chunks that have been written, read back from the file and joined.
#ifndef HEAPTIDE_COLLECTOR_COLUMNS_H
#define HEAPTIDE_COLLECTOR_COLUMNS_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/recording_file.h"

namespace heaptide {

class Columns {
 public:
  // Appends the rows of a chunk to those that are here; a column that either lacks is zeros there.
  // False: the chunk cannot be read.
  bool read(RecordingFile &file, RecordingFile::Region region);

  std::vector<std::string> names() const;
  // Empty for a column that is not there.
  const std::vector<uint64_t> &values(std::string_view name) const;
  std::vector<uint64_t> &add(const std::string &name, size_t rows); // zeros
  // All of it as a chunk in the place of every earlier one of its kind.
  Chunk chunk(ChunkKind kind) const;

 private:
  struct Column {
    std::string name;
    std::vector<uint64_t> values;
    std::string joined; // of a blob: bytes that belong to all rows together
    bool blob;
  };

  Column &column(const std::string &name, bool blob);

  std::vector<Column> columns_;
  uint64_t rows_ = 0;
};

} // namespace heaptide

#endif
