#include "collector/drain.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace heaptide {
namespace {

// A producer that waits for room gets it while the round goes on.
constexpr uint64_t kPublishBlocks = HT_RING_BLOCKS / 4;
// Read, but left to be searched, if there is more than one thread: what another has freed tells what a free
// may belong to.
constexpr uint64_t kKeptBlocks = 16;
constexpr uint64_t kPulseBlocks = 256;
// Words read of one ring before another gets its turn.
constexpr unsigned kPiece = 32;

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
  decoder_.forget_ahead();
  for (Cursor *cursor : rings_.open()) rings_.publish(*cursor, kKeptBlocks);
  for (Process *process : processes_.living()) process->book->settle();
  round.blocks = blocks_ - before;
  return round;
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
  heap_.push_back({key_of(cursor), earliest_of(cursor), &cursor});
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

// ------------------------------------------------------------------------------------ reading

// Where the piece ends that is read at once: a ring that is alone is read by whole blocks.
unsigned Drain::piece_end(const Cursor &cursor, const uint64_t *words) const {
  unsigned end = cursor.block_end(), word = cursor.at.word;
  if (cursor.process->active_rings <= 1 || end - word <= kPiece) return end;
  unsigned until = word + kPiece;
  if (!cursor.process->book->is_large()) return until; // or with the event that it is in
  while (word < until) {
    unsigned length = Decoder::length(words[word]);
    if (length == 0 || length > end - word) return end;
    word += length;
  }
  return word;
}

// The events of the piece at the cursor.
Decoder::Events Drain::load(Cursor &cursor) {
  BlockCopy &copy = cursor.copies[cursor.at.block % 2];
  unsigned end = cursor.block_end();
  if (copy.block != cursor.at.block) {
    copy.block = cursor.at.block;
    copy.filled = cursor.at.word;
    // The producer's core has the next block: it takes a while to come.
    if (cursor.at.block < cursor.sure.block) {
      const uint64_t *next = rings_.words(cursor, cursor.at.block + 1);
      for (unsigned i = 0; i < HT_BLOCK_WORDS; i += 8) __builtin_prefetch(next + i);
    }
  }
  if (copy.filled < end) {
    const uint64_t *ring = rings_.words(cursor, cursor.at.block);
    for (unsigned i = copy.filled; i < end; i++) copy.words[i] = peek(ring + i);
    copy.filled = end;
    std::memset(copy.words + end, 0, Decoder::kPadding * sizeof *copy.words);
  }
  const uint64_t *words = copy.words;
  return {words + cursor.at.word, words + piece_end(cursor, words), words + end};
}

// The piece that comes next: this ring's, unless another ring has an older one.
Decoder::Ahead Drain::ahead_of(Cursor &cursor, const Decoder::Events &events) {
  Cursor *next = heap_.empty() ? nullptr : heap_.front().cursor;
  Decoder::Ahead ahead;
  RingPlace start = cursor.at;
  cursor.at.word += static_cast<unsigned>(events.until - events.at);
  advance_block(cursor);
  if (cursor.has_events() && (next == nullptr || key_of(cursor) <= heap_.front().key)) {
    ahead = {&cursor.stream, load(cursor)};
  } else if (next != nullptr && next->process == cursor.process) {
    ahead = {&next->stream, load(*next)};
  }
  cursor.at = start;
  return ahead;
}

void Drain::run(Cursor &cursor, bool force_first) {
  Process &process = *cursor.process;
  Decoder::Events events = load(cursor);
  Decoder::Ahead ahead;
  if (process.book->is_large()) ahead = ahead_of(cursor, events);
  uint64_t key = key_of(cursor);

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
  const uint64_t *stopped = decoder_.decode(cursor.stream, events, force, ahead);
  bool moved = stopped != events.at, done = stopped >= events.until;
  if (moved) cursor.quiet_since = clock_.ns(cursor.looked_until);
  cursor.at.word += static_cast<unsigned>(stopped - events.at);
  if (done) {
    if (cursor.at.word >= HT_BLOCK_WORDS || !cursor.has_events()) {
      blocks_++;
      if (blocks_ % kPulseBlocks == 0) pulse_();
    }
    if (cursor.at.block - cursor.published >= 2 * kPublishBlocks) {
      rings_.publish(cursor, kPublishBlocks);
    }
    push(cursor);
  } else {
    cursor.bound = bound_of(cursor);
    cursor.awaits = *stopped;
    // It may have been sought for this event already, and in vain.
    if (moved) cursor.has_sought = false;
    unsigned op = HT_OP(*stopped);
    cursor.stuck_rank = op == HT_OP_REALLOC_BEGIN ? 2 : op == HT_OP_FREE || op == HT_OP_UNMAP;
  }
  if (moved && !stuck_.empty()) {
    // One that is alone now need not wait any more.
    if (!cursor.has_events() && process.active_rings <= 1) {
      retry_stuck();
    } else {
      retry_stuck_after(events.at, stopped);
    }
  }
  if (!done) stuck_.push_back(&cursor);
}

// Events of a process that has been given up: nobody to count them for, but its threads must not wait.
void Drain::discard(Cursor &cursor) { cursor.at = cursor.sure = cursor.limit; }

} // namespace heaptide
