// Writing allocation events: the part of the hot path that all hooks share.
#ifndef HEAPTIDE_RECORD_H
#define HEAPTIDE_RECORD_H

#include "agent.h"

// An event of 2 to 4 words: with both stacks, or a size of 4 GiB or more, or any other.
void ht_record_alloc_long(ht_ctx *ctx, uint64_t word, size_t size, uint64_t stacks);

bool ht_sample_alloc(ht_ctx *ctx, const void *p);
bool ht_sample_free(ht_ctx *ctx, const void *p);

// Whether `p` may be a sampled block: one load of 8 KiB that stay in the first-level cache. Only then is
// ht_sample_free worth its call.
#define HT_SAMPLE_BITS 65536u
extern uint64_t ht_sample_bitmap[HT_SAMPLE_BITS / 64];
HT_ALWAYS_INLINE uint32_t ht_sample_bit(uintptr_t p) {
  return (uint32_t)((p * 0x9e3779b97f4a7c15ull) >> 48);
}
HT_ALWAYS_INLINE bool ht_sample_maybe(const void *p) {
  uint32_t bit = ht_sample_bit((uintptr_t)p);
  return __atomic_load_n(&ht_sample_bitmap[bit / 64], __ATOMIC_RELAXED) >> (bit % 64) & 1;
}

// Sampling: whether the block that a realloc has just made is chosen. By its own size, like any other:
// following a chosen block through its reallocs would count small beginnings as often as they grow.
HT_ALWAYS_INLINE bool ht_sample_chosen(ht_ctx *ctx, const void *p, size_t size) {
  return ht_charge(ctx, size) && ht_sample_alloc(ctx, p);
}

// The stacks of an event: Python node in the high half, native node in the low half, 0 for none.
typedef uint64_t ht_stacks;
#define HT_STACKS(python, native) ((uint64_t)(python) << 32 | (uint32_t)(native))

// An ALLOC or REALLOC_END event with stacks already captured. `kind` may carry HT_ALLOC_FREED. 2 to 4
// words.
HT_ALWAYS_INLINE void ht_record_alloc_at(ht_ctx *ctx, unsigned op, const void *p, size_t size,
                                         unsigned kind, ht_stacks stacks) {
  uint64_t python = stacks & 0xffffffff00000000ull, native = stacks << 32;
  uint64_t word = HT_WORD(op, kind, (uint64_t)(uintptr_t)p);
  if (HT_LIKELY((python == 0 || native == 0) && size <= UINT32_MAX)) {
    uint64_t *w = ht_reserve(&ctx, 2);
    w[1] = (uint64_t)size | python | native;
    ht_commit(ctx, w, word);
    return;
  }
  ht_record_alloc_long(ctx, word, size, stacks);
}

HT_ALWAYS_INLINE void ht_record_free_at(ht_ctx *ctx, unsigned op, const void *p, unsigned kind) {
  uint64_t *w = ht_reserve(&ctx, 1);
  ht_commit(ctx, w, HT_WORD(op, kind, (uint64_t)(uintptr_t)p));
}

// The same for a context whose state is HT_STATE_READY or, in between, _CAPTURE. `then`: its state afterwards. False: no room for the event, or it needs more than two words;
// nothing is done, and the state is READY. Else look at ctx->limit: others may wait aside by then.
HT_ALWAYS_INLINE bool ht_write_alloc(ht_ctx *ctx, unsigned op, const void *p, size_t size,
                                     unsigned kind, ht_stacks stacks, uint32_t then) {
  HT_STATE(ctx) = HT_STATE_WRITE;
  atomic_signal_fence(memory_order_seq_cst);
  uint64_t *w = ctx->w;
  uint64_t python = stacks & 0xffffffff00000000ull, native = stacks << 32;
  if (HT_UNLIKELY(w + 2 > ctx->limit || size > UINT32_MAX || (python != 0 && native != 0))) {
    HT_STATE(ctx) = HT_STATE_READY;
    return false;
  }
  ctx->w = w + 2;
  w[1] = (uint64_t)size | python | native;
  ht_publish(w, HT_WORD(op, kind, (uint64_t)(uintptr_t)p));
  HT_STATE(ctx) = then;
  return true;
}

HT_ALWAYS_INLINE bool ht_write_free(ht_ctx *ctx, unsigned op, const void *p, unsigned kind,
                                    uint32_t then) {
  HT_STATE(ctx) = HT_STATE_WRITE;
  atomic_signal_fence(memory_order_seq_cst);
  uint64_t *w = ctx->w;
  if (HT_UNLIKELY(w >= ctx->limit)) {
    HT_STATE(ctx) = HT_STATE_READY;
    return false;
  }
  ctx->w = w + 1;
  ht_publish(w, HT_WORD(op, kind, (uint64_t)(uintptr_t)p));
  HT_STATE(ctx) = then;
  return true;
}

// The rare ends of a fast hook, in tail position so that the hook itself saves few registers. `what`:
// the op, and the kind above it. Both return p.
#define HT_WHAT(op, kind) ((op) | (kind) << 8)
void *ht_record_slow(ht_ctx *ctx, void *p, size_t size, unsigned what, uint32_t python_node);
void *ht_record_aside(ht_ctx *ctx, void *p);

// For a context that does not record everything: the context to record this allocation with, or NULL
// when it is not to be.
ht_ctx *ht_record_unusual(ht_ctx *ctx, void *p, size_t size);
size_t ht_usable_size(void *p);

// Captures the stacks of an event outside CPython's object allocators: none in a signal handler on top of
// a capture. With nothing to capture, two loads and a test.
ht_stacks ht_capture_stacks(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp);
// The same without a look at ctx->busy: it is the caller's to set.
ht_stacks ht_capture_now(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp);

HT_ALWAYS_INLINE bool ht_has_stacks(const ht_ctx *ctx) {
  return ht_python_present | (ctx->config & (HT_CONFIG_NATIVE_AUTO | HT_CONFIG_NATIVE_ALL));
}

HT_ALWAYS_INLINE ht_stacks ht_capture(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  return ht_has_stacks(ctx) ? ht_capture_stacks(ctx, pc, sp, bp) : 0;
}

// ht_record_alloc for the one hook where the call counts: by a context whose state was HT_STATE_READY when
// the hook began, of the requested size, with stacks.
HT_ALWAYS_INLINE void ht_record_alloc_inline(ht_ctx *ctx, void *p, size_t size, unsigned kind,
                                             uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  HT_STATE(ctx) = HT_STATE_CAPTURE;
  // Without Python they are asked for because of the native one.
  ht_stacks stacks = HT_LIKELY(!ht_python_present) ? ht_native_stack(ctx, pc, sp, bp)
                                                   : ht_capture_now(ctx, pc, sp, bp);
  if (HT_UNLIKELY(!ht_write_alloc(ctx, HT_OP_ALLOC, p, size, kind, stacks, HT_STATE_READY))) {
    ht_record_alloc_long(ctx, HT_WORD(HT_OP_ALLOC, kind, (uint64_t)(uintptr_t)p), size, stacks);
  } else if (HT_UNLIKELY(ctx->limit == NULL)) {
    ht_take_aside(ctx);
  }
}

// Records a free about to be made. True unless the context had nothing to say.
HT_ALWAYS_INLINE void ht_record_free(ht_ctx *ctx, const void *p, unsigned kind) {
  if (HT_UNLIKELY(ctx->frees != HT_FREES_ALL)) {
    if (ctx->frees == HT_FREES_NONE) return;
    if (ctx->frees == HT_FREES_UNKNOWN) ctx = ht_ready(ctx);
    if (!ht_recording(ctx)) return;
    if (ctx->frees == HT_FREES_SAMPLED && !(ht_sample_maybe(p) && ht_sample_free(ctx, p))) return;
  }
  if (HT_UNLIKELY(ctx->inside)) return;
  ht_record_free_at(ctx, HT_OP_FREE, p, kind);
}

// realloc in two halves around the real call. Begin returns the context to end with, or NULL when the
// call is not to be recorded.
ht_ctx *ht_record_realloc_begin(ht_ctx *ctx, const void *old, unsigned kind);
void ht_record_realloc_end(ht_ctx *ctx, const void *old, void *p, size_t size, unsigned kind,
                           uintptr_t pc, uintptr_t sp, uintptr_t bp);

// Mappings; kind MMAP, SBRK or ARENA.
void ht_record_map(ht_ctx *ctx, void *p, size_t size, unsigned kind, uintptr_t pc, uintptr_t sp,
                   uintptr_t bp);
void ht_record_unmap(ht_ctx *ctx, void *p, size_t size, unsigned kind);
void ht_record_remap(ht_ctx *ctx, void *old, size_t old_size, void *p, size_t size, uintptr_t pc,
                     uintptr_t sp, uintptr_t bp);

#endif
