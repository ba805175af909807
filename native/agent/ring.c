// The rings: a thread's context, its blocks, and what happens every 128 words.
#include "ring.h"
#include "session.h"

#define OFF_BUDGET INT64_MAX

// Where words go that nobody will read: an event reserved just when recording ended, or nested in a
// slow path. Several threads may write it at once; the longest event is a block.
static uint64_t scratch[4 * HT_BLOCK_WORDS];

static void empty_side(ht_context_page *page) {
  page->nested.busy = HT_BUSY_SLOW | HT_BUSY_CAPTURE; // no stacks; full is full
  page->nested.config = page->main.config;
  page->nested.w = page->side;
  page->nested.limit = page->side + HT_SIDE_WORDS;
}

static void set_budget(ht_ctx *ctx) {
  if (ht.sample_interval > 1) {
    ctx->frees = HT_FREES_SAMPLED;
    ht_sample_arm(ctx);
  } else {
    ctx->frees = HT_FREES_ALL;
    ctx->left = INT64_MIN / 2;
  }
}

static ht_ctx *go_quiet(ht_ctx *ctx, int64_t budget) {
  ctx->frees = HT_FREES_NONE;
  ctx->left = budget;
  ctx->w = scratch;
  ctx->limit = scratch;
  return ctx;
}

void ht_turn_off(enum ht_off_reason reason) {
  if (atomic_exchange(&ht.off, 1) == 0 && ht.process != NULL) {
    __atomic_store_n(&ht.process->off_reason, (uint32_t)reason, __ATOMIC_RELAXED);
  }
}

void ht_turn_off_now(enum ht_off_reason reason) {
  ht_ctx *ctx = ht_tls;
  ht_turn_off(reason);
  if (ctx->ring != NULL) go_quiet(ctx, OFF_BUDGET);
}

// ------------------------------------------------------------------------------------- blocks

static void open_block(ht_ctx *ctx, uint64_t block) {
  uint64_t *at = ctx->blocks + (block % HT_RING_BLOCKS) * HT_BLOCK_WORDS;
  typedef uint64_t pair __attribute__((vector_size(16), aligned(16)));
  at[1] = 0;
  for (pair *p = (pair *)(at + 2); p < (pair *)(at + HT_BLOCK_WORDS); p += 7) {
    p[0] = p[1] = p[2] = p[3] = p[4] = p[5] = p[6] = (pair){0, 0}; // 63 pairs
  }
  __atomic_store_n(&at[0], ht_tsc(), __ATOMIC_RELEASE);
  ctx->block = block;
  ctx->w = at + 1;
  ctx->limit = at + HT_BLOCK_WORDS;
  // The next block's lines are likely in the collector's cache: ask for them a block ahead.
  uint64_t *next = ctx->blocks + ((block + 1) % HT_RING_BLOCKS) * HT_BLOCK_WORDS;
  for (unsigned i = 0; i < HT_BLOCK_WORDS; i += 8) __asm__ volatile("prefetchw %0" ::"m"(next[i]));
}

// ------------------------------------------------------------------------------------ threads

// Gives the calling thread a ring and a context. NULL: none to be had. `known`: as of ht_heed.
static ht_ctx *start_thread(uint32_t known) {
  uint32_t generation = atomic_load(&ht.generation);
  uint32_t index = ht_ring_claim();
  if (index == UINT32_MAX) return NULL;
  ht_ring_header *ring = ht_ring(index);
  uint64_t *blocks = ht_session_ring(index);
  ht_ctx *ctx = blocks == NULL ? NULL : ht_context_new(index, ht.process->pid);
  if (ctx == NULL) {
    __atomic_store_n(&ring->state, HT_RING_FREE, __ATOMIC_RELEASE);
    return NULL;
  }
  // A context that stays its thread's may be in the middle of a hook, or of a capture.
  bool own = ctx == ht_tls;
  uint8_t busy = own ? ctx->busy : 0;
  ctx->busy = busy | HT_BUSY_SLOW;
  if (!(busy & HT_BUSY_CAPTURE)) {
    // Its buffers (cached frames) stay; what they hold does not: of another thread, or of a time when nobody
    // saw stacks being unmapped.
    ctx->py.head = 0;
    ctx->py.epoch = own ? atomic_load(&ht.code_epoch) - 1 : UINT32_MAX;
    ctx->native.first = ctx->native.capacity;
    ctx->native.stack_low = ctx->native.stack_high = 0;
  }
  if (!own) {
    ctx->inside = 0;
    ctx->arena = 0;
    ctx->arena_sp = 0;
  }
  ctx->generation = generation;
  ctx->recalls = known;
  ctx->config = ht.config;
  ctx->ring = ring;
  ctx->ring_index = index;
  ht_ring_claimed(index, ctx);
  ctx->blocks = blocks;
  ctx->tail_seen = 0;
  ctx->sample_state[0] = (uint32_t)ht_tsc() | 1;
  ctx->sample_state[1] = (uint32_t)ht_os_tid() * 2654435761u | 1;
  open_block(ctx, 0);
  ring->generation++;
  ring->process = ht.process_slot;
  ring->process_generation = ht.process->generation;
  ring->pid = ht.process->pid;
  ring->tid = (uint32_t)ht_os_tid();
  ring->start_tsc = ht_tsc();
  ring->head = 0;
  ring->tail = 0;
  __atomic_store_n(&ring->state, HT_RING_LIVE, __ATOMIC_RELEASE);
  set_budget(ctx);
  empty_side((ht_context_page *)ctx);
  ht_tls = ctx;
  ctx->busy = busy;
  return ctx;
}

static bool is_paused(void) {
  return ht.session != NULL && ht.process != NULL &&
         __atomic_load_n(&ht.session->state, __ATOMIC_RELAXED) == HT_STATE_PAUSED &&
         !atomic_load_explicit(&ht.off, memory_order_relaxed);
}

// The context stays one that is not set up: a thread that only frees has to notice the beginning, too.
static ht_ctx *wait_for_begin(ht_ctx *ctx) {
  if (ctx->left <= 0) ctx->left = HT_PAUSED_BUDGET;
  return ctx;
}

static ht_ctx *get_ready(ht_ctx *ctx, uint32_t known) {
  if (atomic_load_explicit(&ht.paused, memory_order_relaxed)) return go_quiet(ctx, OFF_BUDGET);
  if (!ht_session_start()) {
    // Also while another thread, or this one further up the stack, is starting the session.
    if (atomic_load_explicit(&ht.off, memory_order_relaxed)) return go_quiet(ctx, OFF_BUDGET);
    ctx->left = 0;
    return ctx;
  }
  uint32_t state = __atomic_load_n(&ht.session->state, __ATOMIC_ACQUIRE);
  if (state == HT_STATE_STOPPED) ht_turn_off(HT_OFF_SESSION_STOPPED);
  if (atomic_load_explicit(&ht.off, memory_order_relaxed)) return go_quiet(ctx, OFF_BUDGET);
  if (state != HT_STATE_RECORDING) return wait_for_begin(ctx);
  // A forked child: its wiped context is of no ring, or (never having recorded) still the parent's.
  if (ctx->ring == NULL || ctx == &ht_boot || !ht_is_current(ctx)) {
    ht_ctx *started = start_thread(known);
    if (started == NULL) {
      __atomic_fetch_add(&ht.process->lost_events, 1, __ATOMIC_RELAXED);
      ht_ctx *own = ht_session_quiet_context();
      if (own != NULL) ctx = ht_tls = own;
      return ctx == &ht_boot ? ctx : go_quiet(ctx, OFF_BUDGET);
    }
    ht_session_announce(started);
    return started;
  }
  set_budget(ctx);
  ctx->w = ctx->limit = scratch; // the next event opens the next block
  return ctx;
}

ht_ctx *ht_ready(ht_ctx *ctx) {
  if (ctx->busy & HT_BUSY_SLOW) return ctx;
  if (ctx == &ht_boot && is_paused()) return wait_for_begin(ctx);
  atomic_fetch_add(&ht_getting_ready, 1);
  uint32_t known = atomic_load(&ht_recalls);
  ctx = get_ready(ctx, known);
  if (ctx != &ht_boot) ctx->recalls = known;
  ht_heed(ctx, known);
  atomic_fetch_sub(&ht_getting_ready, 1);
  return ctx;
}

static HT_COLD ht_ctx *lost_event(void) {
  static ht_ctx lost;
  if (ht.process != NULL) __atomic_fetch_add(&ht.process->lost_events, 1, __ATOMIC_RELAXED);
  lost.w = scratch;
  lost.limit = scratch + HT_BLOCK_WORDS;
  return &lost;
}

HT_COLD ht_ctx *ht_aside(ht_ctx *ctx, unsigned words) {
  ht_context_page *page = (ht_context_page *)ctx;
  if (ctx->ring == NULL) return lost_event();
  if (ht_abandoned(ctx)) return ctx;
  if ((page->nested.busy & HT_BUSY_WRITE) || page->nested.w + words > page->nested.limit) {
    return lost_event();
  }
  // In a slow path the limit is not ours to change: it ends with a look at what waits.
  if (!(ctx->busy & HT_BUSY_SLOW) && ctx->limit != NULL) {
    page->limit = ctx->limit;
    ctx->limit = NULL;
  }
  return &page->nested;
}

static void next_block(ht_ctx *ctx) {
  ctx->recalls = atomic_load(&ht_recalls);
  uint64_t block = ctx->block + 1;
  ht_ring_header *ring = ctx->ring; // at any moment this may be the child of a handler's fork
  bool on = ring != NULL &&
            __atomic_load_n(&ht.session->state, __ATOMIC_RELAXED) == HT_STATE_RECORDING &&
            !atomic_load_explicit(&ht.off, memory_order_relaxed) &&
            !atomic_load_explicit(&ht.paused, memory_order_relaxed);
  if (HT_UNLIKELY(on && !ht_is_current(ctx))) {
    if (ctx == ht_tls && start_thread(ctx->recalls) == ctx)
      return; // its event is the first of the new ring
    on = false;
  }
  // Ask for the tail, whose line the collector writes, only now and then; wake it in good time.
  if (on && block - ctx->tail_seen >= HT_RING_BLOCKS / 4) {
    ctx->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (block - ctx->tail_seen >= HT_RING_BLOCKS / 4) ht_wake_collector();
    if (block - ctx->tail_seen >= HT_RING_BLOCKS) on = ht_wait_for_room(ctx, ring, block);
  }
  if (HT_LIKELY(on && *(ht_ring_header *volatile *)&ctx->ring != NULL)) {
    open_block(ctx, block);
    __atomic_store_n(&ring->head, block, __ATOMIC_RELEASE);
    return;
  }
  if (ht.session->state == HT_STATE_STOPPED) ht_turn_off(HT_OFF_SESSION_STOPPED);
  go_quiet(ctx, OFF_BUDGET);
  if (ctx->ring == NULL || !ht_is_current(ctx)) ctx->frees = HT_FREES_UNKNOWN;
  ctx->limit = scratch + 2 * HT_BLOCK_WORDS;
}

static bool has_aside(const ht_ctx *ctx) {
  const ht_context_page *page = (const ht_context_page *)ctx;
  return __atomic_load_n(&page->nested.w, __ATOMIC_RELAXED) != page->side;
}

// Puts what waits aside into the ring. Handlers may interrupt this too; each has written all its events
// by the time it returns.
static void take_aside(ht_ctx *ctx) {
  ht_context_page *page = (ht_context_page *)ctx;
  if (ctx->limit == NULL) ctx->limit = page->limit;
  uint64_t *from = page->side, *until;
  do {
    until = __atomic_load_n(&page->nested.w, __ATOMIC_RELAXED);
    while (from < until) {
      unsigned words = ht_event_words(*from);
      uint64_t *w;
      while ((w = ht_room(ctx, words)) == NULL) next_block(ctx);
      for (unsigned i = 1; i < words; i++) w[i] = from[i];
      ht_publish(w, *from);
      ctx->w = w + words;
      from += words;
    }
  } while (!__atomic_compare_exchange_n(&page->nested.w, &until, page->side, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

ht_ctx *ht_make_room(ht_ctx *ctx, unsigned words) {
  if (HT_UNLIKELY(ctx->busy & HT_BUSY_SLOW)) { // a handler's own context is full
    ctx->busy &= (uint8_t)~HT_BUSY_WRITE;
    return lost_event();
  }
  if (ctx->ring == NULL && ht_recording(ctx)) ctx->frees = HT_FREES_UNKNOWN; // see ht_take_aside
  if (!ht_recording(ctx)) {
    ctx->w = scratch;
    ctx->limit = scratch + words;
    return ctx;
  }
  do {
    ctx->busy |= HT_BUSY_SLOW;
    take_aside(ctx);
    while (ht_room(ctx, words) == NULL) next_block(ctx);
    ht_not_busy(ctx, HT_BUSY_SLOW);
  } while (HT_UNLIKELY(has_aside(ctx)));
  ht_heed(ctx, ctx->recalls);
  return ctx;
}

HT_COLD void ht_take_aside(ht_ctx *ctx) {
  if (ctx->ring == NULL) { // a handler has forked and this is the child: the context has been wiped
    HT_STATE(ctx) = HT_FREES_UNKNOWN;
    return;
  }
  do {
    ctx->busy |= HT_BUSY_WRITE;
    ht_make_room(ctx, 0);
    ht_not_busy(ctx, HT_BUSY_WRITE);
  } while (ctx->limit == NULL);
}
