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

void Spreads::collect(const Contexts &contexts, const std::vector<uint32_t> &changed,
                      SpreadRows *rows) const {
  std::vector<Counts> threads = threads_;
  for (uint32_t index : changed) {
    const Context &context = contexts[index];
    if (context.kind == HT_KIND_ARENA) continue;
    Counted counted = contexts.counted(context);
    uint64_t *blocks = threads[context.thread->spread - 1].blocks;
    for (unsigned i = 0; i < kCounters; i++) blocks[i] += counted.counters[i];
  }
  for (const Counts &one : threads) {
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
