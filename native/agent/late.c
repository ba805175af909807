// For programs that record themselves: heaptide.record, heaptide.measure and the pytest plugin call these
// through ctypes, with the GIL held, so that there are never two at a time.
//
// A library that comes this late hooks what is there (got.c), and takes part in one session after the
// other. Between pause and resume nothing is recorded and the interpreter's allocators have no hooks. What
// lives meanwhile is forgotten: after it the process is another image of itself.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/syscall.h>

#include "hooks.h"
#include "session.h"
#include "statics.h"

HT_EXPORT int heaptide_state(void);
HT_EXPORT int heaptide_attach(const char *path);
HT_EXPORT int heaptide_detach(void);
HT_EXPORT int heaptide_pause(void);
HT_EXPORT int heaptide_resume(void);
HT_EXPORT void heaptide_clear(void);
HT_EXPORT int heaptide_sync(uint32_t flags);
HT_EXPORT int heaptide_open(void);
HT_EXPORT int heaptide_read(void);
HT_EXPORT int heaptide_finish(void);
HT_EXPORT void heaptide_close(int window);
HT_EXPORT int heaptide_apart(void);
HT_EXPORT void heaptide_back(void);

// Figures of a moment, exact. Python reads them here: what is done to take them must allocate nothing.
typedef struct snapshot {
  ht_figures process, thread; // peak_bytes: since the snapshot before
  uint64_t ns;                // since the recording's start
  uint64_t peak_bytes;        // of the process since its slot was claimed
  uint32_t tid, generation, is_open, reserved;
} snapshot;
_Static_assert(sizeof(snapshot) == 176, "as Python reads it");

// By the numbers that open and read give. Those of open are kept until close, and their peaks go on.
#define MOST 256
HT_EXPORT snapshot heaptide_windows[MOST], heaptide_snapshots[MOST];
HT_EXPORT int heaptide_opened; // the last number that open gave
// HT_SYNC_PEAK_OF_..., or 0: whose peak begins anew with a window that is opened while no other is.
HT_EXPORT uint32_t heaptide_peak_of;

enum { NOT_RECORDED = 0, RECORDED = 1, RECORDS_ITSELF = 2, PAUSED = 3 };
enum { DONE = 0, IS_RECORDED = 1, NO_SESSION = 2, NOT_ATTACHED = 3, NO_ANSWER = 4, TOO_MANY = 5 };

#define PATIENCE_NS 10000000000ull
#define SPINS 2000

static bool attached; // by heaptide_attach, and not detached since

HT_EXPORT int heaptide_state(void) {
  if (ht.session == NULL || ht.process == NULL || atomic_load(&ht.off)) return NOT_RECORDED;
  if (ht.session->state == HT_STATE_STOPPED) return NOT_RECORDED;
  if (!attached) return RECORDED;
  // A child by fork is its parent's where that records children, and does so now.
  if (ht_session_is_parents() && (atomic_load(&ht.paused) || !(ht.config & HT_CONFIG_FOLLOW))) {
    return NOT_RECORDED;
  }
  return atomic_load(&ht.paused) ? PAUSED : RECORDS_ITSELF;
}

// The calling thread's context, recording; what follows is recorded.
static ht_ctx *begin(void) {
  ht_ctx *ctx = ht_tls;
  if (!ht_recording(ctx) || !ht_is_current(ctx)) {
    ctx->frees = HT_FREES_UNKNOWN;
    ctx = ht_ready(ctx);
  }
  return ctx;
}

// Those that are open by now have been left by an exception, or are a parent's.
static void close_windows(void) {
  for (int i = 0; i < MOST; i++) heaptide_windows[i].is_open = 0;
}

HT_EXPORT int heaptide_attach(const char *path) {
  if (heaptide_state() != NOT_RECORDED) return IS_RECORDED;
  attached = false;
  close_windows();
  if (!ht_session_join(path)) return NO_SESSION;
  attached = true;
  ht_got_patch();
  ht_ctx *ctx = begin();
  ht_static_look(ctx);
  ht_python_resume(ctx);
  return DONE;
}

HT_EXPORT int heaptide_pause(void) {
  if (heaptide_state() != RECORDS_ITSELF) return NOT_ATTACHED;
  ht_python_pause();
  atomic_fetch_add(&ht.generation, 1); // what is first seen from here on would not be sent
  atomic_store(&ht.paused, 1);
  ht_recall_threads();
  return DONE;
}

HT_EXPORT int heaptide_resume(void) {
  if (heaptide_state() != PAUSED) return NOT_ATTACHED;
  close_windows();
  if (!ht_session_go_on()) return NO_SESSION;
  ht_got_patch();
  ht_python_resume(begin());
  return DONE;
}

HT_EXPORT int heaptide_detach(void) {
  if (!attached) return NOT_ATTACHED;
  if (!atomic_load(&ht.paused)) ht_python_pause();
  attached = false;
  atomic_store(&ht.off, 1);
  ht_recall_threads();
  return DONE;
}

HT_EXPORT void heaptide_clear(void) {
  if (heaptide_state() == NOT_RECORDED) ht_session_clear();
}

static bool answered(const ht_process *p, uint32_t request) {
  return __atomic_load_n(&p->sync_answer, __ATOMIC_ACQUIRE) == request;
}

static bool wait_for_answer(ht_process *p, uint32_t request) {
  for (int i = 0; i < SPINS; i++) {
    if (answered(p, request)) return true;
    __builtin_ia32_pause();
  }
  uint64_t until = ht_os_now_ns() + PATIENCE_NS, heartbeat = ht.session->heartbeat;
  while (!answered(p, request)) {
    if (ht.session->state == HT_STATE_STOPPED) return answered(p, request);
    if (ht_os_now_ns() > until) { // a collector that is busy with much is not dead
      if (ht.session->heartbeat == heartbeat) return false;
      heartbeat = ht.session->heartbeat;
      until = ht_os_now_ns() + PATIENCE_NS;
    }
    long time[2] = {0, 20000000};
    uint32_t seen = __atomic_load_n(&p->sync_answer, __ATOMIC_ACQUIRE);
    if (seen == request) return true;
    if (ht_collector_gone()) return false;
    ht_syscall(SYS_futex, (long)&p->sync_answer, FUTEX_WAIT, seen, (long)time, 0, 0);
  }
  return true;
}

static uint64_t highest; // peak of the process since its slot was claimed
static uint32_t highest_generation;

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// What this process and this thread have done so far, once the collector has counted it all: about 0.1 ms.
static int take(uint32_t flags, snapshot *to) {
  int state = heaptide_state();
  if (state == NOT_RECORDED) return NOT_ATTACHED;
  if (state == PAUSED) { // no figures, but what has been counted can be written
    if (!(flags & HT_SYNC_WRITE)) return NOT_ATTACHED;
  } else if (!ht_recording(begin())) {
    return NOT_ATTACHED;
  }
  ht_process *p = ht.process;
  p->sync_tid = (uint32_t)ht_os_tid();
  p->sync_flags = flags;
  uint32_t request = __atomic_add_fetch(&p->sync_request, 1, __ATOMIC_SEQ_CST);
  uint32_t *sleeping = &ht.session->sleeping;
  if (__atomic_exchange_n(sleeping, 0, __ATOMIC_SEQ_CST) != 0) {
    ht_syscall(SYS_futex, (long)sleeping, FUTEX_WAKE, 1, 0, 0, 0);
  }
  if (!wait_for_answer(p, request)) {
    // What threads still have to say nobody reads: they must not wait for room.
    ht_turn_off(HT_OFF_COLLECTOR_DEAD);
    ht_recall_threads();
    return NO_ANSWER;
  }
  to->process = p->sync_process;
  to->thread = p->sync_thread;
  to->ns = p->sync_ns;
  to->tid = p->sync_tid;
  to->generation = atomic_load(&ht.generation);
  if (highest_generation != to->generation) highest = 0;
  highest_generation = to->generation;
  to->peak_bytes = highest = larger(highest, to->process.peak_bytes);
  for (int i = 0; i < MOST; i++) {
    snapshot *open = &heaptide_windows[i];
    if (!open->is_open || open == to) continue;
    open->process.peak_bytes = larger(open->process.peak_bytes, to->process.peak_bytes);
    if (open->tid == to->tid) {
      open->thread.peak_bytes = larger(open->thread.peak_bytes, to->thread.peak_bytes);
    }
  }
  return DONE;
}

// What another thread writes there, as it recalls contexts, stays.
static bool exchange(ht_ctx *ctx, uint8_t from, uint8_t to) {
  return __atomic_compare_exchange_n(&ctx->frees, &from, to, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED);
}

// Until back, what the calling thread allocates is heaptide's own and not recorded; what it frees still
// counts. 0: nothing has changed: it is so already, or this thread records nothing, or samples.
HT_EXPORT int heaptide_apart(void) {
  ht_ctx *ctx = ht_tls;
  return ht_is_current(ctx) && exchange(ctx, HT_FREES_ALL, HT_FREES_ONLY);
}

HT_EXPORT void heaptide_back(void) { exchange(ht_tls, HT_FREES_ONLY, HT_FREES_ALL); }

// HT_SYNC_*. 0, or why not.
HT_EXPORT int heaptide_sync(uint32_t flags) {
  snapshot none;
  return take(flags, &none);
}

static int open_windows(void) {
  int count = 0;
  for (int i = 0; i < MOST; i++) count += heaptide_windows[i].is_open != 0;
  return count;
}

// All without arguments, and their results are numbers of which the interpreter has one each: a call
// allocates nothing. Below 0: why not. Open ends what is apart: the block begins.
HT_EXPORT int heaptide_open(void) {
  int i = 0;
  while (i < MOST && heaptide_windows[i].is_open) i++;
  if (i == MOST) return -TOO_MANY;
  snapshot *window = &heaptide_windows[i];
  int failed = take(HT_SYNC_SLICE | (open_windows() == 0 ? heaptide_peak_of : 0), window);
  if (failed) return -failed;
  window->process.peak_bytes = window->process.live_bytes;
  window->thread.peak_bytes = window->thread.live_bytes;
  window->is_open = 1;
  heaptide_back();
  return heaptide_opened = i;
}

static int read_with(uint32_t flags) {
  static int next;
  int i = next++ % MOST;
  int failed = take(flags, &heaptide_snapshots[i]);
  return failed ? -failed : i;
}

HT_EXPORT int heaptide_read(void) { return read_with(HT_SYNC_SLICE); }

// The same at the end of a window: with the last one that is open the peak is over, too.
HT_EXPORT int heaptide_finish(void) {
  return read_with(HT_SYNC_SLICE | (open_windows() == 1 ? HT_SYNC_PEAK_STAYS : 0));
}

HT_EXPORT void heaptide_close(int window) {
  if (window >= 0 && window < MOST) heaptide_windows[window].is_open = 0;
}
