// The live blocks of one process: address -> size, context and birth.
//
// Open addressing over groups of 15 slots. A group begins with one byte a slot (a piece of the hash,
// 0: empty), compared all at once, and a count of the blocks that found the group full and went on;
// so a look-up seldom reads more than one slot, an erased slot needs no tombstone, and nothing ever
// moves. 64 partitions grow one at a time by a quarter at most: 32 to 40 bytes a live block (and a page
// a partition), and no pause longer than the rehash of 1/64 of the table.
#ifndef HEAPTIDE_COLLECTOR_LIVE_TABLE_H
#define HEAPTIDE_COLLECTOR_LIVE_TABLE_H

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "collector/bits.h"

namespace heaptide {

inline constexpr uint64_t kAddressMask = (uint64_t{1} << 48) - 1;
inline constexpr uint64_t kLargestSize = kAddressMask;

// What is kept of a live block beside its address.
struct Life {
  uint32_t size_low;
  uint32_t context;
  uint32_t sequence; // its thread's, right after the allocation
  uint32_t born;     // ticks
};

struct Block : Life {
  uint64_t key; // bits 0-47 address, bits 48-63 bits 32-47 of the size

  uint64_t address() const { return key & kAddressMask; }
  uint64_t size() const { return key >> 48 << 32 | size_low; }
  void set(uint64_t address, uint64_t size) {
    key = address | size >> 32 << 48;
    size_low = static_cast<uint32_t>(size);
  }
};
static_assert(sizeof(Block) == 24);

class LiveTable {
 public:
  static constexpr unsigned kSlots = 15;

  LiveTable();
  ~LiveTable();
  LiveTable(const LiveTable &) = delete;
  LiveTable &operator=(const LiveTable &) = delete;

  struct alignas(64) Group {
    uint8_t tags[kSlots];
    uint8_t passed; // blocks that hash here or further up and live further down; 255: lost count
    Block slots[kSlots];

    // Bits of the slots whose tag is `tag`.
    unsigned match(uint16_t tag) const {
#if defined(__SSE2__)
      __m128i all = _mm_load_si128(reinterpret_cast<const __m128i *>(tags));
      __m128i wanted = _mm_set1_epi8(static_cast<char>(tag));
      return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(all, wanted))) & 0x7fffu;
#else
      unsigned found = 0;
      for (unsigned i = 0; i < kSlots; i++) found |= unsigned{tags[i] == tag} << i;
      return found;
#endif
    }
  };
  static_assert(sizeof(Group) == 384);

  // Where a look-up of an address begins: worth keeping from a prefetch to its use. Stale once
  // moves() has changed.
  struct Spot {
    Group *group;
    // Not bytes: stores to those might change anything, as far as the compiler knows.
    uint16_t partition;
    uint16_t tag;
  };

  HT_HOT Spot spot(uint64_t address) const {
    uint64_t hash = mix(address);
    uint16_t number = static_cast<uint16_t>(hash >> kPartitionShift);
    return {group_in(partitions_[number], hash), number, tag_of(hash)};
  }
  uint64_t moves() const { return moves_; }

  // Asks for the line that a look-up reads first.
  static void prefetch(const Spot &spot) { __builtin_prefetch(spot.group, 1); }

  // The slot that a look-up will probably end at, or (`fresh`) a new block be put in. It may hold
  // another block, or none.
  static const Block *likely_slot(const Spot &spot, bool fresh) {
    unsigned found = spot.group->match(fresh ? 0 : spot.tag) | 1u << (kSlots - 1);
    return &spot.group->slots[__builtin_ctz(found)];
  }

  // The block at `address`, or nullptr. Valid until the next place or take.
  const Block *find(const Spot &spot, uint64_t address) const {
    Place place = locate(spot, address);
    return place.group == nullptr ? nullptr : &place.group->slots[place.slot];
  }

  // Takes the block out. False: there is none.
  HT_HOT bool take(const Spot &spot, uint64_t address, Block *block) {
    Group *group = spot.group;
    unsigned slot = static_cast<unsigned>(__builtin_ctz(group->match(spot.tag) | 1u << kSlots));
    if (slot == kSlots || group->slots[slot].address() != address) [[unlikely]] {
      Place place = locate(spot, address);
      if (place.group == nullptr) return false;
      if (place.group != group) unpass(spot, place.group);
      group = place.group;
      slot = place.slot;
    }
    *block = group->slots[slot];
    group->tags[slot] = 0;
    Partition &partition = partitions_[spot.partition];
    if (--partition.used < partition.shrink_below) [[unlikely]]
      shrink(partition);
    return true;
  }

  // A slot for a block at `address`, for the caller to fill; nullptr: one lives there already.
  HT_HOT Block *place(Spot spot, uint64_t address) {
    Partition &partition = partitions_[spot.partition];
    if (partition.used == partition.grow_at) [[unlikely]] {
      grow(partition);
      spot = this->spot(address);
    }
    Group *group = spot.group;
    unsigned empty = group->match(0);
    if (group->match(spot.tag) != 0 || group->passed != 0 || empty == 0) [[unlikely]] {
      return place_with_care(spot, address);
    }
    unsigned slot = static_cast<unsigned>(__builtin_ctz(empty));
    group->tags[slot] = static_cast<uint8_t>(spot.tag);
    partition.used++;
    return &group->slots[slot];
  }

  uint64_t size() const;
  uint64_t bytes() const { return bytes_; } // of memory
  void clear();                             // gives all memory back

  // Calls visit(const Block &) for every block, in no order.
  template <class Visit>
  void each(Visit visit) const {
    for (const Partition &partition : partitions_) {
      for (uint32_t g = 0; partition.bytes != 0 && g < partition.count; g++) {
        for (unsigned slot = 0; slot < kSlots; slot++) {
          if (partition.groups[g].tags[slot] != 0) visit(partition.groups[g].slots[slot]);
        }
      }
    }
  }

 private:
  static constexpr unsigned kPartitions = 64;
  static constexpr unsigned kPartitionShift = 58;

  struct Partition {
    Group *groups;
    uint32_t count;        // groups
    uint32_t used;         // blocks
    uint32_t grow_at;      // `used` at which it must grow first
    uint32_t shrink_below; // `used` below which it is made smaller
    size_t bytes;          // of memory; 0: the shared empty group
  };

  struct Place {
    Group *group;
    unsigned slot;
  };

  static uint16_t tag_of(uint64_t hash) {
    uint16_t tag = static_cast<uint16_t>(hash & 0xff);
    return tag == 0 ? 1 : tag;
  }

  static Group *group_in(const Partition &partition, uint64_t hash) {
    uint64_t home = (hash >> 26 & 0xffffffffu) * partition.count >> 32;
    return partition.groups + home;
  }

  static Group *next(const Partition &partition, Group *group) {
    return ++group == partition.groups + partition.count ? partition.groups : group;
  }

  Place locate(const Spot &spot, uint64_t address) const;
  Block *place_with_care(const Spot &spot, uint64_t address);
  void unpass(const Spot &spot, const Group *until);
  void grow(Partition &partition);
  void shrink(Partition &partition);
  void resize(Partition &partition, uint32_t count);
  Group *allocate(size_t bytes, size_t *got);
  void release(Group *groups, size_t bytes);

  static Group empty_;

  Partition partitions_[kPartitions];
  size_t bytes_ = 0;
  uint64_t moves_ = 0;
  // The memory that the last partition to grow has left: the next one's, mostly.
  Group *spare_ = nullptr;
  size_t spare_bytes_ = 0;
};

} // namespace heaptide

#endif
