// Hooks on CPython's mem and object domains for the default mode: everything is recorded, with Python
// stacks only. Compiled once for each version's shape: the call, the comparison of the stack with the
// last one, two words written. What is unusual goes on to the general hooks.
#include "py_alloc.h"
#include "py_walk.h"
#include "record.h"

static HT_NOINLINE void *record_nothing(ht_ctx *ctx, unsigned what) {
  HT_STATE(ctx) = HT_STATE_READY;
  if ((what & 0xff) == HT_OP_REALLOC_END) ht_record_slow(ctx, NULL, 0, what, HT_NODE_NONE);
  return NULL;
}

// After the real call: captures the stack and writes the event. Returns p.
#define F(family)                                                                                 \
  static HT_NOINLINE void *record_changed_##family(ht_ctx *ctx, void *p, size_t size,             \
                                                   unsigned what, uintptr_t head) {               \
    uint32_t node = ht_py_changed_##family(ctx, head);                                            \
    HT_STATE(ctx) = HT_STATE_READY;                                                               \
    return ht_record_slow(ctx, p, size, what, node);                                              \
  }                                                                                               \
  HT_ALWAYS_INLINE void *record_fast_##family(ht_ctx *ctx, void *p, size_t size, unsigned what) { \
    if (HT_UNLIKELY(p == NULL)) return record_nothing(ctx, what);                                 \
    HT_STATE(ctx) = HT_STATE_CAPTURE;                                                             \
    uintptr_t head = ht_py_head(true, &ht_py_shape_##family);                                     \
    uint32_t node = HT_NODE_NONE;                                                                 \
    if (HT_LIKELY(head != 0)) {                                                                   \
      if (HT_UNLIKELY(!ht_py_same(&ctx->py, head, &ht_py_shape_##family))) {                      \
        return record_changed_##family(ctx, p, size, what, head);                                 \
      }                                                                                           \
      node = ctx->py.node;                                                                        \
    }                                                                                             \
    if (HT_UNLIKELY(!ht_write_alloc(ctx, what & 0xff, p, size, what >> 8, HT_STACKS(node, 0),     \
                                    HT_STATE_READY))) {                                           \
      return ht_record_slow(ctx, p, size, what, node);                                            \
    }                                                                                             \
    if (HT_UNLIKELY(ctx->limit == NULL)) return ht_record_aside(ctx, p);                          \
    return p;                                                                                     \
  }
HT_PY_FAMILIES(F)
#undef F

#define REAL(index) ht_py_domains[HT_PY_##index].real
#define GENERAL(index) ht_py_general_hooks[HT_PY_##index]

#define FAST(family, name, index)                                                                  \
  static void *name##_malloc_##family(void *unused, size_t size) {                                 \
    ht_ctx *ctx = ht_tls;                                                                          \
    if (HT_UNLIKELY(HT_STATE(ctx) != HT_STATE_READY)) return GENERAL(index).malloc(unused, size);  \
    HT_STATE(ctx) = HT_STATE_INSIDE;                                                               \
    void *p = REAL(index).malloc(REAL(index).ctx, size);                                           \
    return record_fast_##family(ctx, p, size, HT_WHAT(HT_OP_ALLOC, HT_KIND_PY_##index));           \
  }                                                                                                \
  static void *name##_calloc_##family(void *unused, size_t count, size_t size) {                   \
    ht_ctx *ctx = ht_tls;                                                                          \
    if (HT_UNLIKELY(HT_STATE(ctx) != HT_STATE_READY))                                              \
      return GENERAL(index).calloc(unused, count, size);                                           \
    HT_STATE(ctx) = HT_STATE_INSIDE;                                                               \
    void *p = REAL(index).calloc(REAL(index).ctx, count, size);                                    \
    return record_fast_##family(ctx, p, count * size, HT_WHAT(HT_OP_ALLOC, HT_KIND_PY_##index));   \
  }                                                                                                \
  static void *name##_realloc_##family(void *unused, void *old, size_t size) {                     \
    ht_ctx *ctx = ht_tls;                                                                          \
    if (HT_UNLIKELY(HT_STATE(ctx) != HT_STATE_READY || old == NULL)) {                             \
      return GENERAL(index).realloc(unused, old, size);                                            \
    }                                                                                              \
    if (HT_UNLIKELY(                                                                               \
            !ht_write_free(ctx, HT_OP_REALLOC_BEGIN, old, HT_KIND_PY_##index, HT_STATE_INSIDE))) { \
      ht_record_free_at(ctx, HT_OP_REALLOC_BEGIN, old, HT_KIND_PY_##index);                        \
      HT_STATE(ctx) = HT_STATE_INSIDE;                                                             \
    }                                                                                              \
    void *p = REAL(index).realloc(REAL(index).ctx, old, size);                                     \
    return record_fast_##family(ctx, p, size, HT_WHAT(HT_OP_REALLOC_END, HT_KIND_PY_##index));     \
  }

// One for all versions.
#define FAST_FREE(name, index)                                                                  \
  static void name##_free_fast(void *unused, void *p) {                                         \
    ht_ctx *ctx = ht_tls;                                                                       \
    if (HT_UNLIKELY(HT_STATE(ctx) != HT_STATE_READY || p == NULL ||                             \
                    !ht_write_free(ctx, HT_OP_FREE, p, HT_KIND_PY_##index, HT_STATE_INSIDE))) { \
      GENERAL(index).free(unused, p);                                                           \
      return;                                                                                   \
    }                                                                                           \
    if (HT_UNLIKELY(ctx->limit == NULL)) ht_take_aside(ctx);                                    \
    REAL(index).free(REAL(index).ctx, p);                                                       \
    HT_STATE(ctx) = HT_STATE_READY;                                                             \
  }

FAST_FREE(mem, MEM)
FAST_FREE(object, OBJECT)
#define F(family) FAST(family, mem, MEM) FAST(family, object, OBJECT)
HT_PY_FAMILIES(F)
#undef F

// In the order of enum ht_py_family.
static const ht_py_allocator hooks[][2] = {
#define F(f)                                                               \
  {{NULL, mem_malloc_##f, mem_calloc_##f, mem_realloc_##f, mem_free_fast}, \
   {NULL, object_malloc_##f, object_calloc_##f, object_realloc_##f, object_free_fast}},
    HT_PY_FAMILIES(F)
#undef F
};

ht_py_allocator ht_py_fast_hooks(unsigned domain) {
  return hooks[ht_py.family][domain - HT_PY_MEM];
}
