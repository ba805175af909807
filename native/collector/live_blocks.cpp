#include "collector/live_blocks.h"

#include <algorithm>

namespace heaptide {

Life *LiveBlocks::place_with_care(uint64_t address, uint64_t size) {
  if (find(address) != nullptr) return nullptr;
  if (size <= LivePages::kLargestBlock && LivePages::Page::is_even(address)) {
    bool fresh = pages_.find(address) == nullptr;
    LivePages::Page *page = pages_.make_room(address);
    if (fresh) mark_elsewhere(page);
    if (page != nullptr) {
      Life *life = page->add(address);
      life->size_low = static_cast<uint32_t>(size);
      return life;
    }
  }
  return place_other(address, size);
}

Life *LiveBlocks::place_other(uint64_t address, uint64_t size) {
  Block *block = others_.place(others_.spot(address), address);
  if (block == nullptr) return nullptr;
  block->set(address, size);
  others_count_++;
  enter_filter(address);
  set_mark(address, LivePages::kElsewhere);
  return block;
}

// In the address's page, if there is one.
void LiveBlocks::set_mark(uint64_t address, unsigned mark) {
  LivePages::Page *page = LivePages::Page::is_even(address) ? pages_.find(address) : nullptr;
  if (page != nullptr) page->places[LivePages::Page::offset(address)] = static_cast<uint8_t>(mark);
}

// In a page that is new: the blocks that were there before it.
void LiveBlocks::mark_elsewhere(LivePages::Page *page) {
  const uint8_t *counts = &filter_[filter_place(page->begin()) & ~size_t{0xff}];
  if (std::all_of(counts, counts + 256, [](uint8_t count) { return count == 0; })) return;
  for (uint64_t address = page->begin(); address < page->end(); address += 16) {
    if (filter_[filter_place(address)] != 0 &&
        others_.find(others_.spot(address), address) != nullptr)
      set_mark(address, LivePages::kElsewhere);
  }
}

bool LiveBlocks::take(uint64_t address, Block *block) {
  if (Spot spot = this->spot(address); spot.page != nullptr) {
    static_cast<Life &>(*block) = spot.life();
    block->key = address;
    take(spot, address);
    return true;
  }
  if (!others_.take(others_.spot(address), address, block)) return false;
  others_count_--;
  uint8_t &count = filter_[filter_place(address)];
  if (count != UINT8_MAX) count--;
  set_mark(address, 0);
  return true;
}

const Life *LiveBlocks::find(uint64_t address) const {
  if (Spot spot = this->spot(address); spot.page != nullptr) return &spot.life();
  if (filter_[filter_place(address)] == 0) return nullptr;
  return others_.find(others_.spot(address), address);
}

bool LiveBlocks::put(const Block &block) {
  Life *life = place(block.address(), block.size());
  if (life != nullptr) *life = block;
  return life != nullptr;
}

void LiveBlocks::clear() {
  pages_.clear();
  others_.clear();
  others_count_ = 0;
  std::vector<uint8_t>(kFirstFilter).swap(filter_);
}

void LiveBlocks::enter_filter(uint64_t address) {
  if (others_count_ > filter_.size() / 2 && filter_.size() < kMostFilter) return grow_filter();
  uint8_t &count = filter_[filter_place(address)];
  if (count != UINT8_MAX) count++;
}

void LiveBlocks::grow_filter() {
  std::vector<uint8_t>(filter_.size() * 2).swap(filter_);
  others_.each([this](const Block &block) {
    uint8_t &count = filter_[filter_place(block.address())];
    if (count != UINT8_MAX) count++;
  });
}

// Blocks that are few to a page cost less in the table.
void LiveBlocks::trim_pages() {
  pages_.trim(kBudget + kBudget / 4, [this](const LivePages::Page &page) {
    LivePages::each(page, [this](uint64_t address, const Life &life) {
      *place_other(address, life.size_low) = life;
    });
  });
  trim_at_ = pages_.bytes() + pages_.bytes() / 2;
}

void LiveBlocks::ask_other(uint64_t address) const {
  if (filter_[filter_place(address)] != 0) LiveTable::prefetch(others_.spot(address));
}

} // namespace heaptide
