#include "collector/live_blocks.h"

namespace heaptide {

Life *LiveBlocks::place_with_care(uint64_t address, uint64_t size) {
  if (find(address) != nullptr) return nullptr;
  if (size <= LivePages::kLargestBlock && LivePages::Page::is_even(address)) {
    if (LivePages::Page *page = pages_.make_room(address)) {
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
  return block;
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
  set_filter();
}

void LiveBlocks::enter_filter(uint64_t address) {
  if (others_count_ > filter_.size() / 2 && filter_.size() < kMostFilter) return grow_filter();
  uint8_t &count = filter_[filter_place(address)];
  if (count != UINT8_MAX) count++;
}

void LiveBlocks::grow_filter() {
  std::vector<uint8_t>(filter_.size() * 2).swap(filter_);
  set_filter();
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

void LiveBlocks::ask_life(uint64_t address) const {
  const LivePages::Page *page = pages_.find(address);
  unsigned place = page == nullptr ? 0 : page->place_of(address);
  if (place != 0) {
    __builtin_prefetch(&page->life(place), 1);
  } else if (page != nullptr) {
    __builtin_prefetch(&page->life(page->unused), 1);
  }
  if (place == 0 && filter_[filter_place(address)] != 0) LiveTable::prefetch(others_.spot(address));
}

const Life *LiveBlocks::expected(uint64_t address) const {
  Spot spot = this->spot(address);
  return spot.page == nullptr ? nullptr : &spot.life();
}

} // namespace heaptide
