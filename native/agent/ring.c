// The rings: a thread's context, its blocks, and what happens every 128 words.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "agent.h"
#include "session.h"
#include "stacks.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

// What a thread has before its first recorded event. Shared by all such threads: nothing in it but
// `left` and `frees` is ever used.
static ht_ctx boot;
__thread ht_ctx *ht_tls __attribute__((tls_model("initial-exec"))) = &boot;

#define OFF_BUDGET INT64_MAX
#define PAUSED_BUDGET (256 << 10) // bytes allocated between two looks at the session's state
#define COLLECTOR_STALE_NS 10000000000ull

// Where words go that nobody will read: an event reserved just when recording ended, or nested in a
// slow path. Several threads may write it at once; the longest event is a block.
static uint64_t scratch[4 * HT_BLOCK_WORDS];

// A context's pages. `nested` takes the events of signal handlers that interrupt the thread while it
// writes one, opens a block or waits for one; they go into the ring right after.
#define SIDE_WORDS 4000u
typedef struct context_page {
  ht_ctx main;
  ht_ctx nested;
  uint64_t *limit; // main's, while that is NULL
  uint64_t side[SIDE_WORDS];
} context_page;
// Its hot line ends a page of its own.
#define PAGE ((size_t)4096)
#define CONTEXT_BYTES (PAGE + ((sizeof(context_page) - HT_HOT_BYTES + PAGE - 1) & ~(PAGE - 1)))

static void empty_side(context_page *page) {
  page->nested.busy = HT_BUSY_SLOW | HT_BUSY_CAPTURE; // no stacks; full is full
  page->nested.config = page->main.config;
  page->nested.w = page->side;
  page->nested.limit = page->side + SIDE_WORDS;
}

// Contexts by ring index, so that the context of a dead thread serves the next one on that ring.
static ht_ctx *contexts[HT_MAX_RINGS];
static ht_ctx *_Atomic all_contexts;  // those of rings before the last change too
static _Atomic uint32_t contexts_pid; // whose they are; 0: nobody's yet
// Who has claimed a ring. It may still write to it after the collector has given the ring back: it has
// not seen yet that the recording has paused, or stands still in the middle of an event.
static ht_ctx *_Atomic claimers[HT_MAX_RINGS];
static _Atomic uint32_t recalls;
static _Atomic uint32_t getting_ready; // threads in ht_ready

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

// ------------------------------------------------------------------------------------ waiting

static void wake_collector(void) {
  uint32_t *sleeping = &ht.session->sleeping;
  if (__atomic_load_n(sleeping, __ATOMIC_RELAXED) == 0) return;
  __atomic_store_n(sleeping, 0, __ATOMIC_RELAXED);
  ht_syscall(SYS_futex, (long)sleeping, FUTEX_WAKE, 1, 0, 0, 0);
}

bool ht_collector_gone(void) {
  // A killed collector is a zombie until its parent reaps it: kill(pid, 0) alone would not tell.
  char path[32] = "/proc/", *end = path + 6;
  char digits[12];
  int n = 0;
  for (uint32_t pid = ht.session->collector_pid; pid != 0; pid /= 10)
    digits[n++] = (char)('0' + pid % 10);
  while (n > 0) *end++ = digits[--n];
  for (const char *rest = "/stat"; *rest != 0;) *end++ = *rest++;
  *end = 0;
  int fd = ht_os_open(path, 0);
  if (fd < 0) return fd == -2; // ENOENT; anything else says nothing
  char stat[256];
  long got = ht_os_read(fd, stat, sizeof stat);
  ht_os_close(fd);
  for (long i = got - 1; i > 0; i--) { // "pid (name) S": the last parenthesis ends the name
    if (stat[i] == ')') return i + 2 < got && (stat[i + 2] == 'Z' || stat[i + 2] == 'X');
  }
  return false;
}

// Waits until the ring has room for block `block`. False: give up recording.
static bool wait_for_room(ht_ctx *ctx, ht_ring_header *ring, uint64_t block) {
  for (int spin = 0; spin < 300; spin++) {
    ctx->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (block - ctx->tail_seen < HT_RING_BLOCKS) return true;
    __builtin_ia32_pause();
  }
  uint64_t start = ht_os_now_ns(), heartbeat = ht.session->heartbeat, beat_at = start,
           checked = start;
  bool room = false;
  // Not for the child that a signal handler has forked: what it waits for is its parent's.
  while (*(ht_ring_header *volatile *)&ctx->ring != NULL) {
    wake_collector();
    ht_os_sleep_ns(40000);
    ctx->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (block - ctx->tail_seen < HT_RING_BLOCKS) {
      room = true;
      break;
    }
    uint64_t now = ht_os_now_ns();
    uint64_t beat = __atomic_load_n(&ht.session->heartbeat, __ATOMIC_RELAXED);
    if (beat != heartbeat) heartbeat = beat, beat_at = now;
    if (__atomic_load_n(&ht.session->state, __ATOMIC_RELAXED) == HT_STATE_STOPPED) break;
    if (now - checked > 20000000) { // 20 ms
      checked = now;
      if (ht_collector_gone() || now - beat_at > COLLECTOR_STALE_NS) {
        ht_turn_off(HT_OFF_COLLECTOR_DEAD);
        break;
      }
    }
    if (atomic_load_explicit(&ht.off, memory_order_relaxed)) break;
    // Of a part of the recording that has ended nothing more may be read.
    if (ctx->recalls != atomic_load_explicit(&recalls, memory_order_relaxed)) break;
  }
  __atomic_fetch_add(&ht.process->wait_ns, ht_os_now_ns() - start, __ATOMIC_RELAXED);
  return room;
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
  char *pages = ht_os_map(CONTEXT_BYTES);
  if (pages == NULL) return NULL;
  ht_syscall(SYS_madvise, (long)pages, (long)PAGE, MADV_WIPEONFORK, 0, 0, 0);
  ht_ctx *ctx = (ht_ctx *)(pages + PAGE - HT_HOT_BYTES);
  ht_ctx *first = atomic_load(&all_contexts);
  do ctx->next = first;
  while (!atomic_compare_exchange_weak(&all_contexts, &first, ctx));
  return ctx;
}

// The context for a thread on the ring that it has claimed. One that it has from before the rings changed
// stays its own.
static bool is_gone(const ht_ctx *ctx) {
  uint32_t tid = atomic_load(&ctx->owner);
  return tid != 0 && ht_syscall(SYS_tgkill, (long)contexts_pid, tid, 0, 0, 0, 0) == -3 /* ESRCH */;
}

static ht_ctx *new_context(uint32_t ring_index, uint32_t pid) {
  // In a forked child, whose one thread this is: the parent's contexts are wiped, their threads not here.
  uint32_t owner = atomic_load_explicit(&contexts_pid, memory_order_relaxed);
  if (owner != pid) {
    if (owner != 0) {
      forget_contexts();
      forget_claimers();
      atomic_store(&getting_ready, 1); // this thread
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

void ht_rings_changed(bool other_memory) {
  if (other_memory) forget_claimers();
  if (atomic_load(&contexts_pid) != (uint32_t)ht_os_pid()) return; // no thread has had one
  for (ht_ctx *ctx = atomic_load(&all_contexts); ctx != NULL; ctx = ctx->next) {
    if (is_gone(ctx)) atomic_store(&ctx->owner, 0);
  }
  forget_contexts();
}

// ------------------------------------------------------------------------------------- recalls

// A context that records everything has no room left, so that its next event comes to next_block. Others
// are to be set up anew, which those that sample do not bear in the middle of an event: it is lost.
#define NO_ROOM ((uint64_t *)8)
static void recall(ht_ctx *ctx) {
  context_page *page = (context_page *)ctx;
  uint8_t frees = __atomic_load_n(&ctx->frees, __ATOMIC_RELAXED);
  if (frees == HT_FREES_ALL || frees == HT_FREES_ONLY) {
    if (__atomic_load_n(&ctx->limit, __ATOMIC_RELAXED) == NULL) {
      __atomic_store_n(&page->limit, NO_ROOM, __ATOMIC_RELAXED);
    } else {
      __atomic_store_n(&ctx->limit, NO_ROOM, __ATOMIC_RELAXED);
    }
    return;
  }
  __atomic_store_n(&ctx->left, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&ctx->frees, (uint8_t)HT_FREES_UNKNOWN, __ATOMIC_RELAXED);
}

// What a thread has been doing with its context meanwhile may undo that. So whoever writes to these members
// in a slow path looks afterwards whether there has been a recall that it did not know of when it decided
// what to write, and then recalls itself.
static void heed(ht_ctx *ctx, uint32_t known) {
  atomic_thread_fence(memory_order_seq_cst);
  if (HT_UNLIKELY(atomic_load_explicit(&recalls, memory_order_relaxed) != known)) recall(ctx);
}

// The hooks charge in one instruction. When all processors have been through a barrier none is in the
// middle of one that has read what was there before the recall.
static bool has_barrier;

static bool unsettled(ht_ctx *ctx) {
  if (__atomic_load_n(&ctx->frees, __ATOMIC_RELAXED) != HT_FREES_UNKNOWN ||
      __atomic_load_n(&ctx->left, __ATOMIC_RELAXED) <= PAUSED_BUDGET)
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
    again = unsettled(&boot);
    for (ht_ctx *ctx = atomic_load(&all_contexts); ctx != NULL; ctx = ctx->next) {
      again |= unsettled(ctx);
    }
  }
}

void ht_recall_threads(void) {
  atomic_fetch_add(&recalls, 1);
  recall(&boot);
  if (atomic_load(&contexts_pid) != (uint32_t)ht_os_pid()) return;
  for (ht_ctx *ctx = atomic_load(&all_contexts); ctx != NULL; ctx = ctx->next) recall(ctx);
  settle_charges();
}

// The barrier of the recall at the end of the last recording lies between NO_ROOM and this: who is not seen
// to be busy here saw that before it looked for room.
bool ht_rings_are_left(void) {
  if (atomic_load(&getting_ready) != 0) return false;
  if (atomic_load(&contexts_pid) != (uint32_t)ht_os_pid()) return true;
  for (ht_ctx *ctx = atomic_load(&all_contexts); ctx != NULL; ctx = ctx->next) {
    uint8_t busy = __atomic_load_n(&ctx->busy, __ATOMIC_RELAXED);
    if (busy & (HT_BUSY_WRITE | HT_BUSY_SLOW | HT_BUSY_CAPTURE)) return false;
    // Without membarrier there is no knowing.
    if (!has_barrier) return false;
  }
  return true;
}

static ht_ring_header *ring_header(uint32_t index) {
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

static uint32_t claim_ring(void) {
  uint32_t used = __atomic_load_n(&ht.session->rings_used, __ATOMIC_RELAXED);
  if (used > HT_MAX_RINGS) used = HT_MAX_RINGS;
  for (uint32_t i = 0; i < used; i++) {
    if (ring_header(i)->state == HT_RING_FREE && !is_in_use(i) && claim(ring_header(i))) return i;
  }
  while (used < HT_MAX_RINGS) {
    used = __atomic_fetch_add(&ht.session->rings_used, 1, __ATOMIC_RELAXED);
    if (used < HT_MAX_RINGS && claim(ring_header(used))) return used;
  }
  __atomic_fetch_add(&ht.session->rings_refused, 1, __ATOMIC_RELAXED);
  return UINT32_MAX;
}

// Gives the calling thread a ring and a context. NULL: none to be had. `known`: as of heed.
static ht_ctx *start_thread(uint32_t known) {
  uint32_t generation = atomic_load(&ht.generation);
  uint32_t index = claim_ring();
  if (index == UINT32_MAX) return NULL;
  ht_ring_header *ring = ring_header(index);
  uint64_t *blocks = ht_session_ring(index);
  ht_ctx *ctx = blocks == NULL ? NULL : new_context(index, ht.process->pid);
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
  }
  ctx->generation = generation;
  ctx->recalls = known;
  ctx->config = ht.config;
  ctx->ring = ring;
  ctx->ring_index = index;
  atomic_store(&claimers[index], ctx);
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
  empty_side((context_page *)ctx);
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
  if (ctx->left <= 0) ctx->left = PAUSED_BUDGET;
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
  if (ctx->ring == NULL || ctx == &boot || !ht_is_current(ctx)) {
    ht_ctx *started = start_thread(known);
    if (started == NULL) {
      __atomic_fetch_add(&ht.process->lost_events, 1, __ATOMIC_RELAXED);
      ht_ctx *own = ht_session_quiet_context();
      if (own != NULL) ctx = ht_tls = own;
      return ctx == &boot ? ctx : go_quiet(ctx, OFF_BUDGET);
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
  if (ctx == &boot && is_paused()) return wait_for_begin(ctx);
  atomic_fetch_add(&getting_ready, 1);
  uint32_t known = atomic_load(&recalls);
  ctx = get_ready(ctx, known);
  if (ctx != &boot) ctx->recalls = known;
  heed(ctx, known);
  atomic_fetch_sub(&getting_ready, 1);
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
  context_page *page = (context_page *)ctx;
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
  ctx->recalls = atomic_load(&recalls);
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
    if (block - ctx->tail_seen >= HT_RING_BLOCKS / 4) wake_collector();
    if (block - ctx->tail_seen >= HT_RING_BLOCKS) on = wait_for_room(ctx, ring, block);
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
  const context_page *page = (const context_page *)ctx;
  return __atomic_load_n(&page->nested.w, __ATOMIC_RELAXED) != page->side;
}

// Puts what waits aside into the ring. Handlers may interrupt this too; each has written all its events
// by the time it returns.
static void take_aside(ht_ctx *ctx) {
  context_page *page = (context_page *)ctx;
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
  heed(ctx, ctx->recalls);
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

// ---------------------------------------------------------------------------------- abandoned

#ifdef __x86_64__
#define MOST_SCANNED ((uintptr_t)64 << 20) // bytes of a stack

// Whether a signal handler is running, as far as can be seen: the registers that it has interrupted lie on
// its stack, with a pointer to those of floating point, which follow them.
static HT_RAW HT_NOINLINE bool in_handler(void) {
  enum { SP, PC, FLAGS, SEGMENTS, FLOATS = 8 }; // as they follow each other in a ucontext
  const uintptr_t *at = __builtin_frame_address(0);
  ht_mapping stack;
  if (!ht_mapping_find((uintptr_t)at, &stack) || stack.high - (uintptr_t)at > MOST_SCANNED) {
    return true; // not to be told
  }
  for (const uintptr_t *end = (const uintptr_t *)stack.high - FLOATS; at < end; at++) {
    if ((at[SEGMENTS] & 0xffff) == 0x33 && (at[FLAGS] & 0x202) == 0x202 && at[FLAGS] >> 22 == 0 &&
        at[PC] != 0 && at[SP] != 0 && at[FLOATS] % 64 == 0 && at[FLOATS] - (uintptr_t)at < 1024) {
      return true;
    }
  }
  return false;
}
#else
static bool in_handler(void) { return true; }
#endif

// What has been interrupted is still to go on as long as a handler runs, perhaps another one. So this
// finds out late, but not wrongly.
HT_COLD bool ht_abandoned(ht_ctx *ctx) {
  if (ctx->ring == NULL || (ctx->busy & HT_BUSY_CALLS) || in_handler()) return false;
  context_page *page = (context_page *)ctx;
  if (ctx->limit == NULL) ctx->limit = page->limit;
  if (ctx->busy & (HT_BUSY_WRITE | HT_BUSY_SLOW)) ctx->w = ctx->limit; // behind the hole
  // What was being brought up to date may be anything.
  ctx->py.head = 0;
  ctx->native.first = ctx->native.capacity;
  page->nested.busy &= (uint8_t)~HT_BUSY_WRITE;
  ctx->busy = 0;
  ht_take_aside(ctx);
  return true;
}
