#include "collector/census.h"

#include <algorithm>

namespace heaptide {

// Almost all blocks are young.
uint32_t Census::cell_of(uint32_t born) const {
  if (bound_ticks_.empty() || born >= bound_ticks_.back()) {
    return static_cast<uint32_t>(bound_ticks_.size());
  }
  auto after = std::upper_bound(bound_ticks_.begin(), bound_ticks_.end(), born);
  return static_cast<uint32_t>(after - bound_ticks_.begin());
}

void Census::add(Key key, uint64_t blocks, uint64_t bytes) {
  bool is_new = false;
  uint32_t at = index_.intern(key, static_cast<uint32_t>(rows_.size()), &is_new);
  if (is_new) rows_.push_back({key, 0, 0});
  rows_[at].blocks += blocks;
  rows_[at].bytes += bytes;
}

void Census::add(const Book &book) {
  book.each_live([this](uint32_t context, uint32_t born, Weight weight) {
    add({context, cell_of(born)}, weight.blocks, weight.bytes);
  });
}

// Keeps every second bound, the last one always: a count that is being taken has the time of the next.
void Census::halve() {
  size_t kept = 0, parity = (bounds_.size() + 1) % 2;
  std::vector<uint32_t> cells(bounds_.size() + 1); // new ones by old ones
  for (size_t i = 0; i < bounds_.size(); i++) {
    cells[i] = static_cast<uint32_t>(kept);
    if (i % 2 != parity) continue;
    bounds_[kept] = bounds_[i];
    bound_ticks_[kept++] = bound_ticks_[i];
  }
  cells[bounds_.size()] = static_cast<uint32_t>(kept);
  bounds_.resize(kept);
  bound_ticks_.resize(kept);
  distance_ *= 2;
  std::vector<Row> rows;
  rows.swap(rows_);
  index_.clear();
  for (const Row &row : rows) {
    add({row.key.context, cells[row.key.cell]}, row.blocks, row.bytes);
  }
}

Chunk Census::count(const Aggregator &aggregator, uint64_t now) {
  aggregator.each_open([this](const Book &book) { add(book); });
  size_t most = kFewRows + kRowsPerContext * aggregator.open_contexts();
  while (bounds_.size() >= kMostBounds || (rows_.size() > most && bounds_.size() > 1)) halve();
  Chunk made = chunk(now);
  // Births at this very tick are told to lie behind it.
  if (now % kTickNs == 0) {
    bounds_.push_back(now);
    bound_ticks_.push_back(static_cast<uint32_t>(now / kTickNs));
  }
  return made;
}

Chunk Census::leave(const Book &book, uint64_t now) {
  if (!bounds_.empty() && book.born() < bound_ticks_.back()) add(book);
  Chunk made = chunk(now);
  made.flags = kFinal;
  return made;
}

Chunk Census::chunk(uint64_t now) {
  std::sort(rows_.begin(), rows_.end(), [](const Row &a, const Row &b) {
    return a.key.context != b.key.context ? a.key.context < b.key.context : a.key.cell < b.key.cell;
  });
  std::vector<uint64_t> columns[4];
  for (std::vector<uint64_t> &column : columns) column.reserve(rows_.size());
  for (const Row &row : rows_) {
    columns[0].push_back(row.key.context);
    columns[1].push_back(row.key.cell);
    columns[2].push_back(row.blocks);
    columns[3].push_back(row.bytes);
  }
  Payload payload;
  payload.column("time", {now}).column("bound", bounds_);
  payload.column("context", columns[0])
      .sparse("cell", columns[1])
      .sparse("blocks", columns[2])
      .sparse("bytes", columns[3]);
  Chunk made{ChunkKind::kCensus, rows_.size(), payload.finish()};
  give_back(rows_);
  index_.clear();
  return made;
}

} // namespace heaptide
