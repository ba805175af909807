#include "collector/drain.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace heaptide {
namespace {

// Counters of different processors agree to less than this, and a block's is not read at the very
// moment of its first event.
constexpr uint64_t kTscSlack = 10'000;
// A producer that waits for room gets it while the round goes on.
constexpr uint64_t kPublishBlocks = HT_RING_BLOCKS / 4;
// Read, but left to be searched, if there is more than one thread: what another has freed tells what a free
// may belong to.
constexpr uint64_t kKeptBlocks = 16;
constexpr uint64_t kPulseBlocks = 256;
// Words read of one ring before another gets its turn.
constexpr unsigned kPiece = 32;
// A program may free much that nobody saw it allocate: that is not to cost more than the search of this
// many words in vain a round, about 0.1 ms.
constexpr unsigned kSearchedWords = 1 << 16;

// A word of a ring. It may be changing under us if its producer has scribbled over its ring; whatever
// is read then is checked like anything else.
inline uint64_t peek(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

} // namespace

Drain::Drain(Processes &processes, Rings &rings, Decoder &decoder, const Clock &clock,
             std::function<void()> pulse)
    : processes_(processes),
      rings_(rings),
      decoder_(decoder),
      clock_(clock),
      pulse_(std::move(pulse)) {}

void Drain::look_twice(Round *round) {
  round_begun_ = read_tsc();
  searched_ = 0;
  for (Cursor *cursor : rings_.open()) rings_.look(*cursor);
  // Rings claimed meanwhile: what they hold is behind the first look.
  rings_.discover();
  if (rings_.open().size() > 1) {
    for (Cursor *cursor : rings_.open()) rings_.look_again(*cursor);
  }
  for (Process *process : processes_.living()) process->unsure_rings = 0;
  for (Cursor *cursor : rings_.open()) {
    if (cursor->has_unsure()) cursor->process->unsure_rings++;
    double fill = static_cast<double>(cursor->limit.block - cursor->at.block) / HT_RING_BLOCKS;
    round->fullest = std::max(round->fullest, fill);
  }
}

Drain::Round Drain::round() {
  Round round;
  uint64_t before = blocks_;
  // Who is gone by now has left nothing that this round does not find. Of others that go meanwhile some
  // of the last events may be found too late for it.
  for (Process *process : processes_.living()) process->closing = process->dying;
  rings_.discover();
  look_twice(&round);
  active_.clear();
  waiting_.clear();
  for (Cursor *cursor : rings_.open()) {
    if (!cursor->has_events()) continue;
    if (cursor->process->ended()) {
      discard(*cursor);
      continue;
    }
    const Process *former = cursor->process->predecessor;
    if (former != nullptr && !former->closing) continue; // there may be more of it
    cursor->process->active_rings++;
    (former == nullptr ? active_ : waiting_).push_back(cursor);
  }
  for (Cursor *cursor : active_) push(*cursor);
  std::vector<Process *> silent;
  for (Process *process : processes_.living()) {
    if (process->closing && process->active_rings == 0 && process->predecessor == nullptr) {
      silent.push_back(process);
    }
  }
  for (Process *process : silent) end(*process);

  while (!heap_.empty() || !stuck_.empty()) {
    if (!stuck_.empty() && go_on_with_stuck()) continue;
    std::pop_heap(heap_.begin(), heap_.end());
    Cursor *cursor = heap_.back().cursor;
    heap_.pop_back();
    run(*cursor, false);
  }
  for (Buffer &buffer : buffers_) buffer.cursor = nullptr;
  decoder_.forget_ahead();
  for (Cursor *cursor : rings_.open()) rings_.publish(*cursor, kKeptBlocks);
  for (Process *process : processes_.living()) process->book->settle();
  round.blocks = blocks_ - before;
  return round;
}

// ------------------------------------------------------------------------------ waiting events

// Lets one of those that wait go on, if there is nothing left for it to wait for: the one that is
// furthest behind, so that threads stay side by side.
bool Drain::go_on_with_stuck() {
  if (heap_.empty()) {
    for (Cursor *cursor : stuck_) {
      if (reach_for(*cursor)) {
        retry_stuck();
        return true;
      }
    }
    if (std::none_of(stuck_.begin(), stuck_.end(), [](Cursor *c) { return c->is_due(); })) {
      hold_back();
      return true;
    }
  }
  uint64_t earliest = UINT64_MAX; // that may yet bring what is waited for
  for (const Entry &entry : heap_) earliest = std::min(earliest, earliest_of(*entry.cursor));
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

// Whether the second look has found what a stuck cursor waits for; then its ring is read up to there.
bool Drain::reach_for(const Cursor &stuck) {
  uint64_t word = peek(rings_.words(stuck, stuck.at.block) + stuck.at.word);
  unsigned op = HT_OP(word);
  bool is_free = op == HT_OP_FREE || op == HT_OP_REALLOC_BEGIN;
  bool is_alloc = op == HT_OP_ALLOC || op == HT_OP_REALLOC_END;
  auto is_awaited = [&](uint64_t other) {
    unsigned its_op = HT_OP(other);
    if (its_op == HT_OP_NODE || its_op == HT_OP_META) return !is_free;
    if (its_op == HT_OP_UNMAP || its_op == HT_OP_REMAP) return !is_free;
    if (HT_VALUE(other) != HT_VALUE(word)) return op == HT_OP_UNMAP || op == HT_OP_REMAP;
    bool other_is_free = its_op == HT_OP_FREE || its_op == HT_OP_REALLOC_BEGIN;
    return is_alloc ? other_is_free : !other_is_free;
  };
  bool found = false;
  for (Cursor *cursor : rings_.open()) {
    if (!cursor->has_unsure() || cursor->process->predecessor != nullptr) continue;
    // Only definitions come from another process, from which this one was forked.
    if (is_free && cursor->process != stuck.process) continue;
    RingPlace reach = cursor->sure;
    RingPlace place = cursor->sure;
    while (place < cursor->limit) {
      const uint64_t *words = rings_.words(*cursor, place.block);
      unsigned length = place.word < HT_BLOCK_WORDS ? Decoder::length(peek(words + place.word)) : 0;
      if (length == 0) {
        place = {place.block + 1, 1};
        continue;
      }
      bool awaited = is_awaited(peek(words + place.word));
      place.word = std::min(place.word + length, HT_BLOCK_WORDS); // garbage may be any length
      if (awaited) reach = place;
    }
    if (reach == cursor->sure) continue;
    bool was_active = cursor->has_events();
    cursor->sure = std::min(reach, cursor->limit);
    found = true;
    if (was_active) continue; // it is stuck itself, and gets its turn with the others
    cursor->process->active_rings++;
    push(*cursor);
  }
  return found;
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

// -------------------------------------------------------------------------------------- order

void Drain::advance_block(Cursor &cursor) {
  while (cursor.at.word >= HT_BLOCK_WORDS && cursor.at.block < cursor.sure.block) {
    uint64_t begun = peek(rings_.words(cursor, cursor.at.block));
    uint64_t next = peek(rings_.words(cursor, cursor.at.block + 1));
    if (next > begun) cursor.pace = (next - begun) / HT_BLOCK_WORDS;
    cursor.at = {cursor.at.block + 1, 1};
  }
}

// No event at or behind the cursor has happened before this.
uint64_t Drain::earliest_of(const Cursor &cursor) const {
  uint64_t begun = peek(rings_.words(cursor, cursor.at.block));
  uint64_t earliest = cursor.at.word > 1 ? std::max(begun, cursor.unread_since) : begun;
  return std::min(earliest, cursor.looked_until);
}

// What is in the chunk at the cursor has happened before this.
uint64_t Drain::until_of(const Cursor &cursor) const {
  uint64_t until = cursor.looked_until;
  if (cursor.at.block < cursor.sure.block) {
    until = std::min(until, peek(rings_.words(cursor, cursor.at.block + 1)));
  }
  return std::min(until, cursor.process->last_tsc);
}

uint64_t Drain::bound_of(const Cursor &cursor) const { return until_of(cursor) + kTscSlack; }

// When the next event happened, about: the block's words have been written from its begin to the next one's,
// or to our look, at an even pace; or at that of the block before, and then for a while none, which is what
// it looks like when the thread has lost its processor. Too early is better than too late: what is too
// early waits for what it needs, but what is too late has been overtaken.
uint64_t Drain::key_of(const Cursor &cursor) const {
  uint64_t begun = peek(rings_.words(cursor, cursor.at.block));
  begun = std::min(begun, cursor.looked_until);
  if (cursor.at.word == 1) return begun;
  uint64_t until = until_of(cursor);
  unsigned words = cursor.block_end();
  uint64_t pace = until > begun ? (until - begun) / words : 0;
  uint64_t passed = std::min(pace, cursor.pace) * cursor.at.word;
  return std::min(std::max(begun + passed, cursor.unread_since), cursor.looked_until);
}

void Drain::push(Cursor &cursor) {
  advance_block(cursor);
  if (!cursor.has_events()) {
    finished(cursor);
    return;
  }
  heap_.push_back({key_of(cursor), &cursor});
  std::push_heap(heap_.begin(), heap_.end());
}

void Drain::finished(Cursor &cursor) {
  Process &process = *cursor.process;
  if (process.active_rings > 0) process.active_rings--;
  // At its place in the order of things: what follows is counted without it.
  if (process.active_rings == 0 && process.closing && !process.ended()) end(process);
}

// Ends a process; the next image of it begins.
void Drain::end(Process &process) {
  if (process.ended()) return;
  processes_.end(process);
  rings_.release(process, process.end);
  Process *next = processes_.successor(process);
  if (next == nullptr) return;
  next->predecessor = nullptr;
  if (next->closing && next->active_rings == 0) return end(*next);
  for (Cursor *cursor : waiting_) {
    if (cursor->process == next) push(*cursor);
  }
}

// Something has happened: who waits may find what they wait for. Definitions may come from the process
// that theirs was forked from, so all are asked.
void Drain::retry_stuck() {
  for (Cursor *cursor : stuck_) {
    heap_.push_back({key_of(*cursor), cursor});
    std::push_heap(heap_.begin(), heap_.end());
  }
  stuck_.clear();
}

// ------------------------------------------------------------------------------------ reading

// Where to stop reading the chunk at the cursor: a ring that is alone is read by whole blocks.
unsigned Drain::piece_end(const Cursor &cursor) const {
  unsigned end = cursor.block_end();
  if (cursor.process->active_rings <= 1 || end - cursor.at.word <= kPiece) return end;
  const uint64_t *words = rings_.words(cursor, cursor.at.block);
  unsigned word = cursor.at.word;
  for (unsigned until = word + kPiece; word < until;) {
    unsigned length = Decoder::length(peek(words + word));
    if (length == 0 || length > end - word) return end;
    word += length;
  }
  return word;
}

void Drain::load(const Cursor &cursor, Buffer *buffer) {
  buffer->cursor = &cursor;
  buffer->place = cursor.at;
  buffer->words = piece_end(cursor) - cursor.at.word;
  const uint64_t *words = rings_.words(cursor, cursor.at.block);
  for (unsigned i = 0; i < buffer->words; i++) buffer->data[i] = peek(words + cursor.at.word + i);
  std::memset(buffer->data + buffer->words, 0, Decoder::kPadding * sizeof *words);
  // The producer's core has the next block: it takes a while to come.
  if (cursor.at.block < cursor.sure.block) {
    const uint64_t *next = rings_.words(cursor, cursor.at.block + 1);
    for (unsigned i = 0; i < HT_BLOCK_WORDS; i += 8) __builtin_prefetch(next + i);
  }
}

void Drain::run(Cursor &cursor, bool force_first) {
  Process &process = *cursor.process;
  Buffer *now = &buffers_[current_], *next = &buffers_[1 - current_];
  if (next->cursor == &cursor && next->place == cursor.at && !force_first) {
    std::swap(now, next);
    current_ = 1 - current_;
  } else {
    decoder_.forget_ahead();
    load(cursor, now);
  }
  next->cursor = nullptr;

  uint64_t key = key_of(cursor);
  RingPlace start = cursor.at;
  RingPlace after = {start.block, start.word + now->words};
  Decoder::Ahead ahead;
  // The next chunk is this ring's, unless another ring has an older one.
  cursor.at = after;
  advance_block(cursor);
  if (cursor.has_events() && (heap_.empty() || key_of(cursor) <= heap_.front().key)) {
    load(cursor, next);
    ahead = {&cursor.stream, next->data, next->data + next->words};
  } else if (!heap_.empty() && heap_.front().cursor->process == &process) {
    load(*heap_.front().cursor, next);
    ahead = {&heap_.front().cursor->stream, next->data, next->data + next->words};
  }
  cursor.at = start;

  cursor.stream.time = clock_.ns(key);
  process.last_event = std::max(process.last_event, cursor.stream.time);
  // With nothing else to be read, whatever comes before has been counted; with other threads, perhaps
  // some of what comes after.
  bool others_unsure = process.unsure_rings > (cursor.has_unsure() ? 1u : 0u);
  Force force;
  if (process.active_rings == 1 && !others_unsure) {
    force.rest = process.open_rings == 1 ? Misfit::kCount : Misfit::kKeepBlocks;
  }
  force.first = force_first;
  if (force_first) force.first_as = misfit_of(cursor);
  const uint64_t *end = now->data + now->words;
  const uint64_t *stopped = decoder_.decode(cursor.stream, now->data, end, force, ahead);
  now->cursor = nullptr;
  bool moved = stopped != now->data;
  if (moved) cursor.quiet_since = clock_.ns(cursor.looked_until);
  cursor.at.word += static_cast<unsigned>(stopped - now->data);
  if (stopped == end) {
    if (cursor.at.word >= HT_BLOCK_WORDS || !cursor.has_events()) {
      blocks_++;
      if (blocks_ % kPulseBlocks == 0) pulse_();
    }
    if (cursor.at.block - cursor.published >= 2 * kPublishBlocks) {
      rings_.publish(cursor, kPublishBlocks);
    }
    push(cursor);
  } else {
    next->cursor = nullptr;
    cursor.bound = bound_of(cursor);
    unsigned op = HT_OP(*stopped);
    cursor.stuck_rank = op == HT_OP_REALLOC_BEGIN ? 2 : op == HT_OP_FREE || op == HT_OP_UNMAP;
  }
  if (moved && !stuck_.empty()) retry_stuck();
  if (stopped != end) stuck_.push_back(&cursor);
}

// Events of a process that has been given up: nobody to count them for, but its threads must not wait.
void Drain::discard(Cursor &cursor) { cursor.at = cursor.sure = cursor.limit; }

} // namespace heaptide
