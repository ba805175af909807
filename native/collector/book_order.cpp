// Addresses whose events were counted out of order.
//
// Threads that pass addresses between them within the time of one block leave some freedom in how their
// events can be put in order. The order found alternates as far as it goes, but it may let a thread
// allocate before another that has yet to allocate and free the same address. Then, for a moment, two
// blocks live there (the one that has not its place in the table is a shadow), or a free waits for a
// block (it is an orphan). A free that follows is its own thread's block's, if it has one there, else the
// oldest's: so the block that stays is the one that does. An orphan waits until another allocation shows
// that the block before it is gone, or until all that may be its block has been counted, and then takes
// what is left: sooner, it would take a block from the thread that is about to free it.
//
// So each allocation finds its free and each free its allocation, if there is one: which of them belong
// together may be mistaken, how many there are may not.
#include <algorithm>

#include "collector/book.h"

namespace heaptide {
namespace {

// Calls of settle, one a round. The block of a free that is counted in one round has been found by the
// second look of that round or, if the free itself had been found by a second look only, of the next one;
// and what a look has found is counted a round later at the latest. So an orphan's block has been counted
// by then. That two blocks have an address harms nobody, and is given more time.
constexpr uint32_t kOldestOrphan = 2, kOldestShadow = 64;
// Of each kind. Beyond that it is no disorder: the program frees in ways that nobody sees.
constexpr size_t kMost = 256;

} // namespace

// Makes the address free for another block. False: refused.
bool Book::make_room(uint64_t address, Misfit misfit) {
  if (disordered_ && give_to_orphan(address)) return true;
  if (misfit == Misfit::kRefuse) return false;
  Block block{};
  if (!live_.take(address, &block)) return true;
  if (misfit == Misfit::kCount) {
    lose(block);
  } else {
    keep_shadow(block);
  }
  return true;
}

void Book::keep_shadow(const Block &block) {
  if (shadows_.size() >= kMost) {
    lose(shadows_.front().block);
    shadows_.erase(shadows_.begin());
  }
  shadows_.push_back({block, 0});
  disordered_ = true;
}

bool Book::take_one_life(const Thread &thread, uint64_t address, Block *block) {
  auto at_address = [&](const Shadow &shadow) { return shadow.block.address() == address; };
  auto oldest = std::find_if(shadows_.begin(), shadows_.end(), at_address);
  if (oldest == shadows_.end()) return live_.take(address, block);

  auto is_own = [&](const Life &b) { return contexts_[b.context].thread == &thread; };
  const Life *latest = live_.find(address);
  if (latest != nullptr && is_own(*latest)) {
    // The block before it has the address again: an allocation there is a misfit still.
    auto before = std::find_if(shadows_.rbegin(), shadows_.rend(), at_address);
    live_.take(address, block);
    live_.put(before->block);
    shadows_.erase(std::next(before).base());
    return true;
  }
  auto chosen = oldest;
  for (auto at = oldest; at != shadows_.end(); ++at) {
    if (at_address(*at) && is_own(at->block)) chosen = at;
  }
  *block = chosen->block;
  shadows_.erase(chosen);
  return true;
}

bool Book::free_nothing(Thread &thread, uint64_t address, Misfit misfit) {
  if (refuses_free(misfit)) return false;
  if (misfit == Misfit::kCount) {
    unmatched_frees_++;
  } else {
    keep_orphan({address, &thread, 0, misfit == Misfit::kKeepForAny, nullptr, {}});
  }
  return true;
}

void Book::keep_orphan(const Orphan &orphan) {
  if (orphans_.size() >= kMost) {
    Orphan oldest = orphans_.front();
    orphans_.erase(orphans_.begin());
    give_up(oldest);
  }
  orphans_.push_back(orphan);
  disordered_ = true;
}

// Takes out the orphan of a realloc that ends; false: it has been given up.
bool Book::take_orphan(const InFlight &flight, Orphan *orphan) {
  auto is_its = [&](const Orphan &o) { return o.flight == &flight; };
  auto found = std::find_if(orphans_.begin(), orphans_.end(), is_its);
  if (found == orphans_.end()) return false;
  *orphan = *found;
  orphans_.erase(found);
  return true;
}

// Takes a block at the orphan's address for it: not one of its own thread's, which really came later,
// unless another thread has freed what it freed.
bool Book::take_for(const Orphan &orphan, Block *block) {
  auto fits = [&](const Life &b) {
    return orphan.for_any || contexts_[b.context].thread != orphan.thread;
  };
  auto shadow = std::find_if(shadows_.begin(), shadows_.end(), [&](const Shadow &s) {
    return s.block.address() == orphan.address && fits(s.block);
  });
  if (shadow != shadows_.end()) {
    *block = shadow->block;
    shadows_.erase(shadow);
    return true;
  }
  const Life *live = live_.find(orphan.address);
  return live != nullptr && fits(*live) && live_.take(orphan.address, block);
}

// The orphan's block has been found.
void Book::adopt(const Orphan &orphan, const Block &block) {
  if (orphan.flight != nullptr) {
    // Just in time for the realloc's end.
    orphan.flight->known = true;
    moving_.push_back(block);
    orphan.flight->orphan = false;
    orphan.flight->block = block;
  } else if (orphan.move.context != kNone) {
    // What was counted as an allocation has been this block's move.
    leave(block.context, contexts_[block.context], weight_of(block));
    touch(orphan.move.context, contexts_[orphan.move.context]);
    count_move(*orphan.thread, block, orphan.move);
  } else {
    end_of_life(*orphan.thread, block);
  }
}

// A realloc ends whose block has not been known so far.
void Book::find_block(InFlight &flight) {
  Orphan orphan{};
  Block block{};
  if (!take_orphan(flight, &orphan)) return;
  if (take_for(orphan, &block)) {
    adopt(orphan, block);
  } else {
    orphans_.push_back(orphan);
  }
}

// There is to be another block at the address: whether the one that has it in the table was an orphan's.
bool Book::give_to_orphan(uint64_t address) {
  for (auto orphan = orphans_.begin(); orphan != orphans_.end(); ++orphan) {
    Block block{};
    if (orphan->address != address || !take_for(*orphan, &block)) continue;
    adopt(*orphan, block);
    orphans_.erase(orphan);
    return live_.find(address) == nullptr;
  }
  return false;
}

// All that may be the orphan's block has been counted. If there is none, nobody saw it allocated; the end of
// a realloc of nothing is, or will be, counted as an allocation.
void Book::give_up(const Orphan &orphan) {
  Block block{};
  if (take_for(orphan, &block)) return adopt(orphan, block);
  if (orphan.flight == nullptr && orphan.move.context == kNone) unmatched_frees_++;
}

void Book::settle_old() {
  std::vector<Orphan> old;
  std::erase_if(orphans_, [&](Orphan &orphan) {
    if (++orphan.age <= kOldestOrphan) return false;
    old.push_back(orphan);
    return true;
  });
  for (const Orphan &orphan : old) give_up(orphan);
  std::erase_if(shadows_, [this](Shadow &shadow) {
    uint64_t address = shadow.block.address();
    if (live_.find(address) == nullptr) {
      // The later one has been freed: this one is the address's again.
      live_.put(shadow.block);
      return true;
    }
    if (++shadow.age <= kOldestShadow) return false;
    lose(shadow.block);
    return true;
  });
  disordered_ = !shadows_.empty() || !orphans_.empty();
}

} // namespace heaptide
