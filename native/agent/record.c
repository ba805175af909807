// The recording halves of the hooks.
#include "record.h"

#include "hooks.h"

void ht_record_alloc_long(ht_ctx *ctx, uint64_t word, size_t size, ht_stacks stacks) {
  bool both = stacks >> 32 != 0 && (uint32_t)stacks != 0;
  bool big = size > UINT32_MAX;
  uint64_t first = stacks >> 32 != 0 ? stacks >> 32 : stacks;
  unsigned words = 2u + both + big;
  uint64_t *w = ht_reserve(&ctx, words);
  w[1] = (big ? 0 : (uint64_t)size) | first << 32;
  if (both) w[2] = (uint32_t)stacks;
  if (big) w[words - 1] = size;
  ht_commit(ctx, w,
            word | (uint64_t)((both ? HT_ALLOC_NATIVE : 0) | (big ? HT_ALLOC_BIG : 0)) << 48);
}

void *ht_record_slow(ht_ctx *ctx, void *p, size_t size, unsigned what, uint32_t python_node) {
  ht_record_alloc_at(ctx, what & 0xff, p, size, what >> 8, HT_STACKS(python_node, 0));
  return p;
}

void *ht_record_aside(ht_ctx *ctx, void *p) {
  ht_take_aside(ctx);
  return p;
}

ht_stacks ht_capture_now(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  uint32_t python = ht_python_present ? ht_python_stack(ctx, false) : 0;
  uint32_t native = 0;
  if (ctx->config & (HT_CONFIG_NATIVE_AUTO | HT_CONFIG_NATIVE_ALL)) {
    native = ht_native_stack(ctx, pc, sp, bp);
  }
  return HT_STACKS(python, native);
}

ht_stacks ht_capture_stacks(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  if (HT_UNLIKELY(ctx->busy) && !ht_abandoned(ctx)) return 0; // in a handler on top of a capture
  ctx->busy = HT_BUSY_CAPTURE;
  ht_stacks stacks = ht_capture_now(ctx, pc, sp, bp);
  ctx->busy = 0;
  return stacks;
}

size_t ht_usable_size(void *p) { return ht_real.malloc_usable_size(p); }

static size_t recorded_size(const ht_ctx *ctx, void *p, size_t size) {
  return HT_UNLIKELY(ctx->config & HT_CONFIG_USABLE_SIZE) ? ht_usable_size(p) : size;
}

ht_ctx *ht_record_unusual(ht_ctx *ctx, void *p, size_t size) {
  bool was_recording = ht_recording(ctx);
  if (!was_recording) ctx = ht_ready(ctx);
  if (!ht_recording(ctx) || ctx->frees == HT_FREES_ONLY) return NULL;
  if (ctx->frees == HT_FREES_SAMPLED) {
    // A context just set up has not charged this allocation yet.
    if (!was_recording && !ht_charge(ctx, size)) return NULL;
    if (ctx->inside) {
      ctx->left = 1; // the hook around this one charges its own allocation
      return NULL;
    }
    if (!ht_sample_alloc(ctx, p)) return NULL;
  }
  return ctx;
}

void ht_record_alloc(ht_ctx *ctx, void *p, size_t size, enum ht_kind kind, uintptr_t pc,
                     uintptr_t sp, uintptr_t bp) {
  if (HT_UNLIKELY(ctx->frees != HT_FREES_ALL)) {
    ctx = ht_record_unusual(ctx, p, size);
    if (ctx == NULL) return;
  }
  if (HT_UNLIKELY(ctx->inside)) return;
  ht_stacks stacks = ht_capture(ctx, pc, sp, bp);
  ht_record_alloc_at(ctx, HT_OP_ALLOC, p, recorded_size(ctx, p, size), kind, stacks);
}

ht_ctx *ht_record_realloc_begin(ht_ctx *ctx, const void *old, unsigned kind) {
  if (HT_UNLIKELY(!ht_recording(ctx))) {
    ctx = ht_ready(ctx);
    if (!ht_recording(ctx)) return NULL;
  }
  if (ctx->inside) return NULL;
  if (ctx->frees == HT_FREES_SAMPLED && !ht_sample_free(ctx, old)) return NULL;
  if (ctx->frees == HT_FREES_ONLY) {
    ht_record_free_at(ctx, HT_OP_FREE, old, kind);
    return NULL;
  }
  ht_record_free_at(ctx, HT_OP_REALLOC_BEGIN, old, kind);
  return ctx;
}

void ht_record_realloc_end(ht_ctx *ctx, const void *old, void *p, size_t size, unsigned kind,
                           uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  if (p == NULL) {
    unsigned freed = size == 0 ? HT_ALLOC_FREED : 0; // glibc: realloc(p, 0) frees and returns NULL
    if (ctx->frees == HT_FREES_SAMPLED && !freed) ht_sample_alloc(ctx, old);
    ht_record_alloc_at(ctx, HT_OP_REALLOC_END, NULL, 0, kind | freed, 0);
    return;
  }
  if (ctx->frees == HT_FREES_SAMPLED && !ht_sample_chosen(ctx, p, size)) {
    ht_record_alloc_at(ctx, HT_OP_REALLOC_END, NULL, 0, kind | HT_ALLOC_FREED, 0);
    return;
  }
  ht_stacks stacks = ht_capture(ctx, pc, sp, bp);
  ht_record_alloc_at(ctx, HT_OP_REALLOC_END, p, recorded_size(ctx, p, size), kind, stacks);
}

static ht_ctx *ready_for_mapping(ht_ctx *ctx) {
  if (!ht_recording(ctx)) ctx = ht_ready(ctx);
  return ht_recording(ctx) ? ctx : NULL;
}

void ht_record_map(ht_ctx *ctx, void *p, size_t size, unsigned kind, uintptr_t pc, uintptr_t sp,
                   uintptr_t bp) {
  if ((ctx = ready_for_mapping(ctx)) == NULL) return;
  if (ctx->frees == HT_FREES_ONLY && kind == HT_KIND_MMAP) return;
  ht_stacks stacks = ht_capture(ctx, pc, sp, bp);
  ht_record_alloc_at(ctx, HT_OP_ALLOC, p, size, kind, stacks);
}

void ht_record_unmap(ht_ctx *ctx, void *p, size_t size, unsigned kind) {
  if ((ctx = ready_for_mapping(ctx)) == NULL) return;
  // The stack of a fiber goes: what is remembered of it must not be read again.
  if ((uintptr_t)p < ctx->native.stack_high && (uintptr_t)p + size > ctx->native.stack_low) {
    ctx->native.first = ctx->native.capacity;
  }
  uint64_t *w = ht_reserve(&ctx, 2);
  w[1] = size;
  ht_commit(ctx, w, HT_WORD(HT_OP_UNMAP, kind, (uint64_t)(uintptr_t)p));
}

void ht_record_remap(ht_ctx *ctx, void *old, size_t old_size, void *p, size_t size, uintptr_t pc,
                     uintptr_t sp, uintptr_t bp) {
  if ((ctx = ready_for_mapping(ctx)) == NULL) return;
  ht_stacks stacks = ht_capture(ctx, pc, sp, bp);
  uint64_t *w = ht_reserve(&ctx, 5);
  w[1] = old_size;
  w[2] = (uint64_t)(uintptr_t)p;
  w[3] = size;
  w[4] = stacks >> 32 != 0 ? stacks : stacks << 32;
  ht_commit(ctx, w, HT_WORD(HT_OP_REMAP, HT_KIND_MMAP, (uint64_t)(uintptr_t)old));
}
