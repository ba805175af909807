// Whose contexts are whose: threads come and go, rings with them, and processes fork.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "ring.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

ht_ctx ht_boot;
__thread ht_ctx *ht_tls __attribute__((tls_model("initial-exec"))) = &ht_boot;

// Contexts by ring index, so that the context of a dead thread serves the next one on that ring.
static ht_ctx *contexts[HT_MAX_RINGS];
static ht_ctx *_Atomic all_contexts;  // those of rings before the last change too
static _Atomic uint32_t contexts_pid; // whose they are; 0: nobody's yet
// Who has claimed a ring. It may still write to it after the collector has given the ring back: it has
// not seen yet that the recording has paused, or stands still in the middle of an event.
static ht_ctx *_Atomic claimers[HT_MAX_RINGS];

static void forget_contexts(void) {
  for (uint32_t i = 0; i < HT_MAX_RINGS; i++) {
    if (contexts[i] != NULL) contexts[i] = NULL;
  }
}

static void forget_claimers(void) {
  for (uint32_t i = 0; i < HT_MAX_RINGS; i++) {
    if (claimers[i] != NULL) atomic_store(&claimers[i], NULL);
  }
}

static ht_ctx *map_context(void) {
  char *pages = ht_os_map(HT_CONTEXT_BYTES);
  if (pages == NULL) return NULL;
  ht_syscall(SYS_madvise, (long)pages, (long)HT_PAGE, MADV_WIPEONFORK, 0, 0, 0);
  ht_ctx *ctx = (ht_ctx *)(pages + HT_PAGE - HT_HOT_BYTES);
  ht_ctx *first = atomic_load(&all_contexts);
  do ctx->next = first;
  while (!atomic_compare_exchange_weak(&all_contexts, &first, ctx));
  return ctx;
}

static bool is_gone(const ht_ctx *ctx) {
  uint32_t tid = atomic_load(&ctx->owner);
  return tid != 0 && ht_syscall(SYS_tgkill, (long)contexts_pid, tid, 0, 0, 0, 0) == -3 /* ESRCH */;
}

ht_ctx *ht_context_new(uint32_t ring_index, uint32_t pid) {
  // In a forked child, whose one thread this is: the parent's contexts are wiped, their threads not here.
  uint32_t owner = atomic_load_explicit(&contexts_pid, memory_order_relaxed);
  if (owner != pid) {
    if (owner != 0) {
      forget_contexts();
      forget_claimers();
      atomic_store(&ht_getting_ready, 1); // this thread
    }
    atomic_store(&all_contexts, NULL);
    atomic_store_explicit(&contexts_pid, pid, memory_order_relaxed);
  }
  uint32_t tid = (uint32_t)ht_os_tid();
  ht_ctx *ctx = contexts[ring_index], *own = ht_tls;
  if (owner == pid && own->ring != NULL && own->owner == tid) {
    ctx = own;
  } else if (ctx != NULL && atomic_load(&ctx->owner) != 0 && !is_gone(ctx)) {
    ctx = NULL; // of a thread that claimed this ring when the rings changed
  }
  for (ht_ctx *spare = atomic_load(&all_contexts); ctx == NULL && spare != NULL;
       spare = spare->next) {
    uint32_t nobody = 0;
    if (atomic_compare_exchange_strong(&spare->owner, &nobody, tid)) ctx = spare;
  }
  if (ctx == NULL) ctx = map_context();
  if (ctx == NULL) return NULL;
  atomic_store(&ctx->owner, tid);
  contexts[ring_index] = ctx;
  return ctx;
}

ht_ctx *ht_contexts(void) { return atomic_load(&all_contexts); }

bool ht_contexts_are_own(void) { return atomic_load(&contexts_pid) == (uint32_t)ht_os_pid(); }

void ht_rings_changed(bool other_memory) {
  if (other_memory) forget_claimers();
  if (!ht_contexts_are_own()) return; // no thread has had one
  for (ht_ctx *ctx = atomic_load(&all_contexts); ctx != NULL; ctx = ctx->next) {
    if (is_gone(ctx)) atomic_store(&ctx->owner, 0);
  }
  forget_contexts();
}

// ---------------------------------------------------------------------------------------- rings

ht_ring_header *ht_ring(uint32_t index) {
  return (ht_ring_header *)((char *)ht.session + HT_RING_HEADERS_OFFSET +
                            (uint64_t)index * HT_RING_HEADER_BYTES);
}

static bool claim(ht_ring_header *ring) {
  uint32_t expected = HT_RING_FREE;
  return __atomic_compare_exchange_n(&ring->state, &expected, HT_RING_CLAIMED, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static bool is_in_use(uint32_t index) {
  const ht_ctx *ctx = atomic_load(&claimers[index]);
  return ctx != NULL && ctx->ring_index == index && atomic_load(&ctx->owner) != 0 &&
         !ht_is_current(ctx);
}

uint32_t ht_ring_claim(void) {
  uint32_t used = __atomic_load_n(&ht.session->rings_used, __ATOMIC_RELAXED);
  if (used > HT_MAX_RINGS) used = HT_MAX_RINGS;
  for (uint32_t i = 0; i < used; i++) {
    if (ht_ring(i)->state == HT_RING_FREE && !is_in_use(i) && claim(ht_ring(i))) return i;
  }
  while (used < HT_MAX_RINGS) {
    used = __atomic_fetch_add(&ht.session->rings_used, 1, __ATOMIC_RELAXED);
    if (used < HT_MAX_RINGS && claim(ht_ring(used))) return used;
  }
  __atomic_fetch_add(&ht.session->rings_refused, 1, __ATOMIC_RELAXED);
  return UINT32_MAX;
}

void ht_ring_claimed(uint32_t index, ht_ctx *ctx) { atomic_store(&claimers[index], ctx); }
