#include "collector/context_tables.h"

#include <algorithm>
#include <utility>

namespace heaptide {
namespace {

// Half a megabyte at most while a chunk is put together.
constexpr size_t kPieceRows = 4096;
// Figures of wide peaks are bytes; below this they take two.
constexpr uint64_t kNarrow = 0xff, kNarrowBytes = 0xffff;

constexpr unsigned kMostColumns = 1 + 2 * kLifetimeBuckets;
static_assert(kMostColumns >= 1 + kSizeBuckets && kMostColumns >= 4);

std::vector<std::string> names(std::initializer_list<std::pair<const char *, unsigned>> groups) {
  std::vector<std::string> result = {"context"};
  for (const auto &[prefix, buckets] : groups) {
    for (unsigned i = 0; i < buckets; i++) result.push_back(prefix + std::to_string(i));
  }
  return result;
}

bool any(const ContextSums &sums, unsigned from, unsigned until) {
  return std::any_of(sums.counters + from, sums.counters + until,
                     [](uint64_t value) { return value != 0; });
}

void add_counters(ContextTable *table, const ContextSums &sums, unsigned from, unsigned until) {
  if (!any(sums, from, until)) return;
  uint64_t values[kMostColumns] = {sums.row};
  std::copy(sums.counters + from, sums.counters + until, values + 1);
  table->add(values);
}

bool is_narrow(const ContextSums &sums, unsigned from, unsigned until) {
  return std::all_of(sums.counters + from, sums.counters + until,
                     [](uint64_t value) { return value <= kNarrow; });
}

} // namespace

ContextTable::ContextTable(ChunkKind kind, std::vector<std::string> names)
    : kind_(kind), names_(std::move(names)), columns_(names_.size()) {}

void ContextTable::add(const uint64_t *values) {
  for (std::vector<uint64_t> &column : columns_) column.push_back(*values++);
}

Chunk ContextTable::take() {
  Payload payload;
  size_t rows = columns_[0].size();
  for (size_t i = 0; i < columns_.size(); i++) {
    if (i == 0 || names_[i] == "context") {
      payload.column(names_[i], columns_[i]);
    } else {
      payload.sparse(names_[i], columns_[i]);
    }
    give_back(columns_[i]);
  }
  return {kind_, rows, payload.finish()};
}

ContextTable peak_table() {
  return ContextTable(ChunkKind::kPeak, {"process", "context", "blocks", "bytes"});
}

ContextTable lifetimes_table() {
  return ContextTable(ChunkKind::kLifetimes, names({{"by_allocations_", kLifetimeBuckets},
                                                    {"by_time_", kLifetimeBuckets}}));
}

ContextTable sizes_table() {
  return ContextTable(ChunkKind::kSizes, names({{"size_", kSizeBuckets}}));
}

void add_peak(ContextTable *table, uint64_t process, const ContextSums &sums, uint64_t blocks,
              uint64_t bytes) {
  if (sums.kind == HT_KIND_ARENA || (blocks == 0 && bytes == 0)) return;
  uint64_t values[] = {process, sums.row, blocks, bytes};
  table->add(values);
}

void add_lifetimes(ContextTable *table, const ContextSums &sums) {
  add_counters(table, sums, kByAllocations, kBySize);
}

void add_sizes(ContextTable *table, const ContextSums &sums) {
  add_counters(table, sums, kBySize, kCounters);
}

FinalRows::FinalRows(std::vector<Chunk> *chunks)
    : chunks_(chunks), peak_(peak_table()), lifetimes_(lifetimes_table()), sizes_(sizes_table()) {}

void FinalRows::add(uint64_t process, const ContextSums &sums) {
  bool few = sums.peak_blocks <= kNarrow && sums.peak_bytes <= kNarrowBytes;
  add_peak(few ? &peak_.narrow : &peak_.wide, process, sums, sums.peak_blocks, sums.peak_bytes);
  bool lives = is_narrow(sums, kByAllocations, kBySize),
       sized = is_narrow(sums, kBySize, kCounters);
  add_lifetimes(lives ? &lifetimes_.narrow : &lifetimes_.wide, sums);
  add_sizes(sized ? &sizes_.narrow : &sizes_.wide, sums);
  flush(kPieceRows);
}

void FinalRows::finish() { flush(1); }

void FinalRows::flush(size_t rows) {
  for (Widths *widths : {&peak_, &lifetimes_, &sizes_}) {
    flush(&widths->narrow, rows);
    flush(&widths->wide, rows);
  }
}

void FinalRows::flush(ContextTable *table, size_t rows) {
  if (table->rows() < rows) return;
  chunks_->push_back(table->take());
  chunks_->back().flags = kFinal;
}

} // namespace heaptide
