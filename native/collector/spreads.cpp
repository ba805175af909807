#include "collector/spreads.h"

#include "wire/wire.h"

namespace heaptide {

void Spreads::begin(const Context &context, const Counted &counted) {
  if (context.kind == HT_KIND_ARENA) return;
  Thread &thread = *context.thread;
  if (thread.spread == 0) {
    threads_.push_back({&thread, {}});
    thread.spread = static_cast<uint32_t>(threads_.size());
  }
  uint64_t *blocks = threads_[thread.spread - 1].blocks;
  for (unsigned i = 0; i < kCounters; i++) blocks[i] -= counted.counters[i];
}

void Spreads::end(const Context &context, const Counted &counted) {
  if (context.kind == HT_KIND_ARENA) return;
  uint64_t *blocks = threads_[context.thread->spread - 1].blocks;
  for (unsigned i = 0; i < kCounters; i++) blocks[i] += counted.counters[i];
}

void Spreads::append_to(SpreadRows *rows) const {
  for (const Counts &one : threads_) {
    for (unsigned i = 0; i < kCounters; i++) {
      if (one.blocks[i] == 0) continue;
      rows->thread.push_back(one.thread->row);
      rows->bucket.push_back(i);
      rows->blocks.push_back(one.blocks[i]);
    }
  }
}

void Spreads::clear() {
  for (const Counts &one : threads_) one.thread->spread = 0;
  threads_.clear();
}

} // namespace heaptide
