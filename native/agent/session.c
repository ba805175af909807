// Joining a session: the constructor, the mapping, the process slot, forks.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "hooks.h"
#include "session.h"
#include "statics.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0x4000
#endif

ht_global ht;

// Rings mapped with the header, once for all; rings beyond are mapped one by one, by path. Small, for
// programs that lock or limit their address space.
#define WINDOW_RINGS 256u
#define WINDOW_RINGS_SMALL 8u
#define WINDOW_RINGS_LATE 64u
// Recordings whose memory stays mapped: a thread may still be about to look at that of the last one.
#define FORMER_SESSIONS 64u

enum { START_NOT_YET, START_GOING_ON, START_DONE, START_NEVER };

static _Atomic uint32_t started;
static ht_lock start_lock; // held while a forked child registers
static char variable[128] = "HEAPTIDE_SESSION=";
static char library[4096];
static uint32_t window_rings;
static uint64_t *far_rings[HT_MAX_RINGS];
static _Atomic uint32_t announced_pid;
static _Atomic(uint32_t) announced_generation;

#define VARIABLE_NAME_LENGTH 17u // HEAPTIDE_SESSION=

// ------------------------------------------------------------------------------- environment

// The initial environment, from the kernel: hooks run before libc has set `environ`. Finds our
// variable's value; bounded by what an exec accepts.
static bool read_variable(void) {
  int fd = ht_os_open("/proc/self/environ", O_RDONLY);
  if (fd < 0) return false;
  char buffer[4096];
  uint32_t matched = 0, length = VARIABLE_NAME_LENGTH;
  bool at_start = true, in_value = false, found = false;
  long got;
  while (!found && (got = ht_os_read(fd, buffer, sizeof buffer)) > 0) {
    for (long i = 0; i < got && !found; i++) {
      char c = buffer[i];
      if (in_value) {
        if (c == 0) {
          found = true;
        } else if (length + 1 < sizeof variable) {
          variable[length++] = c;
        }
      } else if (c == 0) {
        at_start = true;
        matched = 0;
      } else if (at_start && c == variable[matched]) {
        in_value = ++matched == VARIABLE_NAME_LENGTH;
      } else {
        at_start = false;
      }
    }
  }
  ht_os_close(fd);
  variable[length] = 0;
  return in_value;
}

const char *ht_session_variable(void) {
  return ht.session == NULL || atomic_load(&ht.off) ? "" : variable;
}

const char *ht_session_library(void) { return library; }

// The program never sees our entries: they go from `environ` here, and come back when it execs.
// LD_PRELOAD keeps what others put there.
static void hide_from_environment(char **env) {
  if (env == NULL) return;
  char **to = env;
  for (char **from = env; *from != NULL; from++) {
    char *entry = *from;
    if (ht_starts_with(entry, "HEAPTIDE_SESSION=")) continue;
    if (ht_starts_with(entry, "LD_PRELOAD=")) {
      char *rest = ht_without_library(entry);
      if (rest == NULL) continue;
    }
    *to++ = entry;
  }
  *to = NULL;
}

// ----------------------------------------------------------------------------------- mapping

static void *map_session(int fd, uint64_t offset, uint64_t bytes) {
  long p = ht_syscall(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                      fd, (long)offset);
  if (p < 0 && p > -4096) return NULL;
  ht_syscall(SYS_madvise, p, (long)bytes, MADV_DONTDUMP, 0, 0, 0);
  return (void *)p;
}

static const char *session_path(void) { return variable + VARIABLE_NAME_LENGTH; }

static uint64_t session_bytes(uint32_t rings) {
  return HT_RINGS_OFFSET + (uint64_t)rings * HT_RING_BYTES;
}

static bool open_session(uint32_t most_rings) {
  int fd = ht_os_open(session_path(), O_RDWR);
  if (fd < 0) return false;
  ht_session_header *session = NULL;
  uint32_t rings;
  for (rings = most_rings; session == NULL && rings >= WINDOW_RINGS_SMALL; rings /= 4) {
    session = map_session(fd, 0, session_bytes(rings));
    if (session != NULL) break;
  }
  ht_os_close(fd);
  if (session == NULL) return false;
  if (session->magic != HT_WIRE_MAGIC || session->version != HT_WIRE_VERSION ||
      session->state == HT_STATE_STOPPED) {
    ht_os_unmap(session, session_bytes(rings));
    return false;
  }
  window_rings = rings;
  ht.config = session->config;
  ht.sample_interval = session->sample_interval;
  ht.session = session;
  return true;
}

uint64_t *ht_session_ring(uint32_t index) {
  if (index < window_rings) {
    return (uint64_t *)((char *)ht.session + HT_RINGS_OFFSET + (uint64_t)index * HT_RING_BYTES);
  }
  if (far_rings[index] == NULL) {
    int fd = ht_os_open(session_path(), O_RDWR);
    if (fd < 0) return NULL;
    far_rings[index] =
        map_session(fd, HT_RINGS_OFFSET + (uint64_t)index * HT_RING_BYTES, HT_RING_BYTES);
    ht_os_close(fd);
  }
  return far_rings[index];
}

// ----------------------------------------------------------------------------------- process

// parent_slot: as on the wire.
static bool claim_process(uint32_t parent_slot, uint32_t parent_generation) {
  ht_process *table = (ht_process *)((char *)ht.session + HT_PROCESSES_OFFSET);
  uint32_t slot = __atomic_fetch_add(&ht.session->processes_used, 1, __ATOMIC_RELAXED);
  uint32_t expected = HT_PROCESS_FREE;
  if (slot >= HT_MAX_PROCESSES) {
    __atomic_store_n(&ht.session->processes_used, HT_MAX_PROCESSES, __ATOMIC_RELAXED);
    for (slot = 0; slot < HT_MAX_PROCESSES; slot++) {
      expected = HT_PROCESS_FREE;
      if (table[slot].state == HT_PROCESS_FREE &&
          __atomic_compare_exchange_n(&table[slot].state, &expected, HT_PROCESS_CLAIMED, false,
                                      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        break;
      }
    }
    if (slot == HT_MAX_PROCESSES) {
      __atomic_fetch_add(&ht.session->processes_refused, 1, __ATOMIC_RELAXED);
      return false;
    }
  } else {
    __atomic_store_n(&table[slot].state, HT_PROCESS_CLAIMED, __ATOMIC_RELAXED);
  }
  ht_process *p = &table[slot];
  uint32_t generation = p->generation + 1;
  bool forked = parent_slot != 0;
  p->pid = (uint32_t)ht_os_pid();
  p->parent_slot = parent_slot;
  p->parent_generation = parent_generation;
  p->generation = generation;
  p->inherited_nodes = forked ? ht_trie_count() : 0;
  p->inherited_codes = forked ? ht_codes_count() : 0;
  p->inherited_modules = forked ? ht_modules_count() : 0;
  p->start_tsc = ht_tsc();
  p->wait_ns = p->lost_events = p->fp_fallbacks = p->truncated = 0;
  p->python_version = forked ? ht.process->python_version : 0;
  p->python_status = forked ? ht.process->python_status : HT_PYTHON_NONE;
  p->allocator = forked ? ht.process->allocator : HT_PROVIDER_LIBC;
  p->off_reason = HT_OFF_NONE;
  p->sync_request = p->sync_answer = 0;
  ht.process = p;
  ht.process_slot = slot;
  __atomic_store_n(&p->state, HT_PROCESS_LIVE, __ATOMIC_RELEASE);
  return true;
}

bool ht_session_is_parents(void) {
  return ht.process != NULL && ht.process->pid != (uint32_t)ht_os_pid();
}

// In a child of fork: nothing of the parent's other threads is here, so any lock they held is ours to
// reset.
static void reset_locks(void) {
  ht_trie_after_fork();
  ht_native_after_fork();
  ht_python_after_fork();
  ht_sample_after_fork();
  ht_static_after_fork();
}

// On the child's first event.
static bool register_child(void) {
  reset_locks();
  if (!(ht.config & HT_CONFIG_FOLLOW)) {
    atomic_store(&ht.off, 1);
    return false;
  }
  if (!claim_process(ht.process_slot + 1, ht.process->generation)) {
    atomic_store(&ht.off, 1);
    return false;
  }
  return true;
}

static bool start(void) {
  ht_hooks_resolve();
  if (!read_variable() || !open_session(WINDOW_RINGS)) return false;
  if (!claim_process(0, 0)) return false;
  ht.config &= ~ht_hooks_unable();
  ht.process->allocator = ht_hooks_provider();
  ht_native_start();
  return true;
}

bool ht_session_start(void) {
  uint32_t state = atomic_load_explicit(&started, memory_order_acquire);
  if (HT_LIKELY(state == START_DONE)) {
    if (atomic_load_explicit(&ht.off, memory_order_relaxed)) return false;
    if (ht.process->pid == (uint32_t)ht_os_pid()) return true;
    // Forked. The child has one thread until its first pthread_create, which allocates.
    atomic_store(&start_lock.word, 0);
    return register_child();
  }
  if (state == START_NOT_YET && atomic_compare_exchange_strong(&started, &state, START_GOING_ON)) {
    bool on = start();
    if (!on) atomic_store(&ht.off, 1);
    atomic_store_explicit(&started, on ? START_DONE : START_NEVER, memory_order_release);
    return on;
  }
  return false;
}

// ------------------------------------------------------- programs that record themselves (late.c)

// A recording that has ended. Threads may look at its header late; what they still write to its rings
// nobody reads.
typedef struct former_session {
  char *header; // NULL: nothing is mapped
  uint64_t ring_bytes;
} former_session;

static former_session former[FORMER_SESSIONS];
static uint32_t former_count;
static uint64_t *former_far_rings[HT_MAX_RINGS];

static void unmap_rings(former_session *f) {
  if (f->ring_bytes != 0) ht_os_unmap(f->header + HT_RINGS_OFFSET, f->ring_bytes);
  f->ring_bytes = 0;
}

static void unmap_former_far_rings(void) {
  for (uint32_t i = 0; i < HT_MAX_RINGS; i++) {
    if (former_far_rings[i] == NULL) continue;
    ht_os_unmap(former_far_rings[i], HT_RING_BYTES);
    former_far_rings[i] = NULL;
  }
}

// `rings`: those in its window.
static void retire_session(ht_session_header *session, uint32_t rings) {
  former_session *slot = &former[former_count++ % FORMER_SESSIONS];
  unmap_rings(slot);
  if (slot->header != NULL) ht_os_unmap(slot->header, HT_RINGS_OFFSET);
  *slot = (former_session){(char *)session, (uint64_t)rings * HT_RING_BYTES};
  unmap_former_far_rings();
  for (uint32_t i = 0; i < HT_MAX_RINGS; i++) {
    if (far_rings[i] == NULL) continue;
    former_far_rings[i] = far_rings[i];
    far_rings[i] = NULL;
  }
  if (!ht_rings_are_left()) return;
  for (uint32_t i = 0; i < FORMER_SESSIONS; i++) unmap_rings(&former[i]);
  unmap_former_far_rings();
}

// Once more at the end of what changes: a thread that has set itself up in the middle of it, since it saw
// the state of before, may have something of both.
static void begin_generation(void) { atomic_fetch_add(&ht.generation, 1); }

bool ht_session_join(const char *path) {
  uint32_t length = VARIABLE_NAME_LENGTH;
  for (const char *from = path; *from != 0; from++) {
    if (length + 1 == sizeof variable) return false;
    variable[length++] = *from;
  }
  variable[length] = 0;
  // From here on nothing of the former recording can be sent.
  atomic_store(&ht.off, 1);
  atomic_fetch_add(&ht.generation, 1);
  if (ht_session_is_parents()) reset_locks();
  ht_session_header *session = ht.session;
  uint32_t rings = window_rings;
  if (!open_session(WINDOW_RINGS_LATE)) return false;
  if (session != NULL) retire_session(session, rings);
  ht_trie_reset();
  ht_sample_reset();
  ht_modules_reset();
  ht_python_reset();
  ht_notes_reset();
  ht_rings_changed(true);
  atomic_store(&announced_pid, 0);
  if (!claim_process(0, 0)) return false;
  ht.config &= ~ht_hooks_unable();
  ht.process->allocator = ht_hooks_provider();
  ht_native_start();
  atomic_store(&started, START_DONE);
  begin_generation();
  atomic_store(&ht.paused, 0);
  atomic_store(&ht.off, 0);
  ht_recall_threads();
  return true;
}

bool ht_session_go_on(void) {
  if (!ht_session_start()) return false; // a forked child registers here
  uint32_t slot = ht.process_slot, generation = ht.process->generation;
  atomic_fetch_add(&ht.generation, 1);
  ht_rings_changed(false);
  __atomic_store_n(&ht.process->state, HT_PROCESS_EXEC, __ATOMIC_RELEASE);
  if (!claim_process((slot + 1) | HT_PARENT_SELF, generation)) {
    atomic_store(&ht.off, 1);
    return false;
  }
  atomic_store(&announced_generation, ht.process->generation); // known from before
  begin_generation();
  atomic_store(&ht.paused, 0);
  ht_recall_threads();
  return true;
}

void ht_session_clear(void) {
  if (ht.session == NULL) return;
  ht_syscall(SYS_madvise, (long)ht.session + (long)HT_RINGS_OFFSET,
             (long)((uint64_t)window_rings * HT_RING_BYTES), 9 /* MADV_REMOVE */, 0, 0, 0);
  for (uint32_t i = 0; i < HT_MAX_RINGS; i++) {
    if (far_rings[i] == NULL) continue;
    ht_syscall(SYS_madvise, (long)far_rings[i], HT_RING_BYTES, 9 /* MADV_REMOVE */, 0, 0, 0);
  }
}

static uint32_t read_file(const char *path, char *to, uint32_t room) {
  int fd = ht_os_open(path, O_RDONLY);
  uint32_t length = 0;
  if (fd < 0) return 0;
  long got;
  while (length < room && (got = ht_os_read(fd, to + length, room - length)) > 0) {
    length += (uint32_t)got;
  }
  ht_os_close(fd);
  return length;
}

void ht_session_announce(ht_ctx *ctx) {
  uint32_t pid = ht.process->pid;
  if (atomic_exchange(&announced_pid, pid) == pid &&
      atomic_load(&announced_generation) == ht.process->generation) {
    return;
  }
  atomic_store(&announced_generation, ht.process->generation);
  ctx->busy |= HT_BUSY_CALLS;
  // Mapped, not on the stack: this may run on a small one.
  const uint32_t room = 65536;
  char *text = ht_os_map(room);
  if (text != NULL) {
    ht_meta m;
    ht_meta_begin(&m, ctx, HT_META_PROCESS);
    ht_meta_u32(&m, pid);
    ht_meta_u32(&m, (uint32_t)ht_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0));
    long n = ht_syscall(SYS_readlink, (long)"/proc/self/exe", (long)text, room - 1, 0, 0, 0);
    ht_meta_bytes(&m, text, n > 0 ? (uint32_t)n : 0);
    uint32_t length = read_file("/proc/self/cmdline", text, room), arguments = 0;
    if (length > 0 && text[length - 1] != 0) length -= length == room ? 1 : 0, text[length++] = 0;
    for (uint32_t i = 0; i < length; i++) arguments += text[i] == 0;
    ht_meta_u32(&m, arguments);
    for (uint32_t i = 0, begin = 0; i < length; i++) {
      if (text[i] == 0) ht_meta_bytes(&m, text + begin, i - begin), begin = i + 1;
    }
    ht_meta_end(&m);
    ht_os_unmap(text, room);
  }
  ctx->busy &= (uint8_t)~HT_BUSY_CALLS;
  // Here, not only in the constructor: other libraries' constructors may come first, and allocate.
  static _Atomic bool looked;
  if (!atomic_exchange(&looked, true)) ht_static_look(ctx);
}

ht_ctx *ht_session_quiet_context(void) {
  ht_ctx *ctx = ht_os_map(4096);
  if (ctx != NULL) ht_syscall(SYS_madvise, (long)ctx, 4096, 18 /* MADV_WIPEONFORK */, 0, 0, 0);
  return ctx;
}

// ----------------------------------------------------------------------------- constructor

extern char **environ;

__attribute__((constructor)) static void on_load(void) {
  ht_own_path(library, sizeof library);
  ht.late = ht_hooks_late();
  ht_exec_resolve();
  bool on = ht_session_start();
  hide_from_environment(environ);
  if (on) {
    // Before main runs. While paused too: the interpreter's hooks must be in place by then.
    ht_ctx *ctx = ht_tls;
    if (!ht_recording(ctx)) ctx = ht_ready(ctx);
    ht_static_look(ctx);
    ht_python_look(ctx);
  }
}
