// The rings of the session as their reader sees them: how far each has been read, and how far it may
// be.
#ifndef HEAPTIDE_COLLECTOR_RINGS_H
#define HEAPTIDE_COLLECTOR_RINGS_H

#include <cstdint>
#include <memory>
#include <vector>

#include "collector/decoder.h"
#include "collector/processes.h"
#include "collector/session.h"
#include "collector/threads.h"

namespace heaptide {

// A place in a ring: word `word` of block `block`.
struct RingPlace {
  uint64_t block = 0;
  unsigned word = 1;
  auto operator<=>(const RingPlace &) const = default;
};

// A block of a ring as far as it has been read: what is in the ring may be changing under us if its producer
// has scribbled over it.
struct BlockCopy {
  uint64_t block = UINT64_MAX;
  unsigned filled = 0; // words
  uint64_t words[HT_BLOCK_WORDS + Decoder::kPadding];
};

// One ring being read.
struct Cursor {
  uint32_t ring = 0, generation = 0;
  uint32_t pid = 0, tid = 0;
  Process *process = nullptr;
  RecordedThread *thread = nullptr;
  Stream stream;

  RingPlace at;    // the next word to be read
  RingPlace first; // the end of what the round's first look at all rings has found
  RingPlace sure;  // of what the round reads: that, and of the second look's what others wait for
  RingPlace limit; // of what its second look has found
  uint64_t looked_from = 0, looked_until = 0; // TSC around the first look
  uint64_t unread_since = 0;  // TSC: what is unread in the block at `at` has happened after this
  uint64_t pace = UINT64_MAX; // ticks a word, of the block before the one at `at`
  uint64_t published = 0;     // the tail that the producer sees
  uint64_t quiet_since = 0;   // nanoseconds
  uint32_t quiet_rounds = 0;  // whose first look has found nothing unread
  uint64_t next_check = 0;    // nanoseconds: whether its thread still runs

  BlockCopy copies[2]; // by the block's number: of the one at `at`, and of one ahead

  // While it waits for what must come first.
  unsigned stuck_rank = 0; // how much is lost if it goes on anyway
  uint64_t bound = 0;      // TSC: what it waits for has happened before
  uint64_t awaits = 0;     // the event's first word
  bool has_sought = false; // in vain, among what the second look has found

  bool has_events() const { return at < sure; }
  bool has_unsure() const { return sure < limit; }
  // Whether all that came before the event at `at` has been found by the second look.
  bool is_due() const { return at < first; }
  // The end of what may be read now of the block at `at`.
  unsigned block_end() const { return at.block < sure.block ? HT_BLOCK_WORDS : sure.word; }
};

class Rings {
 public:
  Rings(Session &session, Processes &processes, Threads &threads, const Clock &clock);

  // Takes up rings that have been claimed since.
  void discover();

  // Look how far a cursor's ring has been filled: the first look of a round, and the second. Costs a
  // line that its producer writes.
  void look(Cursor &cursor);
  void look_again(Cursor &cursor);

  // Lets the producer have the blocks that have been read, but for the last `kept` if its process has more
  // than one ring.
  void publish(Cursor &cursor, uint64_t kept);

  // Whether some ring has come near the point where its producer wakes us.
  bool filling_up() const;

  // Gives rings back whose threads are gone and that have been read to the end. A ring is looked at
  // again when it has been quiet for twice as long, so a thread that ends soon is found out soon, and
  // one that is idle costs a system call every 50 ms.
  void release_unused(uint64_t now);
  // All rings of a process that has ended.
  void release(Process &process, uint64_t now);

  uint64_t head(const Cursor &cursor) const { return shared_load(session_.ring(cursor.ring).head); }
  const uint64_t *words(const Cursor &cursor, uint64_t block) const {
    return session_.block(cursor.ring, block);
  }

  // The cursors of living rings, in no order.
  const std::vector<Cursor *> &open() const { return open_; }
  uint64_t broken() const { return broken_; } // rings given up: their heads made no sense

 private:
  void add(uint32_t index, const ht_ring_header &ring);
  void release(Cursor &cursor, uint64_t now);

  Session &session_;
  Processes &processes_;
  Threads &threads_;
  const Clock &clock_;
  std::vector<std::unique_ptr<Cursor>> cursors_; // by ring
  std::vector<Cursor *> open_;
  uint64_t broken_ = 0;
};

} // namespace heaptide

#endif
