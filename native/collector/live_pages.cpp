#include "collector/live_pages.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace heaptide {
namespace {

constexpr size_t kFirstEntries = 64;
// Places of a page, one size after the other. With a header of 272 bytes.
constexpr uint8_t kCapacities[] = {8, 14, 20, 28, 40, 56, 72, 96, 128, 176, 254};

uint8_t next_capacity(uint8_t capacity) {
  for (uint8_t next : kCapacities) {
    if (next > capacity) return next;
  }
  return capacity;
}

} // namespace

LivePages::LivePages() : entries_(nullptr), shift_(0), mask_(0) { clear(); }

LivePages::~LivePages() {
  for (size_t i = 0; i <= mask_; i++) {
    if (entries_[i].page != nullptr) std::free(entries_[i].page);
  }
  std::free(entries_);
}

void LivePages::clear() {
  for (size_t i = 0; entries_ != nullptr && i <= mask_; i++) {
    if (entries_[i].page != nullptr) release(&entries_[i]);
  }
  rehash();
}

unsigned LivePages::Page::used() const {
  unsigned used = 0;
  for (uint8_t place : places) used += is_here(place);
  return used;
}

LivePages::Page *LivePages::find_further(uint64_t number) const {
  for (size_t at = home(number);; at = (at + 1) & mask_) {
    if (entries_[at].number == number) return entries_[at].page;
    if (entries_[at].number == kNone) return nullptr;
  }
}

void LivePages::enter(Page *page) {
  size_t at = home(page->number);
  while (entries_[at].number != kNone) at = (at + 1) & mask_;
  entries_[at] = {page->number, page};
}

// Makes the entries anew, as many as the pages need. A third of them at most are in use, so that nearly
// all are one of the two at their home.
void LivePages::rehash() {
  Entry *old = entries_;
  size_t old_size = old == nullptr ? 0 : mask_ + 1, size = kFirstEntries;
  while (size < pages_ * 3 + 3) size *= 2;
  // By cache lines, so that none of the two at a home lies in a second one.
  entries_ = static_cast<Entry *>(std::aligned_alloc(64, size * sizeof(Entry)));
  if (entries_ == nullptr) {
    entries_ = old;
    throw std::bad_alloc();
  }
  for (size_t i = 0; i < size; i++) entries_[i] = {kNone, nullptr};
  mask_ = size - 1;
  shift_ = 33 - bit_width(size - 1);
  for (size_t i = 0; i < old_size; i++) {
    if (old[i].page != nullptr) enter(old[i].page);
  }
  std::free(old);
  bytes_ = bytes_ + size * sizeof(Entry) - old_size * sizeof(Entry);
}

// Frees the entry's page. The entry is for rehash to remove.
void LivePages::release(Entry *entry) {
  bytes_ -= entry->page->memory;
  pages_--;
  std::free(entry->page);
  entry->page = nullptr;
}

LivePages::Page *LivePages::make_room(uint64_t address) {
  uint64_t number = address >> kPageBits;
  Page *old = find(address);
  if (old != nullptr && old->unused != 0) return old;
  uint8_t before = old == nullptr ? 0 : old->capacity, capacity = next_capacity(before);
  if (capacity == before) return nullptr;
  size_t memory = sizeof(Page) + capacity * sizeof(Life);
  // The C library takes 8 bytes for itself, and hands out multiples of 16.
  Page *page = static_cast<Page *>(std::realloc(static_cast<void *>(old), memory));
  if (page == nullptr) throw std::bad_alloc();
  if (old == nullptr) {
    std::memset(static_cast<void *>(page), 0, sizeof(Page));
    page->number = number;
  }
  bytes_ += memory - page->memory;
  page->memory = static_cast<uint32_t>(memory);
  page->capacity = capacity;
  for (unsigned place = capacity; place > before; place--) {
    page->life(place).size_low = page->unused;
    page->unused = static_cast<uint8_t>(place);
  }
  if (old == nullptr) {
    if (++pages_ * 3 > mask_) rehash();
    enter(page);
  } else if (old != page) {
    size_t at = home(number);
    while (entries_[at].number != number) at = (at + 1) & mask_;
    entries_[at].page = page;
  }
  return page;
}

} // namespace heaptide
