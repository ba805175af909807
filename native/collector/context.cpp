#include "collector/context.h"

#include <cstdlib>
#include <new>

namespace heaptide {

uint32_t Contexts::add(Thread *thread, uint32_t row, uint8_t kind) {
  uint32_t index = size();
  if (index % kPage == 0) {
    void *page = std::aligned_alloc(alignof(Context), kPage * sizeof(Context));
    if (page == nullptr) throw std::bad_alloc();
    pages_.push_back(static_cast<Context *>(page));
  }
  rows_.push_back(row);
  slice_starts_.push_back({});
  Context &context = *new (&(*this)[index]) Context();
  context.thread = thread;
  context.kind = kind;
  context.stamp = UINT64_MAX;
  return index;
}

void Contexts::clear() {
  for (Context *page : pages_) std::free(page);
  give_back(pages_);
  give_back(slice_starts_);
  give_back(rows_);
  give_back(spilled_);
}

uint64_t Contexts::counted(const Context &context, unsigned counter) const {
  uint64_t value = counter < kByTime   ? context.by_allocations[counter]
                   : counter < kBySize ? context.by_time[counter - kByTime]
                                       : context.by_size[counter - kBySize];
  return context.spill == 0 ? value : value + spilled_[context.spill - 1].counters[counter];
}

void Contexts::spill(Context &context, unsigned counter, uint64_t by) {
  if (context.spill == 0) {
    spilled_.push_back({});
    context.spill = static_cast<uint32_t>(spilled_.size());
  }
  spilled_[context.spill - 1].counters[counter] += by;
}

} // namespace heaptide
