// CPython's three allocator domains: hooks on PyMem_Raw, PyMem and PyObject, and on the arenas below.
//
// They go in before main and stay. In full recording with Python stacks only, the default, each hook of
// the mem and object domains is one function compiled for the interpreter's version: the call, the
// comparison of the stack with the last one, two words written. Everything else goes through the
// general hooks.
#include "hooks.h"
#include "py_walk.h"
#include "record.h"

typedef struct allocator { // PyMemAllocatorEx
  void *ctx;
  void *(*malloc)(void *ctx, size_t size);
  void *(*calloc)(void *ctx, size_t count, size_t size);
  void *(*realloc)(void *ctx, void *p, size_t size);
  void (*free)(void *ctx, void *p);
} allocator;

typedef struct arena_allocator { // PyObjectArenaAllocator
  void *ctx;
  void *(*alloc)(void *ctx, size_t size);
  void (*free)(void *ctx, void *p, size_t size);
} arena_allocator;

enum { RAW = 0, MEM = 1, OBJECT = 2, DOMAINS = 3 }; // PyMemAllocatorDomain

typedef struct domain {
  allocator real;
  uint8_t kind;      // ht_kind
  bool gil_held;
  bool native;       // native frames under HT_CONFIG_NATIVE_AUTO too
  bool measurable;   // blocks are pymalloc's or malloc's own: their usable size can be asked for
  size_t small;      // up to this size no other hook is reached but for arenas
} domain;

static domain domains[DOMAINS] = {
    [RAW] = {.kind = HT_KIND_PY_RAW, .native = true, .measurable = true},
    [MEM] = {.kind = HT_KIND_PY_MEM, .gil_held = true, .measurable = true},
    [OBJECT] = {.kind = HT_KIND_PY_OBJECT, .gil_held = true, .measurable = true},
};
static arena_allocator real_arena;

#define SMALL_REQUEST 512u // pymalloc's own limit
#define NOT_NOW (INT64_MAX / 2)

// ------------------------------------------------------------------------------- general hooks

// The state of the hook's caller, read where the hook itself is left for a slow function.
typedef struct caller {
  uintptr_t pc, sp, bp;
} caller;

// Around the real call. Hooks below see that somebody accounts for it; in sampling they must not charge
// it a second time either.
static inline int64_t enter(ht_ctx *ctx) {
  int64_t left = ctx->left;
  ctx->left = NOT_NOW;
  ctx->inside = 1;
  return left;
}

static inline void leave(ht_ctx *ctx, int64_t left) {
  ctx->inside = 0;
  ctx->left = left;
}

static size_t recorded_size(const ht_ctx *ctx, const domain *d, void *p, size_t size) {
  if (!(ctx->config & HT_CONFIG_USABLE_SIZE) || !d->measurable) return size;
  if (size > d->small) return ht_real.malloc_usable_size(p);
  return size == 0 ? 16 : (size + 15) & ~(size_t)15;
}

static ht_stacks capture(ht_ctx *ctx, const domain *d, const caller *from) {
  uint32_t python = 0, native = 0;
  if (ctx->busy) return 0; // in a signal handler on top of a capture
  ctx->busy = HT_BUSY_CAPTURE;
  if (ht_python_present) python = ht_python_stack(ctx, d->gil_held);
  if (ctx->config & (d->native ? HT_CONFIG_NATIVE_ALL | HT_CONFIG_NATIVE_AUTO
                               : HT_CONFIG_NATIVE_ALL)) {
    native = ht_native_stack(ctx, from->pc, from->sp, from->bp);
  }
  ctx->busy = 0;
  return HT_STACKS(python, native);
}

static void record(ht_ctx *ctx, const domain *d, unsigned op, void *p, size_t size,
                   const caller *from) {
  ht_stacks stacks = capture(ctx, d, from);
  ht_record_alloc_at(ctx, op, p, recorded_size(ctx, d, p, size), d->kind, stacks);
}

// Whether an allocation of `size`, already charged, is to be recorded, and by which context; NULL: no.
static ht_ctx *due(ht_ctx *ctx, size_t size) {
  if (ctx->left > 0 || ctx->inside) return NULL;
  if (HT_LIKELY(ht_recording(ctx))) return ctx;
  ctx = ht_ready(ctx);
  if (!ht_recording(ctx)) return NULL;
  // A context just set up has not been charged yet.
  return ctx->left <= 0 || (ctx->left -= (int64_t)size) <= 0 ? ctx : NULL;
}

static void finish(ht_ctx *ctx, const domain *d, void *p, size_t size, const caller *from) {
  if (p == NULL) return;
  if (ctx->frees == HT_FREES_SAMPLED && !ht_sample_alloc(ctx, p)) return;
  record(ctx, d, HT_OP_ALLOC, p, size, from);
}

// An allocation by any of the three calls: realloc of NULL when `old_is_null`, calloc when `count` is
// not 0, else malloc.
static inline void *call(const domain *d, size_t count, size_t size, bool old_is_null) {
  if (old_is_null) return d->real.realloc(d->real.ctx, NULL, size);
  return count != 0 ? d->real.calloc(d->real.ctx, count, size) : d->real.malloc(d->real.ctx, size);
}

// `bytes`: what was charged for it.
static inline void *allocate(const domain *d, size_t count, size_t size, bool old_is_null,
                             size_t bytes, const caller *from) {
  ht_ctx *ctx = ht_tls, *recording = due(ctx, bytes);
  if (recording != NULL) {
    ctx = recording;
  } else if (bytes <= d->small || ctx->frees != HT_FREES_SAMPLED || ctx->inside) {
    return call(d, count, size, old_is_null);
  }
  int64_t left = enter(ctx);
  void *p = call(d, count, size, old_is_null);
  leave(ctx, left);
  if (recording != NULL) finish(ctx, d, p, bytes, from);
  return p;
}

static HT_NOINLINE void *slow_malloc(const domain *d, size_t size, uintptr_t pc, uintptr_t sp,
                                     uintptr_t bp) {
  return allocate(d, 0, size, false, size, &(caller){pc, sp, bp});
}

static HT_NOINLINE void *slow_calloc(const domain *d, size_t count, size_t size, uintptr_t pc,
                                     uintptr_t sp, uintptr_t bp) {
  return allocate(d, count, size, false, count * size, &(caller){pc, sp, bp});
}

static HT_NOINLINE void *slow_realloc(const domain *d, void *old, size_t size, uintptr_t pc,
                                      uintptr_t sp, uintptr_t bp) {
  const caller from = {pc, sp, bp};
  ht_ctx *ctx = ht_tls;
  if (old == NULL) {
    ctx->left -= (int64_t)size;
    return allocate(d, 0, size, true, size, &from);
  }
  if (!ht_recording(ctx) && ctx->left <= 0) ctx = ht_ready(ctx);
  if (!ht_recording(ctx) || ctx->inside) return d->real.realloc(d->real.ctx, old, size);
  bool sampling = ctx->frees == HT_FREES_SAMPLED;
  bool followed = !sampling || ht_sample_free(ctx, old);
  if (followed) ht_record_free_at(ctx, HT_OP_REALLOC_BEGIN, old, d->kind);
  int64_t left = enter(ctx);
  void *p = d->real.realloc(d->real.ctx, old, size);
  leave(ctx, left);
  if (!followed) { // looked at as an allocation
    if (p != NULL && (ctx->left -= (int64_t)size) <= 0) finish(ctx, d, p, size, &from);
  } else if (p == NULL) { // failed: the old block stands
    if (sampling) ht_sample_alloc(ctx, old);
    ht_record_alloc_at(ctx, HT_OP_REALLOC_END, NULL, 0, d->kind, 0);
  } else {
    if (sampling) ht_sample_alloc(ctx, p);
    record(ctx, d, HT_OP_REALLOC_END, p, size, &from);
  }
  return p;
}

static HT_NOINLINE void slow_free(const domain *d, void *p) {
  ht_ctx *ctx = ht_tls;
  if (ctx->frees == HT_FREES_UNKNOWN) ctx = ht_ready(ctx);
  if (!ht_recording(ctx) || ctx->inside) {
    d->real.free(d->real.ctx, p);
    return;
  }
  ht_record_free_at(ctx, HT_OP_FREE, p, d->kind);
  int64_t left = enter(ctx);
  d->real.free(d->real.ctx, p);
  leave(ctx, left);
}

#define REAL(index) domains[index].real

// Not to be recorded, and nothing below will charge it again: a jump to the real function after one
// subtraction and two tests. Sampling passes here.
#define PASSES(ctx, index, size) \
  HT_LIKELY(((ctx)->left -= (int64_t)(size)) > 0 && (size) <= domains[index].small)

#define GENERAL(name, index)                                                                 \
  static void *name##_malloc(void *unused, size_t size) {                                    \
    (void)unused;                                                                            \
    if (PASSES(ht_tls, index, size)) return REAL(index).malloc(REAL(index).ctx, size);       \
    return slow_malloc(&domains[index], size, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);     \
  }                                                                                          \
  static void *name##_calloc(void *unused, size_t count, size_t size) {                      \
    (void)unused;                                                                            \
    size_t bytes;                                                                            \
    if (__builtin_mul_overflow(count, size, &bytes) || PASSES(ht_tls, index, bytes)) {       \
      return REAL(index).calloc(REAL(index).ctx, count, size); /* overflowing, it fails */   \
    }                                                                                        \
    if (count == 0) count = 1, size = 0;                                                     \
    return slow_calloc(&domains[index], count, size, HT_CALLER_PC, HT_CALLER_SP,             \
                       HT_CALLER_BP);                                                        \
  }                                                                                          \
  static void *name##_realloc(void *unused, void *old, size_t size) {                        \
    (void)unused;                                                                            \
    return slow_realloc(&domains[index], old, size, HT_CALLER_PC, HT_CALLER_SP,              \
                        HT_CALLER_BP);                                                       \
  }                                                                                          \
  static void name##_free(void *unused, void *p) {                                           \
    (void)unused;                                                                            \
    ht_ctx *ctx = ht_tls;                                                                    \
    if (p == NULL || ctx->frees == HT_FREES_NONE ||                                          \
        (ctx->frees == HT_FREES_SAMPLED && (ctx->inside || !ht_sample_free(ctx, p)))) {      \
      REAL(index).free(REAL(index).ctx, p);                                                  \
      return;                                                                                \
    }                                                                                        \
    slow_free(&domains[index], p);                                                           \
  }
GENERAL(raw, RAW)
GENERAL(mem, MEM)
GENERAL(object, OBJECT)

// -------------------------------------------------------------------------------- arenas

static void *arena_alloc(void *ctx_of_real, size_t size) {
  ht_ctx *ctx = ht_tls;
  if (!ht_recording(ctx)) ctx = ht_ready(ctx);
  if (!ht_recording(ctx)) return real_arena.alloc(ctx_of_real, size);
  ctx->arena++;
  void *p = real_arena.alloc(ctx_of_real, size);
  ctx->arena--;
  return p;
}

static void arena_free(void *ctx_of_real, void *p, size_t size) {
  ht_ctx *ctx = ht_tls;
  if (!ht_recording(ctx)) {
    real_arena.free(ctx_of_real, p, size);
    return;
  }
  ctx->arena++;
  real_arena.free(ctx_of_real, p, size);
  ctx->arena--;
}

// ------------------------------------------------------------------------------------- fast hooks

// The context's four state bytes in one: a thread that records everything and is in no hook.
typedef uint32_t __attribute__((may_alias)) state_word;
#define STATE_READY ((uint32_t)HT_FREES_ALL)
#define STATE_BUSY (STATE_READY | HT_BUSY_CAPTURE << 8)
#define STATE_INSIDE (STATE_READY | 1u << 16)
_Static_assert(offsetof(ht_ctx, busy) == offsetof(ht_ctx, frees) + 1 &&
                   offsetof(ht_ctx, inside) == offsetof(ht_ctx, frees) + 2 &&
                   offsetof(ht_ctx, arena) == offsetof(ht_ctx, frees) + 3 &&
                   offsetof(ht_ctx, frees) % 4 == 0,
               "read and written as one word, never in parts: a load that spans two stores waits");

#define STATE(ctx) (*(volatile state_word *)&(ctx)->frees)

// The rare ends of a fast hook, in tail position so that the hook itself saves few registers. `what`:
// the op, and the kind above it.
#define WHAT(op, kind) ((op) | (kind) << 8)

static HT_NOINLINE void *record_slow(ht_ctx *ctx, void *p, size_t size, unsigned what,
                                     uint32_t node) {
  ht_record_alloc_at(ctx, what & 0xff, p, size, what >> 8, HT_STACKS(node, 0));
  return p;
}

static HT_NOINLINE void *record_nothing(ht_ctx *ctx, unsigned what) {
  STATE(ctx) = STATE_READY;
  if ((what & 0xff) == HT_OP_REALLOC_END) record_slow(ctx, NULL, 0, what, HT_NODE_NONE);
  return NULL;
}

// After the real call: captures the stack and writes the event. Returns p.
#define F(family)                                                                             \
  static HT_NOINLINE void *record_changed_##family(ht_ctx *ctx, void *p, size_t size,         \
                                                   unsigned what, uintptr_t head) {           \
    uint32_t node = ht_py_changed_##family(ctx, head);                                        \
    STATE(ctx) = STATE_READY;                                                                 \
    return record_slow(ctx, p, size, what, node);                                             \
  }                                                                                           \
  HT_ALWAYS_INLINE void *record_fast_##family(ht_ctx *ctx, void *p, size_t size,              \
                                              unsigned what) {                                \
    if (HT_UNLIKELY(p == NULL)) return record_nothing(ctx, what);                             \
    STATE(ctx) = STATE_BUSY;                                                                  \
    uintptr_t head = ht_py_head(true, &ht_py_shape_##family);                                 \
    uint32_t node = HT_NODE_NONE;                                                             \
    if (HT_LIKELY(head != 0)) {                                                               \
      if (HT_UNLIKELY(!ht_py_same(&ctx->py, head, &ht_py_shape_##family))) {                  \
        return record_changed_##family(ctx, p, size, what, head);                             \
      }                                                                                       \
      node = ctx->py.node;                                                                    \
    }                                                                                         \
    STATE(ctx) = STATE_READY;                                                                 \
    uint64_t *w = ctx->w;                                                                     \
    if (HT_UNLIKELY(w + 2 > ctx->limit || size > UINT32_MAX)) {                               \
      return record_slow(ctx, p, size, what, node);                                           \
    }                                                                                         \
    ctx->w = w + 2;                                                                           \
    w[1] = (uint64_t)size | (uint64_t)node << 32;                                             \
    ht_commit(w, HT_WORD(what & 0xff, what >> 8, (uint64_t)(uintptr_t)p));                    \
    return p;                                                                                 \
  }
HT_PY_FAMILIES(F)
#undef F

#define FAST(family, name, index)                                                            \
  static void *name##_malloc_##family(void *unused, size_t size) {                           \
    ht_ctx *ctx = ht_tls;                                                                    \
    if (HT_UNLIKELY(STATE(ctx) != STATE_READY)) return name##_malloc(unused, size);          \
    STATE(ctx) = STATE_INSIDE;                                                               \
    void *p = REAL(index).malloc(REAL(index).ctx, size);                                     \
    return record_fast_##family(ctx, p, size, WHAT(HT_OP_ALLOC, HT_KIND_PY_##index));        \
  }                                                                                          \
  static void *name##_calloc_##family(void *unused, size_t count, size_t size) {             \
    ht_ctx *ctx = ht_tls;                                                                    \
    if (HT_UNLIKELY(STATE(ctx) != STATE_READY)) return name##_calloc(unused, count, size);   \
    STATE(ctx) = STATE_INSIDE;                                                               \
    void *p = REAL(index).calloc(REAL(index).ctx, count, size);                              \
    return record_fast_##family(ctx, p, count *size, WHAT(HT_OP_ALLOC, HT_KIND_PY_##index)); \
  }                                                                                          \
  static void *name##_realloc_##family(void *unused, void *old, size_t size) {               \
    ht_ctx *ctx = ht_tls;                                                                    \
    if (HT_UNLIKELY(STATE(ctx) != STATE_READY || old == NULL)) {                             \
      return name##_realloc(unused, old, size);                                              \
    }                                                                                        \
    ht_record_free_at(ctx, HT_OP_REALLOC_BEGIN, old, HT_KIND_PY_##index);                    \
    STATE(ctx) = STATE_INSIDE;                                                               \
    void *p = REAL(index).realloc(REAL(index).ctx, old, size);                               \
    return record_fast_##family(ctx, p, size, WHAT(HT_OP_REALLOC_END, HT_KIND_PY_##index));  \
  }

// One for all versions.
#define FAST_FREE(name, index)                                                               \
  static void name##_free_fast(void *unused, void *p) {                                      \
    ht_ctx *ctx = ht_tls;                                                                    \
    uint64_t *w = ctx->w;                                                                    \
    if (HT_UNLIKELY(STATE(ctx) != STATE_READY || p == NULL || w + 1 > ctx->limit)) {         \
      name##_free(unused, p);                                                                \
      return;                                                                                \
    }                                                                                        \
    ctx->w = w + 1;                                                                          \
    ht_commit(w, HT_WORD(HT_OP_FREE, HT_KIND_PY_##index, (uint64_t)(uintptr_t)p));           \
    STATE(ctx) = STATE_INSIDE;                                                               \
    REAL(index).free(REAL(index).ctx, p);                                                    \
    STATE(ctx) = STATE_READY;                                                                \
  }

FAST_FREE(mem, MEM)
FAST_FREE(object, OBJECT)
#define F(family) FAST(family, mem, MEM) FAST(family, object, OBJECT)
HT_PY_FAMILIES(F)
#undef F

// ------------------------------------------------------------------------------------- installing

static const allocator general[DOMAINS] = {
    [RAW] = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free},
    [MEM] = {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
    [OBJECT] = {NULL, object_malloc, object_calloc, object_realloc, object_free},
};

static const allocator fast[][2] = {
#define F(f)                                                                           \
  [HT_PY_##f] = {{NULL, mem_malloc_##f, mem_calloc_##f, mem_realloc_##f, mem_free_fast}, \
                 {NULL, object_malloc_##f, object_calloc_##f, object_realloc_##f,      \
                  object_free_fast}},
    HT_PY_FAMILIES(F)
#undef F
};

static allocator ours(unsigned index) {
  bool all_and_python_only = ht.session->sample_interval <= 1 &&
                             !(ht.config & (HT_CONFIG_NATIVE_ALL | HT_CONFIG_USABLE_SIZE));
  return index == RAW || !all_and_python_only ? general[index] : fast[ht_py.family][index - MEM];
}

static void get(unsigned index, allocator *to) {
  ((void (*)(int, allocator *))ht_py.symbols.get_allocator)((int)index, to);
}

static void set(unsigned index, allocator *to) {
  ((void (*)(int, allocator *))ht_py.symbols.set_allocator)((int)index, to);
}

static void wrap_arenas(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (s->get_arena == 0 || s->set_arena == 0) return;
  arena_allocator top;
  ((void (*)(arena_allocator *))s->get_arena)(&top);
  uintptr_t function = (uintptr_t)top.alloc;
  if (function < s->image || function >= s->image_end) return; // ours, or the program's
  real_arena = top;
  arena_allocator hook = {top.ctx, arena_alloc, arena_free};
  ((void (*)(arena_allocator *))s->set_arena)(&hook);
}

void ht_py_alloc_start(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (s->get_allocator == 0 || s->set_allocator == 0) return;
  for (unsigned i = 0; i < DOMAINS; i++) {
    get(i, &domains[i].real);
    domains[i].small = i == RAW ? 0 : SMALL_REQUEST;
  }
  for (unsigned i = 0; i < DOMAINS; i++) {
    allocator hook = ours(i);
    hook.ctx = domains[i].real.ctx; // in case a thread reads half of the old and half of the new
    set(i, &hook);
  }
  wrap_arenas();
}

// Whether `top` is one of CPython's own allocators with none of our hooks below it. A wrapper of its
// own (the debug hooks, tracemalloc) keeps what it wraps behind its ctx, in the image's data.
static bool replaced(const allocator *top, const allocator *hook) {
  const ht_py_symbols *s = &ht_py.symbols;
  uintptr_t function = (uintptr_t)top->malloc, state = (uintptr_t)top->ctx;
  if (function < s->image || function >= s->image_end) return false;
  if (state < s->image || state + 64 > s->image_end) return state == 0;
  for (unsigned i = 0; i < 8; i++) {
    if (ht_py_word(state + i * 8) == (uintptr_t)hook->malloc) return false;
  }
  return true;
}

void ht_py_alloc_settle(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (!(ht.config & HT_CONFIG_PYTHON_OBJECTS) || s->get_allocator == 0 || s->set_allocator == 0) {
    return;
  }
  for (unsigned i = 0; i < DOMAINS; i++) {
    allocator top, hook = ours(i);
    get(i, &top);
    if (top.malloc == hook.malloc || !replaced(&top, &hook)) continue;
    if (top.malloc != domains[i].real.malloc) domains[i].small = 0, domains[i].measurable = false;
    domains[i].real = top;
    hook.ctx = top.ctx;
    set(i, &hook);
  }
  wrap_arenas();
}
