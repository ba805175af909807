// The hooks that functions of a linked-in allocator lead to, one for each shape. Each gets up to five
// arguments of the function as they came, and in the sixth the slot of the function it stands for.
//
// While the real function runs, `inside` and `arena` are set: allocators call their own functions, and
// what they map is theirs. No exception may leave it meanwhile (see HT_SHAPE_NEW).
#include <string.h>

#include "hooks.h"
#include "record.h"
#include "statics.h"

#define NOT_NOW (INT64_MAX / 2)

typedef uintptr_t word;
typedef word real_function(word, word, word, word, word);
#define ARGUMENTS word a, word b, word c, word d, word e, const ht_slot *slot
#define REAL(slot, ...) ((real_function *)(uintptr_t)(slot)->real)(__VA_ARGS__)
#define AS_IT_CAME(slot) REAL(slot, a, b, c, d, e)
#define CALLER HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP

// The context to record with, NULL when nothing is to be: paused, off, or inside another hook. `size` is
// charged to a paused thread, so that it looks now and then whether the pause has ended.
HT_ALWAYS_INLINE ht_ctx *recording(size_t size) {
  ht_ctx *ctx = ht_tls;
  if (HT_UNLIKELY(!ht_recording(ctx))) {
    if (ctx->frees == HT_FREES_NONE && !ht_charge(ctx, size)) return NULL;
    ctx = ht_ready(ctx);
    if (!ht_recording(ctx)) return NULL;
  }
  return HT_UNLIKELY(ctx->inside) ? NULL : ctx;
}

HT_ALWAYS_INLINE int64_t enter(ht_ctx *ctx) {
  int64_t left = ctx->left;
  ctx->left = NOT_NOW; // sampling: nothing below charges it again
  ctx->inside = 1;
  ctx->arena = 1;
  return left;
}

HT_ALWAYS_INLINE void leave(ht_ctx *ctx, int64_t left) {
  ctx->arena = 0;
  ctx->inside = 0;
  ctx->left = ctx->frees == HT_FREES_UNKNOWN ? 0 : left; // recalled meanwhile
}

// What is recorded as a block's size. Its real size only this allocator knows, not malloc_usable_size:
// so the recording half must not ask for it.
HT_ALWAYS_INLINE size_t set_size(const ht_ctx *ctx, const ht_slot *slot, word p, size_t size) {
  if (HT_LIKELY(!(ctx->config & HT_CONFIG_USABLE_SIZE)) || slot->usable == NULL) return size;
  return slot->usable((const void *)p);
}

#define WITHOUT_USABLE(ctx, ...)                      \
  do {                                                \
    uint32_t config_ = (ctx)->config;                 \
    (ctx)->config = config_ & ~HT_CONFIG_USABLE_SIZE; \
    __VA_ARGS__;                                      \
    (ctx)->config = config_;                          \
  } while (0)

static HT_NOINLINE void record(ht_ctx *ctx, const ht_slot *slot, word p, size_t size, uintptr_t pc,
                               uintptr_t sp, uintptr_t bp) {
  size = set_size(ctx, slot, p, size);
  WITHOUT_USABLE(ctx, ht_record_alloc(ctx, (void *)p, size, slot->kind, pc, sp, bp));
}

// ---------------------------------------------------------------------------------- allocations

#define ALLOCATED(size, call)                            \
  ht_ctx *ctx = recording(size);                         \
  if (HT_UNLIKELY(ctx == NULL)) return AS_IT_CAME(slot); \
  bool due = ht_charge(ctx, size);                       \
  int64_t left = enter(ctx);                             \
  word p = call;                                         \
  leave(ctx, left);                                      \
  if (HT_UNLIKELY(p == 0)) {                             \
    ctx->left += HT_CHARGE(size);                        \
  } else if (due) {                                      \
    record(ctx, slot, p, size, CALLER);                  \
  }

static word first(ARGUMENTS) {
  ALLOCATED(a, AS_IT_CAME(slot));
  return p;
}

static word second(ARGUMENTS) {
  ALLOCATED(b, AS_IT_CAME(slot));
  return p;
}

static word count(ARGUMENTS) {
  size_t bytes;
  if (__builtin_mul_overflow(a, b, &bytes)) return AS_IT_CAME(slot); // fails
  ALLOCATED(bytes, AS_IT_CAME(slot));
  return p;
}

static word count_second(ARGUMENTS) {
  size_t bytes;
  if (__builtin_mul_overflow(b, c, &bytes)) return AS_IT_CAME(slot);
  ALLOCATED(bytes, AS_IT_CAME(slot));
  return p;
}

static word posix(ARGUMENTS) {
  ht_ctx *ctx = recording(c);
  if (ctx == NULL) return AS_IT_CAME(slot);
  bool due = ht_charge(ctx, c);
  int64_t left = enter(ctx);
  word error = AS_IT_CAME(slot);
  leave(ctx, left);
  if ((int)error != 0) {
    ctx->left += HT_CHARGE(c);
  } else if (due && *(word *)a != 0) {
    record(ctx, slot, *(word *)a, c, CALLER);
  }
  return error;
}

// How long the string is, only its end tells.
static word text(ARGUMENTS) {
  ht_ctx *ctx = recording(0);
  if (ctx == NULL) return AS_IT_CAME(slot);
  int64_t left = enter(ctx);
  word p = AS_IT_CAME(slot);
  leave(ctx, left);
  if (p != 0) {
    size_t size = strlen((const char *)p) + 1;
    if (ht_charge(ctx, size)) record(ctx, slot, p, size, CALLER);
  }
  return p;
}

// -------------------------------------------------------------------------------- reallocations

// `fails_to`: the size to say when it fails; 0 says that the old block is freed all the same.
#define REALLOCATED(old, size, fails_to, call)                            \
  ht_ctx *ctx = recording(size);                                          \
  if (HT_UNLIKELY(ctx == NULL)) return AS_IT_CAME(slot);                  \
  ht_ctx *begun = NULL;                                                   \
  bool due = false;                                                       \
  if ((old) == 0) {                                                       \
    due = ht_charge(ctx, size);                                           \
  } else {                                                                \
    begun = ht_record_realloc_begin(ctx, (void *)(old), slot->kind);      \
  }                                                                       \
  int64_t left = enter(ctx);                                              \
  word p = call;                                                          \
  leave(ctx, left);                                                       \
  if (begun != NULL) {                                                    \
    end_realloc(ctx, slot, old, p, p != 0 ? (size) : (fails_to), CALLER); \
  } else if (p == 0) {                                                    \
    if ((old) == 0) ctx->left += HT_CHARGE(size);                         \
  } else if (due || ((old) != 0 && ht_charge(ctx, size))) {               \
    record(ctx, slot, p, size, CALLER);                                   \
  }

static HT_NOINLINE void end_realloc(ht_ctx *ctx, const ht_slot *slot, word old, word p, size_t size,
                                    uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  if (p != 0) size = set_size(ctx, slot, p, size);
  WITHOUT_USABLE(ctx,
                 ht_record_realloc_end(ctx, (void *)old, (void *)p, size, slot->kind, pc, sp, bp));
}

static word realloc_second(ARGUMENTS) {
  REALLOCATED(a, b, b, AS_IT_CAME(slot));
  return p;
}

static word realloc_free(ARGUMENTS) {
  REALLOCATED(a, b, 0, AS_IT_CAME(slot));
  return p;
}

static word realloc_count(ARGUMENTS) {
  size_t bytes;
  if (__builtin_mul_overflow(b, c, &bytes)) return AS_IT_CAME(slot);
  REALLOCATED(a, bytes, bytes, AS_IT_CAME(slot));
  return p;
}

static word realloc_third(ARGUMENTS) {
  REALLOCATED(a, c, c, AS_IT_CAME(slot));
  return p;
}

static word heap_realloc(ARGUMENTS) {
  REALLOCATED(b, c, c, AS_IT_CAME(slot));
  return p;
}

static word heap_realloc_free(ARGUMENTS) {
  REALLOCATED(b, c, 0, AS_IT_CAME(slot));
  return p;
}

static word heap_realloc_count(ARGUMENTS) {
  size_t bytes;
  if (__builtin_mul_overflow(c, d, &bytes)) return AS_IT_CAME(slot);
  REALLOCATED(b, bytes, bytes, AS_IT_CAME(slot));
  return p;
}

// In place, to at least `b` bytes and at most `b + c`; returns what it is now.
static word resize(ARGUMENTS) {
  ht_ctx *ctx = recording(b);
  if (ctx == NULL) return AS_IT_CAME(slot);
  ht_ctx *begun = ht_record_realloc_begin(ctx, (void *)a, slot->kind);
  int64_t left = enter(ctx);
  word usable = AS_IT_CAME(slot);
  leave(ctx, left);
  if (begun != NULL) {
    bool done = usable >= b;
    end_realloc(ctx, slot, a, done ? a : 0, done ? b : 1, CALLER);
  }
  return usable;
}

// ---------------------------------------------------------------------------------------- frees

static word free_first(ARGUMENTS) {
  ht_ctx *ctx = a == 0 ? NULL : recording(0);
  if (HT_UNLIKELY(ctx == NULL)) return AS_IT_CAME(slot);
  ht_record_free(ctx, (void *)a, slot->kind);
  int64_t left = enter(ctx);
  word result = AS_IT_CAME(slot);
  leave(ctx, left);
  return result;
}

// ------------------------------------------------------------------------------------ operators

static const char nothrow;

#define COMPANION(...) REAL(slot->companion, __VA_ARGS__)
// What the companion could not do is done again by the function itself, for it to throw.
#define OR_THROW                       \
  if (p == 0) return AS_IT_CAME(slot); \
  return p

static word new_one(ARGUMENTS) {
  ALLOCATED(a, COMPANION(a, (word)&nothrow, 0, 0, 0));
  OR_THROW;
}

static word new_aligned(ARGUMENTS) {
  ALLOCATED(a, COMPANION(a, b, (word)&nothrow, 0, 0));
  OR_THROW;
}

static word new_count(ARGUMENTS) {
  size_t bytes;
  if (__builtin_mul_overflow(a, b, &bytes)) return AS_IT_CAME(slot);
  ALLOCATED(bytes, COMPANION(bytes, (word)&nothrow, 0, 0, 0));
  OR_THROW;
}

static word new_realloc(ARGUMENTS) {
  REALLOCATED(a, b, b == 0 ? 1 : b, COMPANION(a, b, 0, 0, 0));
  OR_THROW;
}

static word new_realloc_count(ARGUMENTS) {
  size_t bytes;
  if (__builtin_mul_overflow(b, c, &bytes)) return AS_IT_CAME(slot);
  REALLOCATED(a, bytes, bytes == 0 ? 1 : bytes, COMPANION(a, bytes, 0, 0, 0));
  OR_THROW;
}

const void *const ht_static_hooks[HT_SHAPES] = {
    [HT_SHAPE_FIRST] = first,
    [HT_SHAPE_SECOND] = second,
    [HT_SHAPE_COUNT] = count,
    [HT_SHAPE_COUNT_SECOND] = count_second,
    [HT_SHAPE_POSIX] = posix,
    [HT_SHAPE_TEXT] = text,
    [HT_SHAPE_REALLOC] = realloc_second,
    [HT_SHAPE_REALLOC_FREE] = realloc_free,
    [HT_SHAPE_REALLOC_COUNT] = realloc_count,
    [HT_SHAPE_REALLOC_THIRD] = realloc_third,
    [HT_SHAPE_HEAP_REALLOC] = heap_realloc,
    [HT_SHAPE_HEAP_REALLOC_FREE] = heap_realloc_free,
    [HT_SHAPE_HEAP_REALLOC_COUNT] = heap_realloc_count,
    [HT_SHAPE_RESIZE] = resize,
    [HT_SHAPE_FREE] = free_first,
    [HT_SHAPE_NEW] = new_one,
    [HT_SHAPE_NEW_ALIGNED] = new_aligned,
    [HT_SHAPE_NEW_COUNT] = new_count,
    [HT_SHAPE_NEW_REALLOC] = new_realloc,
    [HT_SHAPE_NEW_REALLOC_COUNT] = new_realloc_count,
};
