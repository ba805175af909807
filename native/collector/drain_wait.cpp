// Events that have come too early: how they wait for what must come first, and what becomes of them when
// that does not come.
#include <algorithm>
#include <utility>

#include "collector/drain.h"

namespace heaptide {
namespace {

// A program may free much that nobody saw it allocate: that is not to cost more than the search of this
// many words in vain a round, about 0.1 ms.
constexpr unsigned kSearchedWords = 1 << 16;

// Whether an event is about a range rather than a block.
bool is_mapping(uint64_t word) { return (HT_AUX(word) & 0xf) >= HT_KIND_MMAP; }

} // namespace

// Lets one of those that wait go on, if there is nothing left for it to wait for: the one that is
// furthest behind, so that threads stay side by side.
bool Drain::go_on_with_stuck() {
  if (heap_.empty()) {
    if (reach_for_stuck()) {
      retry_stuck();
      return true;
    }
    if (std::none_of(stuck_.begin(), stuck_.end(), [](Cursor *c) { return c->is_due(); })) {
      hold_back();
      return true;
    }
  }
  uint64_t least_bound = UINT64_MAX;
  for (const Cursor *cursor : stuck_) least_bound = std::min(least_bound, cursor->bound);
  uint64_t earliest = UINT64_MAX; // that may yet bring what is waited for
  for (const Entry &entry : heap_) {
    // Mostly it is one of the first: they are about in order.
    if (entry.earliest <= least_bound) return false;
    earliest = std::min(earliest, entry.earliest);
  }
  Cursor *least = nullptr;
  for (Cursor *cursor : stuck_) {
    if (earliest <= cursor->bound || !cursor->is_due()) continue;
    // What has been found by the second look only may be of use to it; that is seen to last.
    if (!heap_.empty() && cursor->bound >= round_begun_) continue;
    if (least == nullptr || std::pair(key_of(*cursor), cursor->stuck_rank) <
                                std::pair(key_of(*least), least->stuck_rank)) {
      least = cursor;
    }
  }
  if (least == nullptr) return false;
  std::erase(stuck_, least);
  forced_++;
  run(*least, true);
  return true;
}

// What those that are stuck wait for comes with the next round.
void Drain::hold_back() {
  for (Cursor *cursor : stuck_) {
    cursor->sure = cursor->at;
    finished(*cursor);
  }
  stuck_.clear();
}

// Whether the second look has found what some stuck cursor waits for; then its ring is read up to there.
// What it has found does not change during the round, so each place where a cursor is stuck is asked
// about once.
bool Drain::reach_for_stuck() {
  seekers_.clear();
  for (Cursor *cursor : stuck_) {
    if (!std::exchange(cursor->has_sought, true)) seekers_.push_back(cursor);
  }
  if (seekers_.empty()) return false;
  std::sort(seekers_.begin(), seekers_.end(), [](const Cursor *a, const Cursor *b) {
    return HT_VALUE(a->awaits) < HT_VALUE(b->awaits);
  });
  bool found = false;
  for (Cursor *cursor : rings_.open()) {
    if (!cursor->has_unsure() || cursor->process->predecessor != nullptr) continue;
    found |= reach(*cursor, seekers_);
  }
  return found;
}

// `stuck`: by the address that each waits for.
bool Drain::reach(Cursor &cursor, std::span<Cursor *const> stuck) {
  auto is_free = [](unsigned op) { return op == HT_OP_FREE || op == HT_OP_REALLOC_BEGIN; };
  auto is_alloc = [](unsigned op) { return op == HT_OP_ALLOC || op == HT_OP_REALLOC_END; };
  // Only definitions come from another process, from which this one was forked.
  bool frees = false, others = false, mappings = false; // those that wait
  for (const Cursor *waiting : stuck) {
    unsigned op = HT_OP(waiting->awaits);
    if (is_free(op)) {
      frees |= waiting->process == cursor.process;
      continue;
    }
    others = true;
    mappings |= !is_alloc(op);
  }
  if (!frees && !others) return false;
  auto is_awaited = [&](uint64_t other) {
    unsigned its_op = HT_OP(other);
    bool defines = its_op == HT_OP_NODE || its_op == HT_OP_META;
    if (defines || its_op == HT_OP_UNMAP || its_op == HT_OP_REMAP) return others;
    if (mappings) return true;
    uint64_t address = HT_VALUE(other);
    auto at = std::lower_bound(stuck.begin(), stuck.end(), address,
                               [](const Cursor *c, uint64_t v) { return HT_VALUE(c->awaits) < v; });
    for (; at != stuck.end() && HT_VALUE((*at)->awaits) == address; ++at) {
      unsigned op = HT_OP((*at)->awaits);
      if (is_free(op) && (*at)->process != cursor.process) continue;
      if (is_alloc(op) ? is_free(its_op) : !is_free(its_op)) return true;
    }
    return false;
  };
  RingPlace found = cursor.sure;
  RingPlace place = cursor.sure;
  while (place < cursor.limit) {
    const uint64_t *words = rings_.words(cursor, place.block);
    unsigned length = place.word < HT_BLOCK_WORDS ? Decoder::length(peek(words + place.word)) : 0;
    if (length == 0) {
      place = {place.block + 1, 1};
      continue;
    }
    bool awaited = is_awaited(peek(words + place.word));
    place.word = std::min(place.word + length, HT_BLOCK_WORDS); // garbage may be any length
    if (awaited) found = place;
  }
  if (found == cursor.sure) return false;
  bool was_active = cursor.has_events();
  cursor.sure = std::min(found, cursor.limit);
  if (was_active) return true; // it is stuck itself, and gets its turn with the others
  cursor.process->active_rings++;
  push(cursor);
  return true;
}

// What an event is counted as that goes on without what it waited for. The block of a free (or of a realloc
// that begins) has been found by the second look, if it was ever recorded. So it comes yet, or it has been
// counted as freed already, by another thread's event that has happened later.
Misfit Drain::misfit_of(const Cursor &cursor) {
  uint64_t word = peek(rings_.words(cursor, cursor.at.block) + cursor.at.word);
  if (cursor.stuck_rank == 0 || HT_OP(word) == HT_OP_UNMAP) return Misfit::kKeep;
  if (searched_ >= kSearchedWords) return Misfit::kKeep;
  Misfit misfit = Misfit::kCount;
  for (const Cursor *other : rings_.open()) {
    if (other == &cursor || other->process != cursor.process) continue;
    Traces traces = search(*other, HT_VALUE(word), earliest_of(cursor) - kTscSlack, cursor.bound);
    if (traces == Traces::kFree || traces == Traces::kUnknown) return Misfit::kKeepForAny;
    if (traces == Traces::kAllocation) misfit = Misfit::kKeep;
  }
  return misfit;
}

// What another thread has to say of an address: a free that has been counted and may have happened after
// `since`, or an allocation that is still to be counted and may have happened before `bound`.
Drain::Traces Drain::search(const Cursor &cursor, uint64_t address, uint64_t since,
                            uint64_t bound) {
  auto holds = [&](uint64_t block, unsigned from, unsigned until, unsigned op,
                   unsigned realloc_op) {
    const uint64_t *words = rings_.words(cursor, block);
    searched_ += until - from;
    for (unsigned word = from; word < until;) {
      uint64_t event = peek(words + word);
      if (HT_VALUE(event) == address && (HT_OP(event) == op || HT_OP(event) == realloc_op)) {
        return true;
      }
      unsigned length = Decoder::length(event);
      if (length == 0) break;
      word += length;
    }
    return false;
  };
  bool overwritten = false;
  uint64_t head = rings_.head(cursor);
  unsigned until = cursor.at.word;
  for (uint64_t block = cursor.at.block;; block--, until = HT_BLOCK_WORDS) {
    if (holds(block, 1, until, HT_OP_FREE, HT_OP_REALLOC_BEGIN)) return Traces::kFree;
    if (peek(rings_.words(cursor, block)) < since || block == 0) break;
    overwritten = block <= cursor.published && head + 8 >= block + HT_RING_BLOCKS;
    if (overwritten) break;
  }
  unsigned from = cursor.at.word;
  for (uint64_t block = cursor.at.block; block <= cursor.limit.block; block++, from = 1) {
    unsigned end = block < cursor.limit.block ? HT_BLOCK_WORDS : cursor.limit.word;
    if (peek(rings_.words(cursor, block)) > bound) break;
    if (holds(block, from, end, HT_OP_ALLOC, HT_OP_REALLOC_END)) return Traces::kAllocation;
  }
  return overwritten ? Traces::kUnknown : Traces::kNone;
}

// Something has happened: who waits may find what they wait for. Definitions may come from the process
// that theirs was forked from, so all are asked.
void Drain::retry_stuck() {
  for (Cursor *cursor : stuck_) {
    heap_.push_back({key_of(*cursor), earliest_of(*cursor), cursor});
    std::push_heap(heap_.begin(), heap_.end());
  }
  stuck_.clear();
}

// The events [at, end) have been counted: those are asked whose cause to wait may be gone by them, or
// all where that is not plain from the address. With hundreds of threads hundreds wait, and asking each
// after every few events would take longer than counting them.
void Drain::retry_stuck_after(const uint64_t *at, const uint64_t *end) {
  uint64_t seen[16] = {}; // a bit for each address, by its hash
  auto bit_of = [](uint64_t address) { return mix(address) >> 54; };
  bool defines = false;
  while (at < end) {
    uint64_t word = *at;
    switch (HT_OP(word)) {
      case HT_OP_NODE:
      case HT_OP_META:
        defines = true;
        break;
      case HT_OP_ALLOC:
      case HT_OP_REALLOC_END:
      case HT_OP_FREE:
      case HT_OP_REALLOC_BEGIN: {
        if (is_mapping(word)) return retry_stuck();
        uint64_t bit = bit_of(HT_VALUE(word));
        seen[bit / 64] |= uint64_t{1} << bit % 64;
        break;
      }
      default:
        return retry_stuck();
    }
    unsigned length = Decoder::length(word);
    if (length == 0) return retry_stuck();
    at += length;
  }
  auto may_go_on = [&](const Cursor *cursor) {
    uint64_t bit = bit_of(HT_VALUE(cursor->awaits));
    if ((seen[bit / 64] >> bit % 64 & 1) != 0) return true;
    if (is_mapping(cursor->awaits)) return true;
    switch (HT_OP(cursor->awaits)) {
      case HT_OP_FREE:
      case HT_OP_REALLOC_BEGIN:
        return false;
      case HT_OP_ALLOC:
      case HT_OP_REALLOC_END:
        return defines;
      default:
        return true;
    }
  };
  std::erase_if(stuck_, [&](Cursor *cursor) {
    if (!may_go_on(cursor)) return false;
    heap_.push_back({key_of(*cursor), earliest_of(*cursor), cursor});
    std::push_heap(heap_.begin(), heap_.end());
    return true;
  });
}

} // namespace heaptide
