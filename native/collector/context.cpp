#include "collector/context.h"

#include <sys/mman.h>

#include <new>

namespace heaptide {

void Contexts::grow() {
  size_t capacity = capacity_ == 0 ? kFirst : capacity_ * 2, bytes = capacity * sizeof(Context);
  void *memory = capacity_ == 0 ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                : mremap(contexts_, bytes / 2, bytes, MREMAP_MAYMOVE);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  contexts_ = static_cast<Context *>(memory);
  capacity_ = capacity;
}

uint32_t Contexts::add(Thread *thread, uint32_t row, uint8_t kind) {
  uint32_t index = size();
  if (index == capacity_) grow();
  rows_.push_back(row);
  slice_starts_.push_back({});
  Context &context = *new (&contexts_[index]) Context();
  context.thread = thread;
  context.kind = kind;
  context.stamp = UINT64_MAX;
  return index;
}

void Contexts::clear() {
  if (capacity_ != 0) munmap(contexts_, capacity_ * sizeof(Context));
  contexts_ = nullptr;
  capacity_ = 0;
  give_back(slice_starts_);
  give_back(rows_);
  give_back(spilled_);
}

uint64_t Counted::blocks_in() const {
  uint64_t blocks = 0;
  for (unsigned i = 0; i < kSizeBuckets; i++) blocks += counters[kBySize + i];
  return blocks;
}

uint64_t Counted::short_lived() const {
  uint64_t blocks = 0;
  for (unsigned i = 0; i < kShortLivedBuckets; i++) blocks += counters[kByAllocations + i];
  return blocks;
}

Counted Contexts::counted(const Context &context) const {
  Counted counted;
  uint64_t *at = counted.counters;
  for (uint16_t value : context.by_allocations) *at++ = value;
  for (uint16_t value : context.by_time) *at++ = value;
  for (uint16_t value : context.by_size) *at++ = value;
  if (context.spill != 0) {
    const Counted &spilled = spilled_[context.spill - 1];
    for (unsigned i = 0; i < kCounters; i++) counted.counters[i] += spilled.counters[i];
  }
  uint64_t ended = 0, later = 0;
  for (unsigned i = 0; i < kLifetimeBuckets; i++) {
    ended += counted.counters[kByAllocations + i];
    later += i == 0 ? 0 : counted.counters[kByTime + i];
  }
  counted.counters[kByTime] = ended - later;
  return counted;
}

void Contexts::spill(Context &context, unsigned counter, uint64_t by) {
  if (context.spill == 0) {
    spilled_.push_back({});
    context.spill = static_cast<uint32_t>(spilled_.size());
  }
  spilled_[context.spill - 1].counters[counter] += by;
}

void Contexts::spill_high(Context &context, uint16_t *counters, unsigned first) {
  constexpr uint16_t kHigh = 0x8000;
  for (unsigned i = 0; i < 8; i++) {
    if (counters[i] < kHigh) continue;
    spill(context, first + i, kHigh);
    counters[i] = static_cast<uint16_t>(counters[i] - kHigh);
  }
}

} // namespace heaptide
