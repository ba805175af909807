// The live blocks of one process: address -> size, context and birth. Small ones by their pages, as
// programs use the same few pages over and over; what does not fit there in a table.
#ifndef HEAPTIDE_COLLECTOR_LIVE_BLOCKS_H
#define HEAPTIDE_COLLECTOR_LIVE_BLOCKS_H

#include <cstdint>
#include <vector>

#include "collector/live_pages.h"
#include "collector/live_table.h"

namespace heaptide {

class LiveBlocks {
 public:
  LiveBlocks() : filter_(kFirstFilter) {}

  // A small block as it is found at once, if at all.
  struct Spot {
    LivePages::Page *page; // nullptr: not found
    unsigned place;

    Life &life() const { return page->life(place); }
  };
  HT_HOT Spot spot(uint64_t address) const {
    LivePages::Page *page = pages_.find(address);
    if (page == nullptr || !LivePages::Page::is_even(address)) [[unlikely]]
      return {nullptr, 0};
    unsigned place = page->place_of(address);
    return {LivePages::Page::is_here(place) ? page : nullptr, place};
  }
  // Takes out the block of a spot that was found.
  HT_HOT static void take(const Spot &spot, uint64_t address) {
    spot.page->remove(address, spot.place);
  }

  // The pages alone, for the shortest way. An address of a page where no block begins has none elsewhere,
  // either, if it is even.
  LivePages::Index index() const { return pages_.index(); }

  // The life of a block at `address`, for the caller to fill in the rest; nullptr: one lives there
  // already. Valid until the next place or take.
  HT_HOT Life *place(uint64_t address, uint64_t size) {
    LivePages::Page *page = pages_.find(address);
    if (page == nullptr || page->unused == 0 || page->place_of(address) != 0 ||
        !LivePages::Page::is_even(address) || size > LivePages::kLargestBlock) [[unlikely]] {
      return place_with_care(address, size);
    }
    Life *life = page->add(address);
    life->size_low = static_cast<uint32_t>(size);
    return life;
  }

  // Takes the block out, wherever it is. False: there is none.
  bool take(uint64_t address, Block *block);

  // The life of the block at `address`, or nullptr. Valid until the next place or take.
  const Life *find(uint64_t address) const;

  // Puts a block back in that has been taken out. False: another one lives there.
  bool put(const Block &block);

  // Calls visit(address, size, const Life &) for each block, in no order.
  template <class Visit>
  void each(Visit visit) const {
    pages_.each([&](uint64_t address, const Life &life) { visit(address, life.size_low, life); });
    others_.each([&](const Block &block) { visit(block.address(), block.size(), block); });
  }

  uint64_t bytes() const { return pages_.bytes() + others_.bytes() + filter_.size(); } // of memory
  void clear(); // gives all memory back

  // Gives back memory that has become too much for what lives. To be called once in a while.
  void trim(uint64_t blocks) {
    if (pages_.bytes() > blocks * kBudget + kFree && pages_.bytes() > trim_at_) trim_pages();
  }

  // Steps of asking memory for what an event about `address` is going to read, each for what the step
  // before has asked for. The last returns the context of the block that is there, or `none`: there is none,
  // or it is kept elsewhere.
  HT_HOT void ask_entry(uint64_t address) const { pages_.ask_entry(address); }
  HT_HOT void ask_page(uint64_t address) const { pages_.ask(address); }
  HT_HOT void ask_life(uint64_t address) const {
    const LivePages::Entry &entry = pages_.index().guess(address);
    if (entry.number != address >> LivePages::kPageBits) [[unlikely]]
      return ask_other(address);
    const LivePages::Page &page = *entry.page;
    unsigned place = page.place_of(address), unused = page.unused;
    if (place == LivePages::kElsewhere) [[unlikely]]
      return ask_other(address);
    __builtin_prefetch(&page.life(place != 0 ? place : unused), 1);
  }
  HT_HOT uint32_t expected_context(uint64_t address, uint32_t none) const {
    const LivePages::Entry &entry = pages_.index().guess(address);
    if (entry.number != address >> LivePages::kPageBits) [[unlikely]]
      return none;
    unsigned place = entry.page->place_of(address);
    const uint32_t *context = &entry.page->life(place).context;
    return *(LivePages::Page::is_here(place) ? context : &none); // without a branch
  }

 private:
  static constexpr size_t kFirstFilter = 4096, kMostFilter = size_t{1} << 20;
  // Bytes a block, and what they may have in all beside that: less is not worth the work.
  static constexpr uint64_t kBudget = 40, kFree = 256 << 10;

  size_t filter_place(uint64_t address) const {
    return (address >> 4 ^ address >> 14 << 8) & (filter_.size() - 1);
  }
  Life *place_with_care(uint64_t address, uint64_t size);
  void ask_other(uint64_t address) const;
  void set_mark(uint64_t address, unsigned mark);
  void mark_elsewhere(LivePages::Page *page);
  Life *place_other(uint64_t address, uint64_t size);
  void enter_filter(uint64_t address);
  void grow_filter();
  void trim_pages();

  LivePages pages_;
  LiveTable others_;
  uint64_t others_count_ = 0;
  // How many of the others' addresses fall on each place: 0 for nearly all that are asked for. 255 is
  // for good. A page's 256 addresses fall on 256 that lie together.
  std::vector<uint8_t> filter_;
  uint64_t trim_at_ = 0; // bytes: half as much again as the last time left
};

} // namespace heaptide

#endif
