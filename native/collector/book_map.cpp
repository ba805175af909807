// The books of mapped memory.
#include "collector/book.h"

namespace heaptide {

void Book::enter_mapped(uint32_t index, uint64_t bytes, uint64_t blocks) {
  Context &c = contexts_[index];
  if (c.kind != HT_KIND_ARENA) {
    enter(index, c, {blocks, bytes});
    return;
  }
  touch(index, c);
  c.live_bytes += bytes;
  c.live_blocks += blocks;
  c.bytes_in += bytes;
  arena_bytes_ += bytes;
  if (arena_bytes_ > arena_peak_bytes_) arena_peak_bytes_ = arena_bytes_;
}

void Book::leave_mapped(uint32_t index, uint64_t bytes, uint64_t blocks) {
  Context &c = contexts_[index];
  if (c.kind != HT_KIND_ARENA) {
    leave(index, c, {blocks, bytes});
    return;
  }
  touch(index, c);
  c.live_bytes -= bytes;
  c.live_blocks -= blocks;
  arena_bytes_ -= bytes;
}

// Books what has been taken out of mappings. `thread` did it, nullptr: nobody is seen to have.
// `lives_end`: a mapping of which nothing is left has been freed (and not moved).
void Book::leave_taken(Thread *thread, bool lives_end) {
  for (const Taken &taken : taken_) {
    uint32_t index = taken.mapping.context;
    leave_mapped(index, taken.bytes, taken.last ? 1 : 0);
    if (!taken.last || !lives_end) continue;
    Context &c = contexts_[index];
    if (c.kind == HT_KIND_ARENA) continue;
    if (thread == nullptr) {
      unseen_frees_++;
      unmatched_frees_++;
    } else {
      count_lifetime(c, taken.mapping.sequence, taken.mapping.born, 1);
      thread->deallocations++;
    }
  }
  taken_.clear();
}

bool Book::map(Thread &thread, uint64_t address, uint64_t length, uint32_t context, Misfit misfit) {
  if (mappings_.overlaps(address, length)) {
    if (misfit == Misfit::kRefuse) return false;
    mappings_.take(address, length, &taken_);
    leave_taken(nullptr, true);
  }
  Context &c = contexts_[context];
  if (c.kind != HT_KIND_ARENA) {
    thread.sequence++;
    thread.bytes += length;
  }
  mappings_.add(address, length, context, static_cast<uint32_t>(thread.sequence), ledger_.ticks);
  enter_mapped(context, length, 1);
  contexts_.count(c, c.by_size, bucket_by_size(length), kBySize, 1);
  raised();
  return true;
}

bool Book::unmap(Thread &thread, uint64_t address, uint64_t length, Misfit misfit) {
  mappings_.take(address, length, &taken_);
  if (taken_.empty()) return !refuses_free(misfit); // files and stacks are unmapped, too
  leave_taken(&thread, true);
  return true;
}

bool Book::unmap_at(Thread &thread, uint64_t address, Misfit misfit) {
  return unmap(thread, address, mappings_.length_at(address), misfit);
}

bool Book::remap(Thread &thread, uint64_t old_address, uint64_t old_length, uint64_t address,
                 uint64_t length, uint32_t context, Misfit misfit) {
  if (misfit == Misfit::kRefuse && !mappings_.overlaps(old_address, old_length)) return false;
  mappings_.take(old_address, old_length, &taken_);
  bool moves = !taken_.empty();
  bool whole = true;
  for (const Taken &taken : taken_) whole = whole && taken.gone;
  leave_taken(&thread, false);
  if (mappings_.overlaps(address, length)) {
    mappings_.take(address, length, &taken_);
    leave_taken(nullptr, true);
  }
  Context &c = contexts_[context];
  thread.sequence++;
  thread.bytes += length;
  mappings_.add(address, length, context, static_cast<uint32_t>(thread.sequence), ledger_.ticks);
  enter_mapped(context, length, 1);
  contexts_.count(c, c.by_size, bucket_by_size(length), kBySize, 1);
  raised();
  if (moves && whole) {
    // Pages move by their tables: nothing is copied.
    contexts_.slice_start(context).reallocations++;
    thread.reallocations++;
  }
  return true;
}

} // namespace heaptide
