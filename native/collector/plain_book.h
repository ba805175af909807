// The shortest way of events into a book: for allocations and frees of the usual kinds, of small blocks, in
// their order, where all of them are recorded and of one process only (Book::is_plain). Nine of ten events
// or more, and most of the collector's time.
//
// What events need of the book is kept at hand, and given back at the end: the book must not be looked at,
// nor any other event be counted, meanwhile.
#ifndef HEAPTIDE_COLLECTOR_PLAIN_BOOK_H
#define HEAPTIDE_COLLECTOR_PLAIN_BOOK_H

#include <array>
#include <cstdint>

#include "collector/book.h"

namespace heaptide {

class PlainBook {
 public:
  // Each function counts an event and returns true, or does nothing: it takes the book's own then.
  HT_HOT PlainBook(Book &book, Thread &thread)
      : book_(book),
        thread_(thread),
        contexts_(book.contexts_.data()),
        index_(book.live_.index()),
        live_bytes_(book.live_bytes_),
        window_peak_(book.window_peak_),
        stamp_(book.stamp_),
        ticks_(book.ledger_.ticks),
        first_(thread.sequence) {}
  PlainBook(const PlainBook &) = delete;
  PlainBook &operator=(const PlainBook &) = delete;
  HT_HOT ~PlainBook() {
    book_.live_bytes_ = live_bytes_;
    book_.live_blocks_ += thread_.sequence - first_ - temporary_ - frees_;
    thread_.bytes += bytes_;
    thread_.deallocations += frees_ + temporary_;
  }

  // An allocation by the thread, of at most LivePages::kLargestBlock bytes, at an even address: that in
  // the lower bits of `word`.
  HT_HOT bool allocate(uint64_t word, uint64_t size, uint32_t context) {
    LivePages::Page *page = index_.find(word);
    if (page == nullptr) [[unlikely]]
      return false;
    unsigned place = page->unused;
    if (place == 0 || page->place_of(word) != 0 || size > LivePages::kLargestBlock) [[unlikely]]
      return false;
    Life *life = page->add(word);
    life->size_low = static_cast<uint32_t>(size);
    life->context = context;
    life->sequence = static_cast<uint32_t>(++thread_.sequence);
    life->born = ticks_;
    Context &c = contexts_[context];
    touch(context, c);
    c.live_bytes += size;
    c.live_blocks++;
    c.bytes_in += size;
    count_size(c, size);
    bytes_ += size;
    live_bytes_ += size;
    if (live_bytes_ > window_peak_) raised();
    return true;
  }

  // The same, and the block's free by the same thread, with nothing of it in between: neither the live
  // blocks nor what is live in the context need be told.
  HT_HOT bool allocate_and_free(uint64_t word, uint64_t size, uint32_t context) {
    const LivePages::Page *page = index_.find(word);
    if (page == nullptr || page->place_of(word) != 0 || live_bytes_ + size > window_peak_ ||
        size > LivePages::kLargestBlock) [[unlikely]]
      return false;
    Context &c = contexts_[context];
    touch(context, c);
    thread_.sequence++;
    c.bytes_in += size;
    count_size(c, size);
    count_allocations(c, 0);
    bytes_ += size;
    temporary_++;
    return true;
  }

  // A free by the thread, of an even address, in a book that is not disordered.
  HT_HOT bool free(uint64_t word) {
    LivePages::Page *page = index_.find(word);
    if (page == nullptr) [[unlikely]]
      return false;
    unsigned place = page->place_of(word);
    if (!LivePages::Page::is_here(place)) [[unlikely]]
      return false;
    // Field by field, as they were written: a wider read of what has just been written would wait.
    const Life &kept = page->life(place);
    const uint64_t size = kept.size_low;
    const uint32_t context = kept.context, sequence = kept.sequence, born = kept.born;
    page->remove(word, place);
    Context &c = contexts_[context];
    touch(context, c);
    c.live_bytes -= size;
    c.live_blocks--;
    live_bytes_ -= size;
    frees_++;
    uint32_t further = static_cast<uint32_t>(c.thread->sequence) - sequence;
    count_allocations(c, bucket_by_allocations(further));
    uint32_t ticks = ticks_ - born;
    if (ticks >= kFirstTicks) [[unlikely]]
      count_one(c, c.by_time, bucket_by_time(ticks), kByTime);
    return true;
  }

 private:
  // bucket_by_size by sixteenths of bytes, of sizes up to LivePages::kLargestBlock.
  static constexpr std::array<uint8_t, LivePages::kLargestBlock / 16 + 1> kBySixteen = [] {
    std::array<uint8_t, LivePages::kLargestBlock / 16 + 1> buckets{};
    for (size_t i = 0; i < buckets.size(); i++)
      buckets[i] = static_cast<uint8_t>(bucket_by_size(i * 16));
    return buckets;
  }();

  HT_HOT void touch(uint32_t index, Context &c) {
    if (c.stamp != stamp_) [[unlikely]]
      book_.touch_alone(index, c);
  }
  HT_HOT void count_one(Context &c, uint16_t *counters, unsigned bucket, unsigned first) {
    book_.contexts_.count_one(c, counters, bucket, first);
  }
  HT_HOT void count_size(Context &c, uint64_t size) {
    count_one(c, c.by_size, kBySixteen[(size + 15) / 16], kBySize);
  }
  HT_HOT void count_allocations(Context &c, unsigned bucket) {
    book_.contexts_.count_one_of_eight(c, c.by_allocations, bucket, kByAllocations);
  }
  HT_HOT void raised() {
    window_peak_ = book_.window_peak_ = live_bytes_;
    if (live_bytes_ <= book_.peak_bytes_) return;
    book_.live_bytes_ = live_bytes_;
    book_.take_peak();
    stamp_ = book_.stamp_;
  }

  Book &book_;
  Thread &thread_;
  Context *const contexts_;
  const LivePages::Index index_;
  uint64_t live_bytes_, window_peak_, stamp_;
  const uint32_t ticks_;
  const uint64_t first_; // the thread's sequence at the beginning
  uint64_t bytes_ = 0, frees_ = 0, temporary_ = 0;
};

} // namespace heaptide

#endif
