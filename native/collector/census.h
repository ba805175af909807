// Counts what lives by the time at which it was born, now and then. From the counts follows what was
// allocated between any two of them and is alive at a later one, and what at the end is how old; the
// events themselves cost nothing for it.
//
// Births are told apart by the counts that lie between them. When there are too many of these, or rows by
// them, every second one is forgotten, and the next ones are taken half as often. So the counts that are
// told apart at the end were told apart at all times before.
#ifndef HEAPTIDE_COLLECTOR_CENSUS_H
#define HEAPTIDE_COLLECTOR_CENSUS_H

#include <cstdint>
#include <vector>

#include "collector/aggregator.h"
#include "collector/chunk.h"
#include "collector/intern_map.h"

namespace heaptide {

class Census {
 public:
  // Whether the next count is to be taken at `now`, the end of a slice.
  bool due(uint64_t now) const { return now >= next_; }
  // What lives in all processes. `cost` is asked for the time (ns) that all of it has taken so far: the
  // next count waits for fifty times as long as this one took.
  template <class Cost>
  Chunk take(const Aggregator &aggregator, uint64_t now, Cost cost) {
    uint64_t before = cost();
    Chunk chunk = count(aggregator, now);
    next_ = now + std::max(distance_, (cost() - before) * kShare);
    return chunk;
  }
  // What a process that ends leaves behind, for good. Without rows if no count was taken in its life:
  // then all that it left was born in one go.
  Chunk leave(const Book &book, uint64_t now);

  const std::vector<uint64_t> &bounds() const { return bounds_; }

 private:
  static constexpr uint64_t kFirstDistanceNs = 10'000'000;
  static constexpr size_t kMostBounds = 128;
  static constexpr uint64_t kShare = 50;
  // Rows of one count: 4 MB while it is put together, and half of that in the file.
  static constexpr size_t kFewRows = size_t{1} << 16, kRowsPerContext = 4;

  struct Key {
    uint32_t context; // row
    uint32_t cell;    // births before bounds_[cell] and not before the one below it
    bool operator==(const Key &) const = default;
    uint64_t hash() const { return mix(uint64_t{context} << 32 | cell); }
  };
  struct Row {
    Key key;
    uint64_t blocks, bytes;
  };

  Chunk count(const Aggregator &aggregator, uint64_t now);
  void add(const Book &book);
  void add(Key key, uint64_t blocks, uint64_t bytes);
  uint32_t cell_of(uint32_t born) const;
  void halve();
  Chunk chunk(uint64_t now);

  uint64_t next_ = kFirstDistanceNs;
  uint64_t distance_ = kFirstDistanceNs;
  std::vector<uint64_t> bounds_;      // times of earlier counts
  std::vector<uint32_t> bound_ticks_; // the same
  std::vector<Row> rows_;
  InternMap<Key> index_; // of rows_
};

} // namespace heaptide

#endif
