#include "collector/spreads.h"

#include "wire/wire.h"

namespace heaptide {

void Spreads::begin(const Contexts &contexts, const Context &context) {
  if (context.kind == HT_KIND_ARENA) return;
  Thread &thread = *context.thread;
  if (thread.spread == 0) {
    threads_.push_back({&thread, {}});
    thread.spread = static_cast<uint32_t>(threads_.size());
  }
  if (context.blocks_in == 0) return; // a new one
  contexts.sum_counters<false>(context, threads_[thread.spread - 1].blocks);
}

void Spreads::collect(const Contexts &contexts, const std::vector<uint32_t> &changed,
                      SpreadRows *rows) const {
  std::vector<Counts> threads = threads_;
  for (uint32_t index : changed) {
    const Context &context = contexts[index];
    if (context.kind == HT_KIND_ARENA) continue;
    contexts.sum_counters<true>(context, threads[context.thread->spread - 1].blocks);
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
