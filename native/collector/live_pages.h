// Small live blocks, by the page of the program's memory that they are in.
//
// A page has a byte for each 16 bytes of it, which says where the life of the block that begins there
// is kept: so what lies together in the program's memory lies together here, and what the program has
// in its caches the collector has in its own. A look-up compares nothing but the page's number.
#ifndef HEAPTIDE_COLLECTOR_LIVE_PAGES_H
#define HEAPTIDE_COLLECTOR_LIVE_PAGES_H

#include <cstddef>
#include <cstdint>

#include "collector/bits.h"
#include "collector/live_table.h"

namespace heaptide {

class LivePages {
 public:
  // Larger blocks are so few to a page that its bytes would cost more than they do.
  static constexpr uint64_t kLargestBlock = 1024;

  LivePages();
  ~LivePages();
  LivePages(const LivePages &) = delete;
  LivePages &operator=(const LivePages &) = delete;

  struct Page;

  // The address's page, or nullptr.
  HT_HOT Page *find(uint64_t address) const {
    Page *page = index().find(address);
    return page != nullptr ? page : find_further(address >> kPageBits);
  }

  static constexpr unsigned kPageBits = 12;
  // Of a block whose life is kept elsewhere.
  static constexpr unsigned kElsewhere = 255;

  struct alignas(16) Page {
    uint8_t places[256]; // by 16 bytes of memory; 0: no block begins there
    uint8_t unused;      // the first unused place, whose size_low is the next one; 0: none
    uint8_t capacity;    // places: 1 to this
    uint16_t padding;
    uint32_t memory; // bytes
    uint64_t number;

    // Places count from 1.
    Life &life(unsigned place) { return (reinterpret_cast<Life *>(this + 1) - 1)[place]; }
    const Life &life(unsigned place) const { return const_cast<Page *>(this)->life(place); }

    HT_HOT static bool is_even(uint64_t address) { return (address & 15) == 0; }
    HT_HOT static unsigned offset(uint64_t address) { return address >> 4 & 0xff; }

    // The place of the block at an even address; 0: there is none; kElsewhere: it is not in this page.
    HT_HOT unsigned place_of(uint64_t address) const { return places[offset(address)]; }
    HT_HOT static bool is_here(unsigned place) { return place - 1 < kElsewhere - 1; }
    unsigned used() const; // blocks
    uint64_t begin() const { return number << kPageBits; }
    uint64_t end() const { return begin() + (uint64_t{1} << kPageBits); }

    // An even address without a block, in a page with an unused place.
    HT_HOT Life *add(uint64_t address) {
      unsigned place = unused;
      Life &life = this->life(place);
      unused = static_cast<uint8_t>(life.size_low);
      places[offset(address)] = static_cast<uint8_t>(place);
      return &life;
    }

    HT_HOT void remove(uint64_t address, unsigned place) {
      places[offset(address)] = 0;
      life(place).size_low = unused;
      unused = static_cast<uint8_t>(place);
    }
  };
  static_assert(sizeof(Page) == 272);

  // A page for the address that has an unused place; nullptr: it is full. Other pages may move. Of one
  // that is new (its capacity was 0) the caller is to tell which blocks are elsewhere.
  Page *make_room(uint64_t address);

  // Where look-ups begin, for those that keep it at hand. Valid until make_room, trim or clear.
  struct Entry {
    uint64_t number; // kNone: no page
    Page *page;
  };
  struct Index {
    const Entry *entries;
    unsigned shift;

    // The page of the address in the lower 48 bits of a word, or nullptr: it is not found at once.
    HT_HOT Page *find(uint64_t word) const {
      uint64_t number = word << 16 >> (16 + kPageBits);
      const Entry *entry = &entries[home(number, shift)];
      if (entry->number != number && (++entry)->number != number) [[unlikely]]
        return nullptr;
      Page *page = entry->page;
      if (page == nullptr) __builtin_unreachable();
      return page;
    }

    // The only entry that may be the page's, without a branch on where it is: for those that look ahead,
    // where one that is mispredicted ends what is under way.
    HT_HOT const Entry &guess(uint64_t address) const {
      uint64_t number = address >> kPageBits;
      const Entry *entry = &entries[home(number, shift)];
      return entry[entry->number != number];
    }
  };
  Index index() const { return {entries_, shift_}; }

  uint64_t bytes() const { return bytes_; } // of memory
  void clear();

  // Gives back what empty pages take. For pages that cost more than `budget` bytes a block, first calls
  // evict(Page &), which is to take note of the page's blocks: they go.
  template <class Evict>
  void trim(uint64_t budget, Evict evict) {
    for (size_t i = 0; i <= mask_; i++) {
      Page *page = entries_[i].page;
      if (page == nullptr) continue;
      unsigned used = page->used();
      if (used != 0 && page->memory <= budget * used) continue;
      if (used != 0) evict(*page);
      release(&entries_[i]);
    }
    rehash();
  }

  // Calls visit(uint64_t address, const Life &) for each block of the page.
  template <class Visit>
  static void each(const Page &page, Visit visit) {
    for (unsigned i = 0; i < 256; i++) {
      if (Page::is_here(page.places[i])) visit(page.begin() | i << 4, page.life(page.places[i]));
    }
  }

  // The same for each block of all pages, in no order.
  template <class Visit>
  void each(Visit visit) const {
    for (size_t i = 0; i <= mask_; i++) {
      const Page *page = entries_[i].page;
      if (page != nullptr) each(*page, visit);
    }
  }

  // Asks memory for where the address's page is kept, and, when that is there, for what an event about the
  // address reads first of the page, unless it is not found at once.
  HT_HOT void ask_entry(uint64_t address) const {
    __builtin_prefetch(&entries_[home(address >> kPageBits)]);
  }
  HT_HOT void ask(uint64_t address) const {
    // As a number: there may be no page.
    uintptr_t page = reinterpret_cast<uintptr_t>(index().guess(address).page);
    __builtin_prefetch(
        reinterpret_cast<const void *>(page + offsetof(Page, places) + Page::offset(address)));
    __builtin_prefetch(reinterpret_cast<const void *>(page + offsetof(Page, unused)));
  }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;
  // Pages that follow each other are spread evenly. The first of two entries.
  HT_HOT static size_t home(uint64_t number, unsigned shift) {
    return size_t{static_cast<uint32_t>(number) * 0x9e3779b9u >> shift} * 2;
  }
  HT_HOT size_t home(uint64_t number) const { return home(number, shift_); }
  Page *find_further(uint64_t number) const;
  void enter(Page *page);
  void rehash();
  void release(Entry *entry);

  Entry *entries_;
  unsigned shift_;
  size_t mask_;
  size_t pages_ = 0;
  uint64_t bytes_ = 0;
};

} // namespace heaptide

#endif
