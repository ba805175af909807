// Internal interface of the agent: what its files know of each other.
//
// The agent lives inside programs that know nothing of it. Its rules:
//  - it calls nothing that may allocate, lock, or touch stdio: raw system calls and own code only
//    (os.h); libc only where a hook forwards to it;
//  - every global is valid when zero: hooks run before any constructor;
//  - thread-local storage is initial-exec and two words; the rest hangs off the context;
//  - a signal handler may interrupt any of it. Captures, slow paths and the writing of an event run with
//    ctx->busy set: events of a handler that allocates meanwhile carry no stack, wait aside until the
//    interrupted one is written, and are counted as lost when they are too many. Nothing is re-entered,
//    unless the handler has jumped out of it (ht_abandoned).
#ifndef HEAPTIDE_AGENT_H
#define HEAPTIDE_AGENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/wire.h"

#define HT_LIKELY(x) __builtin_expect(!!(x), 1)
#define HT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HT_EXPORT __attribute__((visibility("default")))
#define HT_NOINLINE __attribute__((noinline))
#define HT_ALWAYS_INLINE static inline __attribute__((always_inline))
#define HT_COLD __attribute__((cold, noinline))
// For functions that read words of the stack as they are, whatever a sanitizer thinks of them.
#define HT_RAW __attribute__((no_sanitize("address")))

// ------------------------------------------------------------------------------------- threads

typedef struct ht_ctx ht_ctx;

// A native stack that the thread has been seen with, outermost frame at the end of the arrays
// (native_cache.h): the words of the stack that it followed from, and what followed from each.
typedef struct ht_native_word {
  const uintptr_t *at; // &value: nothing to compare
  uintptr_t value;
} ht_native_word;

typedef struct ht_native_mark {
  uintptr_t sp;  // stack pointer in the frame, right after the call returned
  uintptr_t bp;  // meant only with FLAG_BP
  uint32_t node; // trie node of the stack from the outermost frame to this one
  uint32_t flags;
} ht_native_mark;

typedef struct ht_stack_range {
  uintptr_t low, high;
} ht_stack_range;

#define HT_OTHER_STACKS 4

typedef struct ht_native_cache {
  ht_native_word *words;
  ht_native_mark *marks;
  struct ht_native_memo *memos;    // NULL: nothing has been cached yet
  struct ht_native_fresh *fresh;   // frames on their way into the cache, innermost first
  uint32_t capacity, first;        // in use: [first, capacity)
  uint32_t epoch;                  // of the module table when the cache was filled
  uint32_t stack_own;              // the cached stack is the thread's own, not a fiber's
  uintptr_t stack_low, stack_high; // the stack that the cached frames are on; 0: a new thread,
                                   // nothing below holds any more
  uintptr_t own_low, own_high;
  ht_stack_range others[HT_OTHER_STACKS]; // further stacks seen: fibers, alternate signal stacks
  uint32_t other_next;
  uint32_t fresh_capacity;
} ht_native_cache;

// The thread's last Python stack (py_walk.h), outermost first; index 0 is a sentinel.
typedef struct ht_py_frame {
  uintptr_t frame; // address of the interpreter frame
  uintptr_t word;  // what tells where it stands: instruction address, or mix of code and index
} ht_py_frame;

typedef struct ht_py_node {
  uint32_t node; // trie node of the stack from the outermost frame to this one
  uint32_t flags;
} ht_py_node;

typedef struct ht_py_cache {
  uintptr_t head;      // innermost frame, frames[depth]; 0: nothing is cached
  ht_py_frame *frames; // depth + 1 entries
  uint32_t epoch;      // of code deaths when the cache was filled
  uint32_t node;       // result of the last walk
  uint32_t capacity, depth;
  ht_py_node *nodes;
  ht_py_frame *fresh; // frames on their way into the cache, innermost first
  uint32_t *places;   // hints: index by hash of the frame's address
  struct ht_py_memo *memo;
  struct ht_py_chunks *chunks; // of the interpreter's data stack
  uint32_t wall;               // index of the innermost wall (py_walk.h); 0: none
} ht_py_cache;

// What becomes of frees, and with it whether the context is in use at all.
enum ht_frees {
  HT_FREES_UNKNOWN = 0, // context not set up (first event of a thread or of a forked child)
  HT_FREES_ALL = 1,
  HT_FREES_SAMPLED = 2, // sampling: only those of sampled blocks
  HT_FREES_ONLY = 3,    // all, but no allocation: it is heaptide's own (late.c)
  HT_FREES_NONE = 4,    // paused or off: nothing is recorded
};

// What an allocation of `size` takes from ctx->left: no more than an address space holds, so that
// sizes that cannot be had do not make it wrap around.
#define HT_CHARGE(size) ((int64_t)((size) & 0xffffffffffffull))

#define HT_BUSY_CAPTURE 1u
#define HT_BUSY_SLOW 2u
#define HT_BUSY_WRITE 4u
#define HT_BUSY_CALLS 8u // no stacks meanwhile: what is called may allocate

// Private to one thread. A forked child finds the hot line zeroed (MADV_WIPEONFORK), and the rest as it
// was: a handler may have forked in the middle of a capture, and the child goes on with that.
struct ht_ctx {
  // Hot line. In full recording `left` stays negative; sampling counts it down; when recording is
  // off or paused it is huge, so that the one test at the head of each hook covers every mode.
  uint64_t *w;     // next free word of the open block
  uint64_t *limit; // its end; NULL: events of a signal handler wait aside and come first (ht_aside)
  int64_t left;
  uint8_t frees;  // ht_frees
  uint8_t busy;   // HT_BUSY_*: in a capture, a slow path, or the writing of an event of this thread
  uint8_t inside; // calls made by a hook that accounts for them itself: not recorded again
  uint8_t arena;  // mappings made now are an allocator's own
  uint32_t config; // ht_config_flags
  ht_ring_header *ring;
  uint64_t map_sp;   // of the hook whose real mapping function runs (hooks_map.c); 0: none
  uint64_t arena_sp; // of the hook that gave pymalloc its newest arena (py_alloc.c); 0: settled
  uint64_t pad[1];
  // Warm.
  ht_py_cache py;
  ht_native_cache native;
  // Cold (ring.c).
  uint64_t *blocks; // the ring's HT_RING_BLOCKS blocks
  uint64_t block;   // number of the open block
  uint64_t tail_seen;
  uint32_t ring_index;
  uint32_t sample_state[2];
  uint32_t generation;    // of the recording that the ring is of (ht_global)
  uint32_t recalls;       // how many times threads had been recalled when it last looked
  _Atomic uint32_t owner; // thread id; 0: spare
  struct ht_ctx *next;    // in the list of all
};

#define HT_HOT_BYTES 64u
_Static_assert(offsetof(ht_ctx, py) == HT_HOT_BYTES, "a cache line");

extern __thread ht_ctx *ht_tls __attribute__((tls_model("initial-exec")));

// The context's four state bytes in one. READY: a thread that records everything and is in no hook.
// The hot paths read and write it as one word, never in parts: a load that spans two stores waits.
typedef uint32_t __attribute__((may_alias)) ht_state_word;
#define HT_STATE(ctx) (*(volatile ht_state_word *)&(ctx)->frees)
#define HT_STATE_READY ((uint32_t)HT_FREES_ALL)
#define HT_STATE_CAPTURE (HT_STATE_READY | HT_BUSY_CAPTURE << 8)
#define HT_STATE_WRITE (HT_STATE_READY | (HT_BUSY_CAPTURE | HT_BUSY_WRITE) << 8)
#define HT_STATE_INSIDE (HT_STATE_READY | 1u << 16)
_Static_assert(offsetof(ht_ctx, busy) == offsetof(ht_ctx, frees) + 1 &&
                   offsetof(ht_ctx, inside) == offsetof(ht_ctx, frees) + 2 &&
                   offsetof(ht_ctx, arena) == offsetof(ht_ctx, frees) + 3 &&
                   offsetof(ht_ctx, frees) % 4 == 0,
               "one word");

// ------------------------------------------------------------------------------------- process

// What this process knows of itself; plain memory, so a forked child inherits it.
typedef struct ht_global {
  ht_session_header *session; // NULL: no session
  ht_process *process;
  uint32_t process_slot;
  uint32_t config;
  uint64_t sample_interval;
  _Atomic uint32_t off;          // recording is over in this process
  _Atomic uint32_t paused;       // by the program itself (late.c)
  _Atomic uint32_t generation;   // counts the recordings, and their parts between pauses
  bool late;                     // loaded by a program that was running, not with it
  _Atomic uint32_t code_epoch;   // bumped when a code object dies (py_code.c)
  _Atomic uint32_t module_epoch; // bumped when a module is unmapped (modules.c)
} ht_global;

extern ht_global ht;

// --------------------------------------------- ring.c, contexts.c, recall.c, waiting.c, abandoned.c

// Makes room for `words` in the open block, opening the next one if needed: waits for the collector
// when the ring is full. Returns the context to go on with (never NULL; its `w` may point into scratch
// memory when recording is off).
ht_ctx *ht_make_room(ht_ctx *ctx, unsigned words);

// Whether a busy context has been left that way by a signal handler that jumped out (siglongjmp) of what
// it had interrupted; then it is made fit for use.
bool ht_abandoned(ht_ctx *ctx);

// Where to write an event of `words` when the thread is writing another.
ht_ctx *ht_aside(ht_ctx *ctx, unsigned words);
// Puts what waits aside into the ring: its thread writes no event now.
void ht_take_aside(ht_ctx *ctx);

// Brings a context whose `frees` is UNKNOWN or NONE up to date: starts the process and the thread, sees
// a pause end. Call it from a recording path when !ht_recording(ctx); then look again.
ht_ctx *ht_ready(ht_ctx *ctx);

HT_ALWAYS_INLINE bool ht_recording(const ht_ctx *ctx) {
  return (uint8_t)(ctx->frees - 1) < 3; // ALL, SAMPLED or ONLY
}

// Where the next event of `words` goes; NULL: there is no room. A child that a signal handler forks finds
// the context wiped at any moment, hence both are read once.
HT_ALWAYS_INLINE uint64_t *ht_room(const ht_ctx *ctx, unsigned words) {
  uint64_t *w = __atomic_load_n(&ctx->w, __ATOMIC_RELAXED);
  atomic_signal_fence(memory_order_seq_cst);
  return HT_LIKELY(w + words <= __atomic_load_n(&ctx->limit, __ATOMIC_RELAXED)) ? w : NULL;
}

// Reserves `words` words for one event. About 8 instructions. The caller fills words 1.., then
// calls ht_commit for word 0. *ctx may change.
HT_ALWAYS_INLINE uint64_t *ht_reserve(ht_ctx **ctx, unsigned words) {
  ht_ctx *c = *ctx;
  if (HT_UNLIKELY(c->busy & HT_BUSY_WRITE)) c = *ctx = ht_aside(c, words);
  c->busy |= HT_BUSY_WRITE;
  atomic_signal_fence(memory_order_seq_cst); // from here on w and limit are ours alone
  uint64_t *at;
  while (HT_UNLIKELY((at = ht_room(c, words)) == NULL)) c = *ctx = ht_make_room(c, words);
  c->w = at + words;
  return at;
}

// In one instruction: a signal handler may set others at any moment.
HT_ALWAYS_INLINE void ht_not_busy(ht_ctx *ctx, uint8_t flags) {
  __asm__ volatile("andb %1, %0" : "+m"(ctx->busy) : "iq"((uint8_t)~flags) : "cc", "memory");
}

HT_ALWAYS_INLINE void ht_publish(uint64_t *at, uint64_t word) {
  __atomic_store_n(at, word, __ATOMIC_RELEASE);
}

HT_ALWAYS_INLINE void ht_commit(ht_ctx *ctx, uint64_t *at, uint64_t word) {
  ht_publish(at, word);
  ht_not_busy(ctx, HT_BUSY_WRITE);
  if (HT_UNLIKELY(ctx->limit == NULL)) ht_take_aside(ctx);
}

// Charges an allocation to the thread. True: its budget is spent. In one instruction, so that what a recall
// stores is not undone by a thread that had read what was there before (recall.c).
HT_ALWAYS_INLINE bool ht_charge(ht_ctx *ctx, size_t size) {
  int64_t bytes = HT_CHARGE(size);
#ifdef __x86_64__
  bool spent;
  __asm__ volatile("subq %2, %0" : "+m"(ctx->left), "=@ccle"(spent) : "r"(bytes) : "memory");
  return spent;
#else
  return (ctx->left -= bytes) <= 0;
#endif
}

// Whether the context's ring is of the recording that goes on: what it sends can be read.
HT_ALWAYS_INLINE bool ht_is_current(const ht_ctx *ctx) {
  return ctx->generation == atomic_load_explicit(&ht.generation, memory_order_acquire);
}
// Whether what has just been sent by it went to where it will be read, not to where events go when the
// recording has ended or paused in the middle. Else nothing may refer to it later.
HT_ALWAYS_INLINE bool ht_has_sent(const ht_ctx *ctx) {
  return ht_recording(ctx) && ht_is_current(ctx);
}
// Has every thread look at the state of the recording with its next event.
void ht_recall_threads(void);
// The process is another one from now on, or its rings are in other memory too. Contexts of threads that
// are gone serve others.
void ht_rings_changed(bool other_memory);
// After a recall that ended a recording: whether no thread is still about to write to its rings.
bool ht_rings_are_left(void);

// Whether the collector has died without a word.
bool ht_collector_gone(void);

// Takes this process out of the recording.
void ht_turn_off(enum ht_off_reason reason);
// The same, and the calling thread makes no system call any more.
void ht_turn_off_now(enum ht_off_reason reason);

// ------------------------------------------------------------------------------------- meta.c

// Sends variable data in as many fragments as it takes. Slow path only (ctx->busy set).
typedef struct ht_meta {
  ht_ctx *ctx;
  unsigned type;
  unsigned used; // bytes in buf
  uint8_t buf[(HT_BLOCK_WORDS - 2) * 8];
} ht_meta;
void ht_meta_begin(ht_meta *m, ht_ctx *ctx, enum ht_meta_type type);
void ht_meta_u32(ht_meta *m, uint32_t value);
void ht_meta_u64(ht_meta *m, uint64_t value);
void ht_meta_bytes(ht_meta *m, const void *data, uint32_t length); // u32 length, then the bytes
void ht_meta_end(ht_meta *m);
void ht_note(ht_ctx *ctx, const char *text); // HT_META_NOTE, at most once a distinct text
void ht_notes_reset(void);

// ------------------------------------------------------------------------------------- trie.c

// Stacks are hash-consed: a node is (parent, key), key being what tells a frame apart from others
// under the same parent: a pc or an instruction address, salted by its generation.
// Lock-free; about one cache miss when cold. 0: not there.
uint32_t ht_trie_find(uint32_t parent, uint64_t key);

// Adds the node unless another thread just did, and sends HT_OP_NODE with the given words through
// ctx's ring before anybody can see the id. `aux` is HT_NODE_*. Returns its id, 0 without memory.
uint32_t ht_trie_add(ht_ctx *ctx, uint32_t parent, uint64_t key, unsigned aux, uint64_t word1,
                     uint32_t module);

// Forgets every node for which `gone(key, closure)` holds; their ids stay used. For unmapped code.
void ht_trie_forget(bool (*gone)(uint64_t key, void *closure), void *closure);

uint32_t ht_trie_count(void);
void ht_trie_after_fork(void); // in the child, before anything else: drops locks held by the dead
void ht_trie_reset(void);      // another recording begins: no node has been sent

// ---------------------------------------------------------------------------- native stacks
// modules.c, cfi.c, unwind.c

// Node of the native stack whose innermost frame has (pc, sp, bp): the state of the hook's caller
// right after the hook returns. HT_NODE_NONE only without memory. ctx->busy is set by the caller.
uint32_t ht_native_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp);

void ht_native_start(void);                  // once, in the constructor
void ht_native_after_fork(void);             // in the child, before anything else
void ht_native_release(ht_ctx *ctx);         // the thread ends: gives back its frames
void ht_native_modules_changed(ht_ctx *ctx); // after dlopen, before and after dlclose
uint32_t ht_modules_count(void);
void ht_modules_reset(void); // another recording begins

// ---------------------------------------------------------------------------- Python stacks
// py_offsets.c, py_walk.c, py_code.c, py_alloc.c

// Node of the current thread's Python stack, HT_NODE_NONE when it runs no Python.
// gil_held: the caller knows that it holds the GIL (object and mem domains), which saves a call.
uint32_t ht_python_stack(ht_ctx *ctx, bool gil_held);
extern bool ht_python_present; // an interpreter was found and its layout understood

// Looks for an interpreter among the loaded modules and hooks it: in the constructor and after
// every dlopen, until one is found. Cheap when there is none.
void ht_python_look(ht_ctx *ctx);
uint32_t ht_codes_count(void);
void ht_python_after_fork(void);
// For programs that record themselves; with the GIL. Another recording begins: no code object has been
// sent. The hooks on its allocators come back, and go.
void ht_python_reset(void);
void ht_python_resume(ht_ctx *ctx);
void ht_python_pause(void);

// ------------------------------------------------------------------------------------- record.c
// The recording halves of the hooks, shared by malloc, new and Python's domains.

// Records an allocation that has been made. pc, sp, bp: as for ht_native_stack.
void ht_record_alloc(ht_ctx *ctx, void *p, size_t size, enum ht_kind kind, uintptr_t pc,
                     uintptr_t sp, uintptr_t bp);

// The state of the caller of the function this is used in, which must keep a frame pointer.
#define HT_CALLER_PC ((uintptr_t)__builtin_return_address(0))
#define HT_CALLER_SP ((uintptr_t)__builtin_frame_address(0) + 16)
#define HT_CALLER_BP (*(uintptr_t *)__builtin_frame_address(0))

// ------------------------------------------------------------------------------------- os.c
// Raw system calls: no errno, negative error numbers, no interposed symbols.

long ht_syscall(long number, long a, long b, long c, long d, long e, long f);
void *ht_os_map(size_t bytes); // anonymous, private; NULL on failure
void ht_os_unmap(void *p, size_t bytes);
int ht_os_open(const char *path, int flags); // O_CLOEXEC added
long ht_os_read(int fd, void *buffer, size_t bytes);
void ht_os_close(int fd);
void ht_os_sleep_ns(long ns);
uint64_t ht_os_now_ns(void); // CLOCK_MONOTONIC by system call: cold paths only
int ht_os_tid(void);
int ht_os_pid(void);

typedef struct ht_lock {
  _Atomic uint32_t word;
} ht_lock;                        // valid when zero
void ht_lock_take(ht_lock *lock); // spins, then futex-sleeps
void ht_lock_drop(ht_lock *lock);

HT_ALWAYS_INLINE uint64_t ht_tsc(void) { return __builtin_ia32_rdtsc(); }

#endif
