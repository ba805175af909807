// Addresses whose events were counted out of order.
//
// Threads that pass addresses between them within the time of one block leave some freedom in how their
// events can be put in order. The order found alternates as far as it goes, but it may let a thread
// allocate before another that has yet to allocate and free the same address. Then, for a moment, two
// blocks live there. A free that follows is its own thread's block's, if it has one there, else the
// oldest's: so the block that stays is the one that does.
#include <algorithm>

#include "collector/book.h"

namespace heaptide {
namespace {

// Calls of settle, one a round. What a free waits for has been found by that round's second look, and
// comes with the next one; longer, and another block at the address might be taken for it. That two
// blocks have an address harms nobody, so that is given more time.
constexpr uint32_t kOldestOrphan = 2, kOldestShadow = 64;
// Of each kind. Beyond that it is no disorder: the program frees in ways that nobody sees.
constexpr size_t kMost = 256;

} // namespace

void Book::make_room(uint64_t address, Misfit misfit) {
  Block block{};
  if (!live_.take(spot(address), address, &block)) return;
  if (misfit == Misfit::kCount) {
    lose(block);
    return;
  }
  if (shadows_.size() >= kMost) {
    lose(shadows_.front().block);
    shadows_.erase(shadows_.begin());
  }
  shadows_.push_back({block, 0});
  note_disorder(address);
}

void Book::note_disorder(uint64_t address) {
  disordered_ = true;
  for (Restless &restless : restless_) {
    if (restless.address == address) {
      restless.age = 0;
      return;
    }
  }
  if (restless_.size() >= kMost) restless_.erase(restless_.begin());
  restless_.push_back({address, 0});
}

bool Book::is_restless(uint64_t address) const {
  return std::any_of(restless_.begin(), restless_.end(),
                     [&](const Restless &restless) { return restless.address == address; });
}

bool Book::take_one_life(const Thread &thread, uint64_t address, Block *block) {
  LiveTable::Spot where = spot(address);
  auto at_address = [&](const Shadow &shadow) { return shadow.block.address() == address; };
  auto oldest = std::find_if(shadows_.begin(), shadows_.end(), at_address);
  if (oldest == shadows_.end()) return live_.take(where, address, block);

  auto is_own = [&](const Block &b) { return contexts_[b.context].thread == &thread; };
  const Block *latest = live_.find(where, address);
  if (latest != nullptr && is_own(*latest)) {
    // The block before it has the address again: an allocation there is a misfit still.
    auto before = std::find_if(shadows_.rbegin(), shadows_.rend(), at_address);
    *block = *latest;
    *live_.find(where, address) = before->block;
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

// Where things are out of order, a free may have been counted for another thread's block, and that
// thread's free then finds nothing: it waits in the other's place, for whatever block comes.
bool Book::free_nothing(Thread &thread, uint64_t address, Misfit misfit) {
  if (refuses_free(misfit)) return false;
  bool for_any = misfit == Misfit::kKeepForAny || is_restless(address);
  if (misfit == Misfit::kCount && !for_any) {
    unmatched_frees_++;
  } else {
    keep_orphan({address, &thread, 0, for_any, nullptr, kNone});
  }
  return true;
}

void Book::keep_orphan(const Orphan &orphan) {
  if (orphans_.size() >= kMost) {
    unmatched_frees_ += orphans_.front().flight == nullptr ? 1 : 0;
    orphans_.erase(orphans_.begin());
  }
  orphans_.push_back(orphan);
  note_disorder(orphan.address);
}

Book::Orphan *Book::orphan_of(const Thread &thread, const InFlight &flight) {
  for (Orphan &orphan : orphans_) {
    if (orphan.address == flight.address && orphan.thread == &thread && orphan.flight == &flight &&
        orphan.context == kNone) {
      return &orphan;
    }
  }
  return nullptr;
}

// A block has just been allocated: its free may have been counted already. Not one of the same thread,
// which really was before; unless another thread has freed what it freed, and waits for this.
void Book::match_orphan(const Thread &thread, uint64_t address) {
  auto orphan = std::find_if(orphans_.begin(), orphans_.end(), [&](const Orphan &o) {
    return o.address == address && (o.for_any || o.thread != &thread);
  });
  Block block{};
  if (orphan == orphans_.end() || !live_.take(spot(address), address, &block)) return;
  if (orphan->flight != nullptr && orphan->context == kNone) {
    // Just in time for the realloc's end.
    orphan->flight->known = true;
    orphan->flight->orphan = false;
    orphan->flight->block = block;
  } else if (orphan->flight != nullptr) {
    // What was counted as an allocation has been this block's move.
    leave(block.context, contexts_[block.context], weight_of(block));
    Weight weight = weight_of(block);
    orphan->thread->reallocations += weight.blocks;
    touch(orphan->context, contexts_[orphan->context]);
    contexts_.slice_start(orphan->context).reallocations += weight.blocks;
  } else {
    end_of_life(*orphan->thread, block);
  }
  orphans_.erase(orphan);
}

void Book::settle_old() {
  std::erase_if(shadows_, [this](Shadow &shadow) {
    uint64_t address = shadow.block.address();
    if (live_.find(spot(address), address) == nullptr) {
      // The later one has been freed: this one is the address's again.
      *live_.place(spot(address), address) = shadow.block;
      return true;
    }
    if (++shadow.age <= kOldestShadow) return false;
    lose(shadow.block);
    return true;
  });
  std::erase_if(orphans_, [this](Orphan &orphan) {
    if (orphan.address != 0 && ++orphan.age <= kOldestOrphan) return false;
    unmatched_frees_ += orphan.address == 0 || orphan.flight != nullptr ? 0 : 1;
    return true;
  });
  std::erase_if(restless_, [](Restless &restless) { return ++restless.age > kOldestShadow; });
  disordered_ = !shadows_.empty() || !orphans_.empty() || !restless_.empty();
}

} // namespace heaptide
