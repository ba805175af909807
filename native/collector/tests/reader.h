// A reader of recordings for tests: written from docs/format.md, sharing nothing with the writer but
// the checksum, which has tests of its own.
#ifndef HEAPTIDE_COLLECTOR_TESTS_READER_H
#define HEAPTIDE_COLLECTOR_TESTS_READER_H

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace heaptide::testing {

struct ReadChunk {
  int kind = 0;
  bool supersedes = false, final = false;
  uint64_t rows = 0;
  struct Column {
    char type;
    std::string data;
  };
  std::map<std::string, Column> columns;

  bool has(const std::string &name) const { return columns.contains(name); }
  char type(const std::string &name) const { return columns.at(name).type; }
  std::string text(const std::string &name) const { return columns.at(name).data; }
  // Values; zeros, `rows` of them, for a column that is missing.
  std::vector<uint64_t> column(const std::string &name) const;
};

// The chunks up to the first that is not whole, voids left out.
std::vector<ReadChunk> read_recording(const std::string &path);
bool is_finished(const std::string &path);

// A recording as a whole: appended chunks joined, superseded ones gone.
struct ReadRecording {
  explicit ReadRecording(const std::string &path);

  std::string meta;
  std::vector<std::string> strings;
  // table -> column -> values. Deltas: summed up over slices by context.
  std::map<int, std::map<std::string, std::vector<uint64_t>>> tables;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> spread; // blocks, by thread and bucket
  std::string end_reason;                                   // empty: no end

  const std::vector<uint64_t> &column(int kind, const std::string &name, size_t rows);
  uint64_t total(int kind, const std::string &name);
  size_t rows(int kind) const;
  // A stack as frame ids, innermost first.
  std::vector<uint64_t> frames_of(uint64_t stack);
};

} // namespace heaptide::testing

#endif
