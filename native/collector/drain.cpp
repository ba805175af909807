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
constexpr uint64_t kPulseBlocks = 256;
// Words read of one ring before another gets its turn.
constexpr unsigned kPiece = 32;

}  // namespace

Drain::Drain(Processes &processes, Rings &rings, Decoder &decoder, const Clock &clock,
             std::function<void()> pulse)
    : processes_(processes),
      rings_(rings),
      decoder_(decoder),
      clock_(clock),
      pulse_(std::move(pulse)) {}

void Drain::look_twice(Round *round) {
  for (Cursor *cursor : rings_.open()) {
    // Events left over from the last round are older than its look.
    if (!cursor->has_events()) cursor->unread_since = cursor->looked_from;
    rings_.look(*cursor);
    cursor->sure = cursor->limit;
  }
  // Rings claimed meanwhile: what they hold is behind the first look.
  rings_.discover();
  if (rings_.open().size() > 1) {
    for (Cursor *cursor : rings_.open()) rings_.look(*cursor);
  }
  for (Cursor *cursor : rings_.open()) {
    double fill = static_cast<double>(cursor->limit.block - cursor->at.block) / HT_RING_BLOCKS;
    round->fullest = std::max(round->fullest, fill);
  }
}

Drain::Round Drain::round() {
  Round round;
  uint64_t before = blocks_;
  rings_.discover();
  look_twice(&round);
  active_.clear();
  for (Cursor *cursor : rings_.open()) {
    if (!cursor->has_events()) continue;
    if (cursor->process->ended()) {
      discard(*cursor);
      continue;
    }
    cursor->process->active_rings++;
    active_.push_back(cursor);
  }
  std::vector<Process *> silent;
  for (Process *process : processes_.living()) {
    if (process->dying && process->active_rings == 0) silent.push_back(process);
  }
  for (Process *process : silent) end(*process);
  for (Cursor *cursor : active_) push(*cursor);
  while (!heap_.empty() || !stuck_.empty()) {
    Cursor *stuck = most_urgent_stuck();
    if (stuck != nullptr) {
      std::erase(stuck_, stuck);
      stuck->stuck = false;
      forced_++;
      run(*stuck, true);
      continue;
    }
    if (heap_.empty()) break;
    std::pop_heap(heap_.begin(), heap_.end());
    Cursor *cursor = heap_.back().cursor;
    heap_.pop_back();
    run(*cursor, false);
  }
  // Those that wait for what only the next round can see.
  for (Cursor *cursor : stuck_) {
    cursor->stuck = false;
    cursor->process->active_rings = 0;
  }
  stuck_.clear();
  for (Buffer &buffer : buffers_) buffer.cursor = nullptr;
  decoder_.forget_ahead();
  for (Cursor *cursor : rings_.open()) rings_.publish(*cursor);
  for (Process *process : processes_.living()) process->book->settle();
  round.blocks = blocks_ - before;
  return round;
}

// -------------------------------------------------------------------------------------- order

void Drain::advance_block(Cursor &cursor) {
  while (cursor.at.word >= HT_BLOCK_WORDS && cursor.at.block < cursor.limit.block) {
    cursor.at = {cursor.at.block + 1, 1};
  }
}

// No event at or behind the cursor has happened before this.
uint64_t Drain::earliest_of(const Cursor &cursor) const {
  uint64_t begun = __atomic_load_n(rings_.words(cursor, cursor.at.block), __ATOMIC_RELAXED);
  uint64_t earliest = cursor.at.word > 1 ? std::max(begun, cursor.unread_since) : begun;
  return std::min(earliest, cursor.looked_until);
}

// When the next event happened, about: the block's words have been written from its begin to the
// next one's, or to our look.
uint64_t Drain::key_of(const Cursor &cursor) const {
  uint64_t begun = __atomic_load_n(rings_.words(cursor, cursor.at.block), __ATOMIC_RELAXED);
  begun = std::min(begun, cursor.looked_until);
  if (cursor.at.word == 1) return begun;
  uint64_t until = bound_of(cursor) - kTscSlack;
  unsigned words = cursor.block_end();
  uint64_t passed = until > begun ? (until - begun) / words * cursor.at.word : 0;
  return std::min(std::max(begun + passed, cursor.unread_since), cursor.looked_until);
}

// What is in the chunk at the cursor has happened before this.
uint64_t Drain::bound_of(const Cursor &cursor) const {
  if (cursor.at.block >= cursor.limit.block) return cursor.looked_until + kTscSlack;
  uint64_t next = __atomic_load_n(rings_.words(cursor, cursor.at.block + 1), __ATOMIC_RELAXED);
  return std::min(next, cursor.looked_until) + kTscSlack;
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
  if (process.active_rings == 0 && process.dying && !process.ended()) end(process);
}

void Drain::end(Process &process) {
  processes_.end(process);
  rings_.release(process, process.end);
}

// Who is to go on without what it waits for: an allocation sooner than a free, because what follows
// can still put it right.
Cursor *Drain::most_urgent_stuck() const {
  if (stuck_.empty()) return nullptr;
  uint64_t earliest = UINT64_MAX;  // that may yet bring what is waited for
  for (const Entry &entry : heap_) earliest = std::min(earliest, earliest_of(*entry.cursor));
  Cursor *least = nullptr;
  for (Cursor *cursor : stuck_) {
    if (!cursor->chunk_is_sure()) continue;
    if (earliest <= cursor->bound) continue;
    if (least == nullptr || std::pair(cursor->stuck_rank, cursor->bound) <
                                std::pair(least->stuck_rank, least->bound)) {
      least = cursor;
    }
  }
  return least;
}

// Something has happened: who waits may find what they wait for. Definitions may come from the process
// that theirs was forked from, so all are asked.
void Drain::retry_stuck() {
  for (Cursor *cursor : stuck_) {
    cursor->stuck = false;
    heap_.push_back({key_of(*cursor), cursor});
    std::push_heap(heap_.begin(), heap_.end());
  }
  stuck_.clear();
}

// ------------------------------------------------------------------------------------ reading

// Where to stop reading the chunk at the cursor: a ring that is alone is read by whole blocks.
unsigned Drain::piece_end(const Cursor &cursor) const {
  unsigned end = cursor.chunk_end();
  if (cursor.process->active_rings <= 1 || end - cursor.at.word <= kPiece) return end;
  const uint64_t *words = rings_.words(cursor, cursor.at.block);
  unsigned word = cursor.at.word;
  for (unsigned until = word + kPiece; word < until;) {
    unsigned length = Decoder::length(words[word]);
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
  std::memcpy(buffer->data, words + cursor.at.word, buffer->words * sizeof *words);
  std::memset(buffer->data + buffer->words, 0, Decoder::kPadding * sizeof *words);
  // The producer's core has the next block: it takes a while to come.
  if (cursor.at.block < cursor.limit.block) {
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
  Force force;
  if (process.active_rings == 1 && cursor.chunk_is_sure()) force.rest = Misfit::kCount;
  force.first = force_first;
  force.first_as = stuck_.empty() && cursor.stuck_rank != 0 ? Misfit::kCount : Misfit::kKeep;
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
    if (cursor.at.block - cursor.published >= kPublishBlocks) rings_.publish(cursor);
    push(cursor);
  } else {
    next->cursor = nullptr;
    cursor.stuck = true;
    cursor.bound = bound_of(cursor);
    unsigned op = HT_OP(*stopped);
    cursor.stuck_rank = op == HT_OP_REALLOC_BEGIN ? 2 : op == HT_OP_FREE || op == HT_OP_UNMAP;
  }
  if (moved && !stuck_.empty()) retry_stuck();
  if (stopped != end) stuck_.push_back(&cursor);
}

// Events of a process that has been given up: nobody to count them for, but its threads must not wait.
void Drain::discard(Cursor &cursor) {
  cursor.at = cursor.sure = cursor.limit;
}

}  // namespace heaptide
