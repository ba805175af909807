// Chunks with a row for each context: how blocks lived, how large they were, and what the peaks were made
// of. As states, which say it of everything at once, or as final rows of processes that have ended.
#ifndef HEAPTIDE_COLLECTOR_CONTEXT_TABLES_H
#define HEAPTIDE_COLLECTOR_CONTEXT_TABLES_H

#include <cstdint>
#include <string>
#include <vector>

#include "collector/book.h"
#include "collector/chunk.h"

namespace heaptide {

inline constexpr uint64_t kAllProcesses = 0xffffffff; // the sum's process in the file

// Rows of one kind on their way into a chunk.
class ContextTable {
 public:
  ContextTable(ChunkKind kind, std::vector<std::string> names);

  ChunkKind kind() const { return kind_; }
  size_t rows() const { return columns_[0].size(); }
  // A value for each name; the first ones identify the row, and are always written.
  void add(const uint64_t *values);
  Chunk take();

 private:
  ChunkKind kind_;
  std::vector<std::string> names_;
  std::vector<std::vector<uint64_t>> columns_;
};

ContextTable peak_table();
ContextTable lifetimes_table();
ContextTable sizes_table();
// Adds a context's row to a table made by one of these, if there is anything to say.
void add_peak(ContextTable *table, uint64_t process, const ContextSums &sums, uint64_t blocks,
              uint64_t bytes);
void add_lifetimes(ContextTable *table, const ContextSums &sums);
void add_sizes(ContextTable *table, const ContextSums &sums);

// Rows that stand for good. They go into chunks of limited size, small figures apart from large ones:
// a column is as wide as its largest, and most contexts count a few blocks.
class FinalRows {
 public:
  explicit FinalRows(std::vector<Chunk> *chunks);

  void add(uint64_t process, const ContextSums &sums);
  void finish();

 private:
  struct Widths {
    explicit Widths(const ContextTable &table) : narrow(table), wide(table) {}
    ContextTable narrow, wide;
  };
  void flush(ContextTable *table, size_t rows);
  void flush(size_t rows);

  std::vector<Chunk> *chunks_;
  Widths peak_, lifetimes_, sizes_;
};

} // namespace heaptide

#endif
