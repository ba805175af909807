// Recalls: when a recording begins, pauses or ends, every thread is made to look with its next event.
#include <sys/syscall.h>

#include "ring.h"

_Atomic uint32_t ht_recalls;
_Atomic uint32_t ht_getting_ready;

static void set_up_anew(ht_ctx *ctx) {
  __atomic_store_n(&ctx->left, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&ctx->frees, (uint8_t)HT_FREES_UNKNOWN, __ATOMIC_RELAXED);
}

// A context that records everything has no room left, so that its next event comes to next_block. Others
// are to be set up anew, which those that sample do not bear in the middle of an event: it is lost.
#define NO_ROOM ((uint64_t *)8)
static void recall(ht_ctx *ctx) {
  uint8_t frees = __atomic_load_n(&ctx->frees, __ATOMIC_RELAXED);
  if (frees != HT_FREES_ALL && frees != HT_FREES_ONLY) return set_up_anew(ctx);
  uint64_t **limit = &ctx->limit;
  if (__atomic_load_n(limit, __ATOMIC_RELAXED) == NULL) limit = &((ht_context_page *)ctx)->limit;
  __atomic_store_n(limit, NO_ROOM, __ATOMIC_RELAXED);
}

void ht_heed(ht_ctx *ctx, uint32_t known) {
  atomic_thread_fence(memory_order_seq_cst);
  if (HT_UNLIKELY(atomic_load_explicit(&ht_recalls, memory_order_relaxed) != known)) recall(ctx);
}

// The hooks charge in one instruction. When all processors have been through a barrier none is in the
// middle of one that has read what was there before the recall.
static bool has_barrier;

static bool unsettled(ht_ctx *ctx) {
  if (__atomic_load_n(&ctx->frees, __ATOMIC_RELAXED) != HT_FREES_UNKNOWN ||
      __atomic_load_n(&ctx->left, __ATOMIC_RELAXED) <= HT_PAUSED_BUDGET)
    return false;
  __atomic_store_n(&ctx->left, 0, __ATOMIC_RELAXED);
  return true;
}

static void settle_charges(void) {
  enum { EXPEDITED = 1 << 3, REGISTER_EXPEDITED = 1 << 4 };
  has_barrier = ht_syscall(SYS_membarrier, REGISTER_EXPEDITED, 0, 0, 0, 0, 0) == 0;
  if (!has_barrier) return;
  for (int turn = 0, again = 1; again && turn < 10; turn++) {
    if (ht_syscall(SYS_membarrier, EXPEDITED, 0, 0, 0, 0, 0) != 0) return;
    again = unsettled(&ht_boot);
    for (ht_ctx *ctx = ht_contexts(); ctx != NULL; ctx = ctx->next) {
      again |= unsettled(ctx);
    }
  }
}

void ht_recall_threads(void) {
  atomic_fetch_add(&ht_recalls, 1);
  set_up_anew(&ht_boot);
  if (!ht_contexts_are_own()) return;
  for (ht_ctx *ctx = ht_contexts(); ctx != NULL; ctx = ctx->next) recall(ctx);
  settle_charges();
}

// The barrier of the recall at the end of the last recording lies between NO_ROOM and this: who is not seen
// to be busy here saw that before it looked for room.
bool ht_rings_are_left(void) {
  if (atomic_load(&ht_getting_ready) != 0) return false;
  if (!ht_contexts_are_own()) return true;
  for (ht_ctx *ctx = ht_contexts(); ctx != NULL; ctx = ctx->next) {
    uint8_t busy = __atomic_load_n(&ctx->busy, __ATOMIC_RELAXED);
    if (busy & (HT_BUSY_WRITE | HT_BUSY_SLOW | HT_BUSY_CAPTURE)) return false;
    // Without membarrier there is no knowing.
    if (!has_barrier) return false;
  }
  return true;
}
