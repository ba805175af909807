// What the files around the rings share: contexts.c has whose they are, waiting.c what is waited for,
// recall.c how threads are made to look, ring.c the blocks.
#ifndef HEAPTIDE_RING_H
#define HEAPTIDE_RING_H

#include "agent.h"

// A context's pages. `nested` takes the events of signal handlers that interrupt the thread while it
// writes one, opens a block or waits for one; they go into the ring right after.
#define HT_SIDE_WORDS 4000u
typedef struct ht_context_page {
  ht_ctx main;
  ht_ctx nested;
  uint64_t *limit; // main's, while that is NULL
  uint64_t side[HT_SIDE_WORDS];
} ht_context_page;
// Its hot line ends a page of its own.
#define HT_PAGE ((size_t)4096)
#define HT_CONTEXT_BYTES \
  (HT_PAGE + ((sizeof(ht_context_page) - HT_HOT_BYTES + HT_PAGE - 1) & ~(HT_PAGE - 1)))

#define HT_PAUSED_BUDGET (256 << 10) // bytes allocated between two looks at the session's state

// ----------------------------------------------------------------------------------- contexts.c

// What a thread has before its first recorded event. Shared by all such threads: nothing in it but
// `left` and `frees` is ever used.
extern ht_ctx ht_boot;

// A ring for the calling thread; UINT32_MAX: there is none.
uint32_t ht_ring_claim(void);
ht_ring_header *ht_ring(uint32_t index);
// From here on `ctx` may write to it.
void ht_ring_claimed(uint32_t index, ht_ctx *ctx);

// The context for a thread on the ring that it has claimed. One that it has from before the rings changed
// stays its own. NULL: no memory.
ht_ctx *ht_context_new(uint32_t ring_index, uint32_t pid);

// The first context of all, the others by its `next`. Not those of a parent's threads, if there are any.
ht_ctx *ht_contexts(void);
bool ht_contexts_are_own(void);

// ------------------------------------------------------------------------------------- recall.c

extern _Atomic uint32_t ht_recalls;       // how many there have been
extern _Atomic uint32_t ht_getting_ready; // threads in ht_ready

// What a thread has been doing with its context meanwhile may undo a recall. So whoever writes to members
// that it sets in a slow path looks afterwards whether there has been one that it did not know of when it
// decided what to write (`known`), and then recalls itself.
void ht_heed(ht_ctx *ctx, uint32_t known);

// ------------------------------------------------------------------------------------ waiting.c

void ht_wake_collector(void);
// Waits until the ring has room for block `block`. False: give up recording.
bool ht_wait_for_room(ht_ctx *ctx, ht_ring_header *ring, uint64_t block);

#endif
