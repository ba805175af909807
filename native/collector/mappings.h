// Address ranges of one process that are mapped: memory that can be given back in parts.
#ifndef HEAPTIDE_COLLECTOR_MAPPINGS_H
#define HEAPTIDE_COLLECTOR_MAPPINGS_H

#include <cstdint>
#include <map>
#include <vector>

namespace heaptide {

// One mapping call's memory, of which parts may be gone.
struct Mapping {
  uint32_t context;
  uint32_t sequence; // as in Block
  uint32_t born;
  uint32_t pieces; // ranges left
};

// What was taken out of one mapping.
struct Taken {
  Mapping mapping;
  uint64_t bytes;
  uint32_t index; // the mapping's
  bool last;      // with this, nothing of it is left
  bool gone;      // nothing of it is left after all that was taken at once
};

class Mappings {
 public:
  bool empty() const { return ranges_.empty(); }
  bool overlaps(uint64_t start, uint64_t length) const;

  // Adds a range that overlaps no other.
  void add(uint64_t start, uint64_t length, uint32_t context, uint32_t sequence, uint32_t born);

  // Takes out what is mapped in the range: whole mappings, their ends, or a part of the middle.
  // O(log ranges) and one step for each range met.
  void take(uint64_t start, uint64_t length, std::vector<Taken> *taken);

  // Calls visit(const Mapping &, bytes, whether it is the mapping's first piece) for each range.
  template <class Visit>
  void each(Visit visit) const {
    std::vector<bool> met(mappings_.size());
    for (const auto &[start, range] : ranges_) {
      visit(mappings_[range.mapping], range.end - start, !met[range.mapping]);
      met[range.mapping] = true;
    }
  }

  // The length of the range that starts at `start`, 0 if none does.
  uint64_t length_at(uint64_t start) const;

 private:
  struct Range {
    uint64_t end;
    uint32_t mapping; // index into mappings_
  };

  std::map<uint64_t, Range> ranges_; // by start; disjoint
  std::vector<Mapping> mappings_;
  std::vector<uint32_t> unused_; // indices into mappings_
};

} // namespace heaptide

#endif
