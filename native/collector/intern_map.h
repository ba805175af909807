// A hash map from small keys to 32-bit ids that only grows: what interning needs, at about
// 1.5 x (sizeof(Key) + 4) bytes an entry.
#ifndef HEAPTIDE_COLLECTOR_INTERN_MAP_H
#define HEAPTIDE_COLLECTOR_INTERN_MAP_H

#include <cstdint>
#include <vector>

#include "collector/bits.h"

namespace heaptide {

// Key: `uint64_t hash() const` (well mixed in its upper bits) and operator==.
template <class Key>
class InternMap {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // The id stored for `key`, or kNone.
  uint32_t find(const Key &key) const {
    if (entries_.empty()) return kNone;
    for (size_t i = home(key);; i = (i + 1) & (entries_.size() - 1)) {
      const Entry &entry = entries_[i];
      if (entry.id_plus_one == 0) return kNone;
      if (entry.key == key) return entry.id_plus_one - 1;
    }
  }

  // The id stored for `key`; `fresh` is stored if there was none. `fresh` must be below 2^32 - 1.
  uint32_t intern(const Key &key, uint32_t fresh, bool *is_new = nullptr) {
    if ((used_ + 1) * 4 > entries_.size() * 3) grow();
    for (size_t i = home(key);; i = (i + 1) & (entries_.size() - 1)) {
      Entry &entry = entries_[i];
      if (entry.id_plus_one == 0) {
        entry.key = key;
        entry.id_plus_one = fresh + 1;
        used_++;
        if (is_new != nullptr) *is_new = true;
        return fresh;
      }
      if (entry.key == key) {
        if (is_new != nullptr) *is_new = false;
        return entry.id_plus_one - 1;
      }
    }
  }

  size_t size() const { return used_; }

  void clear() {
    give_back(entries_);
    used_ = 0;
  }

 private:
  struct Entry {
    Key key;
    uint32_t id_plus_one; // 0: empty
  };

  size_t home(const Key &key) const { return (key.hash() >> 20) & (entries_.size() - 1); }

  void grow() {
    std::vector<Entry> old(entries_.empty() ? 64 : entries_.size() * 2);
    old.swap(entries_);
    for (const Entry &entry : old) {
      if (entry.id_plus_one == 0) continue;
      size_t i = home(entry.key);
      while (entries_[i].id_plus_one != 0) i = (i + 1) & (entries_.size() - 1);
      entries_[i] = entry;
    }
  }

  std::vector<Entry> entries_;
  size_t used_ = 0;
};

} // namespace heaptide

#endif
