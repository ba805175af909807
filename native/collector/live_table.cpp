#include "collector/live_table.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace heaptide {
namespace {

// From here on memory comes by whole pages. Partitions grow past each other's sizes: what the C
// library took back from 64 of them stayed in its heap, as much again as was in use.
constexpr size_t kPage = 4096;
constexpr size_t kMapped = kPage;
constexpr size_t kHuge = size_t{4} << 20; // from here on 2 MiB pages pay
constexpr uint32_t kFullSlots = 12;       // of 15: a load of 0.8

constexpr size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }

} // namespace

// Full from the start, so that the first block makes its partition grow; never written.
LiveTable::Group LiveTable::empty_;

LiveTable::LiveTable() {
  for (Partition &partition : partitions_) partition = {&empty_, 1, 0, 0, 0, 0};
}

LiveTable::~LiveTable() { clear(); }

void LiveTable::clear() {
  for (Partition &partition : partitions_) {
    release(partition.groups, partition.bytes);
    partition = {&empty_, 1, 0, 0, 0, 0};
  }
  release(spare_, spare_bytes_);
  spare_ = nullptr;
  spare_bytes_ = 0;
  moves_++;
}

uint64_t LiveTable::size() const {
  uint64_t used = 0;
  for (const Partition &partition : partitions_) used += partition.used;
  return used;
}

LiveTable::Place LiveTable::locate(const Spot &spot, uint64_t address) const {
  const Partition &partition = partitions_[spot.partition];
  Group *group = spot.group;
  for (uint32_t looked = 0; looked <= partition.count; looked++) {
    for (unsigned found = group->match(spot.tag); found != 0; found &= found - 1) {
      unsigned slot = static_cast<unsigned>(__builtin_ctz(found));
      if (group->slots[slot].address() == address) return {group, slot};
    }
    if (group->passed == 0) break;
    group = next(partition, group);
  }
  return {nullptr, 0};
}

Block *LiveTable::place_with_care(const Spot &spot, uint64_t address) {
  if (locate(spot, address).group != nullptr) return nullptr;
  Partition &partition = partitions_[spot.partition];
  Group *group = spot.group;
  unsigned empty;
  while ((empty = group->match(0)) == 0) {
    if (group->passed != UINT8_MAX) group->passed++;
    group = next(partition, group);
  }
  unsigned slot = static_cast<unsigned>(__builtin_ctz(empty));
  group->tags[slot] = static_cast<uint8_t>(spot.tag);
  partition.used++;
  return &group->slots[slot];
}

void LiveTable::unpass(const Spot &spot, const Group *until) {
  const Partition &partition = partitions_[spot.partition];
  for (Group *group = spot.group; group != until; group = next(partition, group)) {
    if (group->passed != UINT8_MAX) group->passed--;
  }
}

void LiveTable::grow(Partition &partition) {
  if (partition.bytes == 0) return resize(partition, 1);
  // By 15 to 25 parts in a hundred: partitions fill alike, and different steps keep them from all
  // being at their emptiest at once.
  uint32_t step = static_cast<uint32_t>(&partition - partitions_) % 4 + 5;
  uint32_t count = partition.count + partition.count * step / 32 + 1;
  // All that fits into the pages, of which there are rather fewer than more.
  size_t bytes = whole_pages(count * sizeof(Group) - kPage / 2);
  if (bytes > partition.bytes && bytes >= 2 * kPage) {
    count = static_cast<uint32_t>(bytes / sizeof(Group));
  }
  resize(partition, count);
}

void LiveTable::shrink(Partition &partition) {
  resize(partition, partition.used / 10 + 1); // two thirds full
}

void LiveTable::resize(Partition &partition, uint32_t count) {
  Partition old = partition;
  moves_++;
  size_t bytes = count * sizeof(Group);
  if (bytes >= kMapped) bytes = whole_pages(bytes);
  partition.groups = allocate(bytes, &partition.bytes);
  partition.count = count;
  partition.used = 0;
  partition.grow_at = count * kFullSlots;
  partition.shrink_below = count <= 8 ? 0 : count * 3; // a fifth full
  if (old.bytes == 0) return;
  for (uint32_t g = 0; g < old.count; g++) {
    const Group &from = old.groups[g];
    for (unsigned slot = 0; slot < kSlots; slot++) {
      if (from.tags[slot] == 0) continue;
      const Block &block = from.slots[slot];
      uint64_t hash = mix(block.address());
      Group *group = group_in(partition, hash);
      unsigned empty;
      while ((empty = group->match(0)) == 0) {
        if (group->passed != UINT8_MAX) group->passed++;
        group = next(partition, group);
      }
      unsigned to = static_cast<unsigned>(__builtin_ctz(empty));
      group->tags[to] = static_cast<uint8_t>(tag_of(hash));
      group->slots[to] = block;
      partition.used++;
    }
  }
  if (old.bytes >= kMapped && old.bytes > spare_bytes_ && count > old.count) {
    release(spare_, spare_bytes_);
    spare_ = old.groups;
    spare_bytes_ = old.bytes;
  } else {
    release(old.groups, old.bytes);
  }
}

// Memory whose groups are empty.
LiveTable::Group *LiveTable::allocate(size_t bytes, size_t *got) {
  *got = bytes;
  void *memory = MAP_FAILED;
  if (bytes < kMapped) {
    memory = std::aligned_alloc(alignof(Group), bytes);
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    bytes_ += bytes;
    return static_cast<Group *>(memory);
  }
  if (spare_ != nullptr && spare_bytes_ * 2 > bytes) {
    // Pages that are already ours cost no fault; only the tags in them have to be cleared.
    size_t dirty = spare_bytes_ < bytes ? spare_bytes_ : bytes;
    memory = mremap(spare_, spare_bytes_, bytes, MREMAP_MAYMOVE);
    if (memory != MAP_FAILED) {
      bytes_ += bytes - spare_bytes_;
      spare_ = nullptr;
      spare_bytes_ = 0;
      Group *groups = static_cast<Group *>(memory);
      for (size_t g = 0; g * sizeof(Group) < dirty; g++)
        std::memset(static_cast<void *>(groups + g), 0, 16);
      return groups;
    }
  }
  memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  if (bytes >= kHuge) madvise(memory, bytes, MADV_HUGEPAGE);
  bytes_ += bytes;
  return static_cast<Group *>(memory);
}

void LiveTable::release(Group *groups, size_t bytes) {
  if (bytes == 0) return;
  bytes_ -= bytes;
  if (bytes < kMapped) {
    std::free(groups);
  } else {
    munmap(groups, bytes);
  }
}

} // namespace heaptide
