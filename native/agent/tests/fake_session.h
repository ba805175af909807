// A session for unit tests, without a collector: whoever wants one reads the rings.
#ifndef HEAPTIDE_FAKE_SESSION_H
#define HEAPTIDE_FAKE_SESSION_H

#include "../agent.h"
#include "check.h"

#define RINGS 8u
extern char *memory; // of the session
extern const char *fake_variable;

// From its beginning. `interval`: of sampling; 0: every allocation.
void new_session(uint64_t interval);

// Where a reader of the first ring stands, from {0, 1} on.
typedef struct ring_reader {
  uint64_t block;
  unsigned at;
} ring_reader;

// The first word of the next event, which the reader steps over itself; NULL: there is none yet. Blocks that
// have been read are given back.
const uint64_t *next_event(ring_reader *reader);

// What `work` returns, called in a thread of its own.
void *in_thread(void *(*work)(void *), void *argument);

// The calling thread takes part in the session.
static inline ht_ctx *start(void) {
  ht_ctx *ctx = ht_ready(ht_tls);
  CHECK(ht_recording(ctx));
  CHECK(ctx == ht_tls);
  return ctx;
}

#endif
