// One round after the other: reads what all rings hold, in the order in which it happened.
//
// Blocks are merged by the time at which they were begun (or, for the rest of a block that has been
// read in part, the time of that reading), and within overlapping blocks as if their events had come
// at an even pace. Where that is not how it was, the addresses decide:
// a free of what does not live yet, or an allocation of what still does, waits until another ring has
// brought what must come first.
//
// Nothing waits for long. Agents record a free before it is done and an allocation (or a definition)
// after, so what must come before an event has been published before it. Each round looks at all
// rings, and then looks again: whatever comes before an event found by the first look has been found
// by the second. A round counts what the first look has found, and of the second only what that waits
// for; if that has to wait in turn, it is left to the next round. What an event of the first look waits
// for and is in none of the rings does not exist, or has been counted for another: then it is counted as
// it stands (see misfit_of).
//
// Images of one process follow one another strictly: what an exec leads to waits until what came before
// has been read to its end.
#ifndef HEAPTIDE_COLLECTOR_DRAIN_H
#define HEAPTIDE_COLLECTOR_DRAIN_H

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "collector/clock.h"
#include "collector/decoder.h"
#include "collector/rings.h"

namespace heaptide {

// Counters of different processors agree to less than this, and a block's is not read at the very
// moment of its first event.
inline constexpr uint64_t kTscSlack = 10'000;

// A word of a ring. It may be changing under us if its producer has scribbled over its ring; whatever
// is read then is checked like anything else.
inline uint64_t peek(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

class Drain {
 public:
  // `pulse`: called every few hundred microseconds of a long round.
  Drain(Processes &processes, Rings &rings, Decoder &decoder, const Clock &clock,
        std::function<void()> pulse);

  struct Round {
    uint64_t blocks = 0; // blocks read, whole or in part
    double fullest = 0;  // of a ring, 0 to 1
  };
  Round round();

  uint64_t forced() const { return forced_; } // events counted though they came too early

 private:
  struct Entry {
    uint64_t key, earliest; // TSC
    Cursor *cursor;
    bool operator<(const Entry &other) const { return key > other.key; } // a heap's top is least
  };
  void look_twice(Round *round);
  bool go_on_with_stuck();
  bool reach_for_stuck();
  bool reach(Cursor &cursor, std::span<Cursor *const> stuck);
  void hold_back();
  Misfit misfit_of(const Cursor &cursor);
  enum class Traces { kNone, kUnknown, kAllocation, kFree };
  Traces search(const Cursor &cursor, uint64_t address, uint64_t since, uint64_t bound);
  void end(Process &process);
  void push(Cursor &cursor);
  void advance_block(Cursor &cursor);
  uint64_t until_of(const Cursor &cursor) const;
  uint64_t key_of(const Cursor &cursor) const;
  uint64_t earliest_of(const Cursor &cursor) const;
  uint64_t bound_of(const Cursor &cursor) const;
  unsigned piece_end(const Cursor &cursor, const uint64_t *words) const;
  Decoder::Events load(Cursor &cursor);
  Decoder::Ahead ahead_of(Cursor &cursor, const Decoder::Events &events);
  void run(Cursor &cursor, bool force_first);
  void finished(Cursor &cursor);
  void retry_stuck();
  void retry_stuck_after(const uint64_t *at, const uint64_t *end);
  void discard(Cursor &cursor);

  Processes &processes_;
  Rings &rings_;
  Decoder &decoder_;
  const Clock &clock_;
  std::function<void()> pulse_;
  std::vector<Entry> heap_;
  std::vector<Cursor *> stuck_;
  std::vector<Cursor *> seekers_; // scratch
  std::vector<Cursor *> active_;
  std::vector<Cursor *> waiting_; // for the end of the process's former image
  uint64_t round_begun_ = 0;      // TSC
  unsigned searched_ = 0;         // words, in this round
  uint64_t forced_ = 0;
  uint64_t blocks_ = 0;
};

} // namespace heaptide

#endif
