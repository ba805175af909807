#include "collector/mappings.h"

#include <algorithm>

namespace heaptide {

bool Mappings::overlaps(uint64_t start, uint64_t length) const {
  if (length == 0) return false;
  auto after = ranges_.lower_bound(start);
  if (after != ranges_.end() && after->first - start < length) return true;
  return after != ranges_.begin() && std::prev(after)->second.end > start;
}

void Mappings::add(uint64_t start, uint64_t length, uint32_t context, uint32_t sequence,
                   uint32_t born) {
  uint32_t index;
  if (unused_.empty()) {
    index = static_cast<uint32_t>(mappings_.size());
    mappings_.push_back({});
  } else {
    index = unused_.back();
    unused_.pop_back();
  }
  mappings_[index] = {context, sequence, born, 1};
  ranges_[start] = {start + length, index};
}

void Mappings::take(uint64_t start, uint64_t length, std::vector<Taken> *taken) {
  if (length == 0 || ranges_.empty()) return;
  uint64_t end = start + length < start ? UINT64_MAX : start + length;
  auto at = ranges_.lower_bound(start);
  if (at != ranges_.begin() && std::prev(at)->second.end > start) --at;
  while (at != ranges_.end() && at->first < end) {
    uint64_t range_start = at->first;
    Range range = at->second;
    Mapping &mapping = mappings_[range.mapping];
    at = ranges_.erase(at);
    mapping.pieces--;
    if (range_start < start) {
      ranges_[range_start] = {start, range.mapping};
      mapping.pieces++;
    }
    if (range.end > end) {
      ranges_[end] = {range.end, range.mapping};
      mapping.pieces++;
    }
    uint64_t bytes = std::min(range.end, end) - std::max(range_start, start);
    bool last = mapping.pieces == 0;
    taken->push_back({mapping, bytes, range.mapping, last, last});
    if (last) unused_.push_back(range.mapping);
  }
  for (Taken &each : *taken) each.gone = mappings_[each.index].pieces == 0;
}

uint64_t Mappings::length_at(uint64_t start) const {
  auto at = ranges_.find(start);
  return at == ranges_.end() ? 0 : at->second.end - start;
}

} // namespace heaptide
