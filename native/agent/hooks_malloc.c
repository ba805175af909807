// The malloc family.
//
// Each allocation hook begins with one test that covers every mode (see ht_ctx.left), then calls on in
// tail position. Recorded: allocations after the call, frees before it, so that the collector sees
// alloc and free of one address alternate whatever the threads do.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "hooks.h"
#include "record.h"

#ifndef __OPTIMIZE__
#error "the hooks call on in tail position: build with optimisation"
#endif

// Memory for what dlsym allocates while the real functions are being looked up.
static char early[16384] __attribute__((aligned(16)));
static _Atomic uint32_t early_used;

bool ht_is_early(const void *p) { return (uintptr_t)p - (uintptr_t)early < sizeof early; }
bool ht_early_in_use(void) { return early_used != 0; }

void *ht_early_alloc(size_t size, size_t alignment) {
  if (alignment < 16) alignment = 16;
  uint32_t room = (uint32_t)(size + 2 * alignment + 15) & ~15u;
  uint32_t at = atomic_fetch_add(&early_used, room);
  if (size > sizeof early || at + room > sizeof early) return NULL;
  uintptr_t p = (uintptr_t)early + at + alignment;
  p -= p % alignment;
  ((size_t *)p)[-1] = size; // behind at least 16 bytes of room
  return (void *)p;
}

static void *leave_early(void *old, size_t size) {
  size_t old_size = ((size_t *)old)[-1];
  char *p = malloc(size);
  for (size_t i = 0; p != NULL && i < size && i < old_size; i++) p[i] = ((char *)old)[i];
  return p;
}

// True when the allocation is to be recorded: charged to the thread, and its budget is spent.
#define CHARGED(ctx, size) HT_UNLIKELY(ht_charge(ctx, size))
// For one that then failed.
#define REFUND(ctx, size) ((ctx)->left += HT_CHARGE(size))
#define RECORD(ctx, p, size) \
  ht_record_alloc(ctx, p, size, HT_KIND_MALLOC, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP)

// Apart, so that the hook itself saves no registers when it only calls on.
// Entered by a jump: its caller is malloc's.
static HT_NOINLINE void *record_malloc(ht_ctx *ctx, size_t size) {
  void *p = ht_real.malloc(size);
  if (HT_LIKELY(p != NULL)) {
    RECORD(ctx, p, size);
  } else {
    REFUND(ctx, size);
  }
  return p;
}

// The same where everything is recorded, and so nothing charged: with stacks, and without. At most
// UINT32_MAX bytes.
static HT_NOINLINE void *record_malloc_stacks(ht_ctx *ctx, size_t size) {
  if (size > UINT32_MAX) __builtin_unreachable();
  void *p = ht_real.malloc(size);
  if (HT_LIKELY(p != NULL)) {
    ht_record_alloc_inline(ctx, p, size, HT_KIND_MALLOC, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  }
  return p;
}

static HT_NOINLINE void *record_malloc_only(ht_ctx *ctx, size_t size) {
  if (size > UINT32_MAX) __builtin_unreachable();
  void *p = ht_real.malloc(size);
  if (HT_UNLIKELY(p == NULL)) return NULL;
  if (HT_UNLIKELY(!ht_write_alloc(ctx, HT_OP_ALLOC, p, size, HT_KIND_MALLOC, 0, HT_STATE_READY))) {
    return ht_record_slow(ctx, p, size, HT_WHAT(HT_OP_ALLOC, HT_KIND_MALLOC), HT_NODE_NONE);
  }
  return HT_UNLIKELY(ctx->limit == NULL) ? ht_record_aside(ctx, p) : p;
}

HT_EXPORT void *malloc(size_t size) {
  ht_ctx *ctx = ht_tls;
  if (HT_LIKELY(HT_STATE(ctx) == HT_STATE_READY && size <= UINT32_MAX &&
                !(ctx->config & HT_CONFIG_USABLE_SIZE))) {
    return ht_has_stacks(ctx) ? record_malloc_stacks(ctx, size) : record_malloc_only(ctx, size);
  }
  if (!CHARGED(ctx, size)) return ht_real.malloc(size);
  return record_malloc(ctx, size);
}

// Everything but a free that is simply recorded, or not at all.
static HT_NOINLINE void free_unusual(ht_ctx *ctx, void *p) {
  if (p == NULL) return;
  ht_record_free(ctx, p, HT_KIND_MALLOC);
  ht_real.free(p);
}

static HT_NOINLINE void free_aside(ht_ctx *ctx, void *p) {
  ht_take_aside(ctx);
  ht_real.free(p);
}

// 14 instructions before the real free.
HT_EXPORT void free(void *p) {
  ht_ctx *ctx = ht_tls;
  if (HT_LIKELY(HT_STATE(ctx) == HT_STATE_READY && p != NULL)) {
    if (HT_UNLIKELY(!ht_write_free(ctx, HT_OP_FREE, p, HT_KIND_MALLOC, HT_STATE_READY)))
      return free_unusual(ctx, p);
    if (HT_UNLIKELY(ctx->limit == NULL)) return free_aside(ctx, p);
    return ht_real.free(p);
  }
  if (HT_LIKELY(ctx->frees == HT_FREES_NONE)) return ht_real.free(p);
  if (HT_LIKELY(ctx->frees == HT_FREES_SAMPLED && !ht_sample_maybe(p))) return ht_real.free(p);
  free_unusual(ctx, p);
}

// For the functions here that a program with a free of its own may leave to us.
static void free_by_program(void *p) {
  if (HT_UNLIKELY(ht_program_free != NULL)) return ht_program_free(p);
  free(p);
}

HT_EXPORT void free_sized(void *p, size_t size);
HT_EXPORT void free_sized(void *p, size_t size) {
  (void)size;
  free_by_program(p);
}

HT_EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size);
HT_EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size) {
  (void)alignment, (void)size;
  free_by_program(p);
}

HT_EXPORT void cfree(void *p);
HT_EXPORT void cfree(void *p) { free_by_program(p); }

HT_EXPORT void *calloc(size_t count, size_t size) {
  ht_ctx *ctx = ht_tls;
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return ht_real.calloc(count, size); // fails
  if (!CHARGED(ctx, bytes)) return ht_real.calloc(count, size);
  void *p = ht_real.calloc(count, size);
  if (HT_LIKELY(p != NULL)) {
    RECORD(ctx, p, bytes);
  } else {
    REFUND(ctx, bytes);
  }
  return p;
}

static inline void *do_realloc(void *old, size_t size, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  ht_ctx *ctx = ht_tls;
  if (old == NULL) {
    bool charged = CHARGED(ctx, size);
    void *p = ht_real.realloc(NULL, size);
    if (p == NULL) {
      REFUND(ctx, size);
    } else if (charged) {
      ht_record_alloc(ctx, p, size, HT_KIND_MALLOC, pc, sp, bp);
    }
    return p;
  }
  if (HT_UNLIKELY(ht_is_early(old))) return leave_early(old, size);
  if (ctx->frees == HT_FREES_NONE) return ht_real.realloc(old, size);
  ht_ctx *recording = ht_record_realloc_begin(ctx, old, HT_KIND_MALLOC);
  void *p = ht_real.realloc(old, size);
  if (recording != NULL) {
    ht_record_realloc_end(recording, old, p, size, HT_KIND_MALLOC, pc, sp, bp);
  } else if (p != NULL && CHARGED(ht_tls, size) && ht_tls->frees == HT_FREES_SAMPLED) {
    ht_record_alloc(ht_tls, p, size, HT_KIND_MALLOC, pc, sp, bp);
  }
  return p;
}

HT_EXPORT void *realloc(void *old, size_t size) {
  return do_realloc(old, size, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
}

HT_EXPORT void *reallocarray(void *old, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  if (HT_UNLIKELY(ht_program_realloc != NULL)) return ht_program_realloc(old, bytes);
  return do_realloc(old, bytes, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
}

HT_EXPORT int posix_memalign(void **to, size_t alignment, size_t size) {
  ht_ctx *ctx = ht_tls;
  bool charged = CHARGED(ctx, size);
  int error = ht_real.posix_memalign(to, alignment, size);
  if (error != 0) {
    REFUND(ctx, size);
  } else if (charged && *to != NULL) {
    RECORD(ctx, *to, size);
  }
  return error;
}

#define ALIGNED(call)                \
  ht_ctx *ctx = ht_tls;              \
  bool charged = CHARGED(ctx, size); \
  void *p = call;                    \
  if (p == NULL) {                   \
    REFUND(ctx, size);               \
  } else if (charged) {              \
    RECORD(ctx, p, size);            \
  }                                  \
  return p

HT_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
  ALIGNED(ht_real.aligned_alloc(alignment, size));
}
HT_EXPORT void *memalign(size_t alignment, size_t size) {
  ALIGNED(ht_real.memalign(alignment, size));
}
HT_EXPORT void *valloc(size_t size) { ALIGNED(ht_real.valloc(size)); }
HT_EXPORT void *pvalloc(size_t size) { ALIGNED(ht_real.pvalloc(size)); }
