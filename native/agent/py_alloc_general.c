// Hooks on CPython's allocator domains for every mode: sampling, native stacks, paused, off.
#include "hooks.h"
#include "py_alloc.h"
#include "record.h"

#define NOT_NOW (INT64_MAX / 2)

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
  ctx->left = ctx->frees == HT_FREES_UNKNOWN ? 0 : left; // recalled meanwhile
}

static size_t recorded_size(const ht_ctx *ctx, const ht_py_domain *d, void *p, size_t size) {
  if (!(ctx->config & HT_CONFIG_USABLE_SIZE) || !d->measurable) return size;
  if (size > d->small) return ht_real.malloc_usable_size(p);
  return size == 0 ? 16 : (size + 15) & ~(size_t)15;
}

static ht_stacks capture(ht_ctx *ctx, const ht_py_domain *d, const caller *from) {
  uint32_t python = 0, native = 0;
  if (ctx->busy && !ht_abandoned(ctx)) return 0; // in a handler on top of a capture
  ctx->busy = HT_BUSY_CAPTURE;
  if (ht_python_present) python = ht_python_stack(ctx, d->gil_held);
  if (ctx->config &
      (d->native ? HT_CONFIG_NATIVE_ALL | HT_CONFIG_NATIVE_AUTO : HT_CONFIG_NATIVE_ALL)) {
    native = ht_native_stack(ctx, from->pc, from->sp, from->bp);
  }
  ctx->busy = 0;
  return HT_STACKS(python, native);
}

static void record(ht_ctx *ctx, const ht_py_domain *d, unsigned op, void *p, size_t size,
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
  return ctx->left <= 0 || ht_charge(ctx, size) ? ctx : NULL;
}

static void finish(ht_ctx *ctx, const ht_py_domain *d, void *p, size_t size, const caller *from) {
  if (ctx->frees == HT_FREES_SAMPLED && !ht_sample_alloc(ctx, p)) return;
  if (ctx->frees == HT_FREES_ONLY) return;
  record(ctx, d, HT_OP_ALLOC, p, size, from);
}

// An allocation by any of the three calls: realloc of NULL when `old_is_null`, calloc when `count` is
// not 0, else malloc.
static inline void *call(const ht_py_domain *d, size_t count, size_t size, bool old_is_null) {
  if (old_is_null) return d->real.realloc(d->real.ctx, NULL, size);
  return count != 0 ? d->real.calloc(d->real.ctx, count, size) : d->real.malloc(d->real.ctx, size);
}

// pymalloc keeps its arenas in a tree, for which it asks PyMem_RawCalloc right after it got one: for nodes of
// 256 and 128 KiB in CPython 3.10 and 3.11, of 8 and 2 KiB later. They are `inside` of an allocation that is
// recorded; but one that sampling passes by marks nothing, nor does one that began without our hooks.
#define ARENA_FRAMES 1024u // bytes of stack between the two calls, to either side

static bool is_arena_node(const ht_ctx *ctx, size_t count, size_t size, uintptr_t sp) {
  if (ctx->arena_sp == 0 || count != 1 || ctx->inside) return false;
  if (size != 256u << 10 && size != 128u << 10 && size != 8u << 10 && size != 2u << 10)
    return false;
  return ctx->arena_sp + ARENA_FRAMES - sp < 2 * ARENA_FRAMES;
}

static void *arena_node(ht_ctx *ctx, const ht_py_domain *d, size_t size) {
  int64_t left = enter(ctx);
  void *p = d->real.calloc(d->real.ctx, 1, size);
  leave(ctx, left + HT_CHARGE(size));
  return p;
}

// `bytes`: what was charged for it.
static inline void *allocate(const ht_py_domain *d, size_t count, size_t size, bool old_is_null,
                             size_t bytes, const caller *from) {
  ht_ctx *ctx = ht_tls;
  if (d->native && HT_UNLIKELY(ctx->arena_sp != 0)) {
    if (is_arena_node(ctx, count, size, from->sp)) return arena_node(ctx, d, size);
    ctx->arena_sp = 0;
  }
  ht_ctx *recording = due(ctx, bytes);
  if (recording != NULL) {
    ctx = recording;
  } else if (bytes <= d->small || ctx->frees != HT_FREES_SAMPLED || ctx->inside) {
    return call(d, count, size, old_is_null);
  }
  int64_t left = enter(ctx);
  void *p = call(d, count, size, old_is_null);
  leave(ctx, left);
  if (p == NULL) {
    ctx->left += HT_CHARGE(bytes);
  } else if (recording != NULL) {
    finish(ctx, d, p, bytes, from);
  }
  return p;
}

static HT_NOINLINE void *slow_malloc(const ht_py_domain *d, size_t size, uintptr_t pc, uintptr_t sp,
                                     uintptr_t bp) {
  return allocate(d, 0, size, false, size, &(caller){pc, sp, bp});
}

static HT_NOINLINE void *slow_calloc(const ht_py_domain *d, size_t count, size_t size, uintptr_t pc,
                                     uintptr_t sp, uintptr_t bp) {
  return allocate(d, count, size, false, count * size, &(caller){pc, sp, bp});
}

static HT_NOINLINE void *slow_realloc(const ht_py_domain *d, void *old, size_t size, uintptr_t pc,
                                      uintptr_t sp, uintptr_t bp) {
  const caller from = {pc, sp, bp};
  ht_ctx *ctx = ht_tls;
  if (old == NULL) {
    ctx->left -= HT_CHARGE(size);
    return allocate(d, 0, size, true, size, &from);
  }
  if (!ht_recording(ctx) && ctx->left <= 0) ctx = ht_ready(ctx);
  if (!ht_recording(ctx) || ctx->inside) return d->real.realloc(d->real.ctx, old, size);
  bool sampling = ctx->frees == HT_FREES_SAMPLED;
  bool only_freed = ctx->frees == HT_FREES_ONLY;
  bool followed = !only_freed && (!sampling || ht_sample_free(ctx, old));
  if (only_freed) ht_record_free_at(ctx, HT_OP_FREE, old, d->kind);
  if (followed) ht_record_free_at(ctx, HT_OP_REALLOC_BEGIN, old, d->kind);
  int64_t left = enter(ctx);
  void *p = d->real.realloc(d->real.ctx, old, size);
  leave(ctx, left);
  if (p == NULL) { // failed: the old block stands
    if (!followed) return NULL;
    if (sampling) ht_sample_alloc(ctx, old);
    ht_record_alloc_at(ctx, HT_OP_REALLOC_END, NULL, 0, d->kind, 0);
  } else if (only_freed) {
    return p;
  } else if (!sampling || ht_sample_chosen(ctx, p, size)) {
    record(ctx, d, followed ? HT_OP_REALLOC_END : HT_OP_ALLOC, p, size, &from);
  } else if (followed) {
    ht_record_alloc_at(ctx, HT_OP_REALLOC_END, NULL, 0, d->kind | HT_ALLOC_FREED, 0);
  }
  return p;
}

static HT_NOINLINE void slow_free(const ht_py_domain *d, void *p) {
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

#define REAL(index) ht_py_domains[HT_PY_##index].real

// Not to be recorded, and nothing below will charge it again: a jump to the real function after one
// subtraction and two tests. Sampling passes here.
#define PASSES(ctx, index, size) \
  HT_LIKELY(!ht_charge(ctx, size) && (size) <= ht_py_domains[HT_PY_##index].small)

#define GENERAL(name, index)                                                                   \
  static void *name##_malloc(void *unused, size_t size) {                                      \
    (void)unused;                                                                              \
    if (PASSES(ht_tls, index, size)) return REAL(index).malloc(REAL(index).ctx, size);         \
    return slow_malloc(&ht_py_domains[HT_PY_##index], size, HT_CALLER_PC, HT_CALLER_SP,        \
                       HT_CALLER_BP);                                                          \
  }                                                                                            \
  static void *name##_calloc(void *unused, size_t count, size_t size) {                        \
    (void)unused;                                                                              \
    size_t bytes;                                                                              \
    if (__builtin_mul_overflow(count, size, &bytes) || PASSES(ht_tls, index, bytes)) {         \
      return REAL(index).calloc(REAL(index).ctx, count, size); /* overflowing, it fails */     \
    }                                                                                          \
    if (count == 0) count = 1, size = 0;                                                       \
    return slow_calloc(&ht_py_domains[HT_PY_##index], count, size, HT_CALLER_PC, HT_CALLER_SP, \
                       HT_CALLER_BP);                                                          \
  }                                                                                            \
  static void *name##_realloc(void *unused, void *old, size_t size) {                          \
    (void)unused;                                                                              \
    return slow_realloc(&ht_py_domains[HT_PY_##index], old, size, HT_CALLER_PC, HT_CALLER_SP,  \
                        HT_CALLER_BP);                                                         \
  }                                                                                            \
  static void name##_free(void *unused, void *p) {                                             \
    (void)unused;                                                                              \
    ht_ctx *ctx = ht_tls;                                                                      \
    if (p == NULL || ctx->frees == HT_FREES_NONE ||                                            \
        (ctx->frees == HT_FREES_SAMPLED &&                                                     \
         (ctx->inside || !ht_sample_maybe(p) || !ht_sample_free(ctx, p)))) {                   \
      REAL(index).free(REAL(index).ctx, p);                                                    \
      return;                                                                                  \
    }                                                                                          \
    slow_free(&ht_py_domains[HT_PY_##index], p);                                               \
  }
GENERAL(raw, RAW)
GENERAL(mem, MEM)
GENERAL(object, OBJECT)

const ht_py_allocator ht_py_general_hooks[HT_PY_DOMAINS] = {
    [HT_PY_RAW] = {NULL, raw_malloc, raw_calloc, raw_realloc, raw_free},
    [HT_PY_MEM] = {NULL, mem_malloc, mem_calloc, mem_realloc, mem_free},
    [HT_PY_OBJECT] = {NULL, object_malloc, object_calloc, object_realloc, object_free},
};
