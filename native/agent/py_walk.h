// The hot half of the Python walk, inlined into every hook that needs it.
//
// A thread keeps its last stack as an array of (frame, instruction) pairs, outermost first. The next
// walk re-reads the same frames and compares: addresses come from the array, not from the chain, so the
// loads do not wait for each other. About 0.5 ns a frame. Comparing runs from the innermost frame
// outwards and stops at the first difference, so that only frames proven live are read.
#ifndef HEAPTIDE_PY_WALK_H
#define HEAPTIDE_PY_WALK_H

#include "py.h"

// What must be unchanged in a frame for its place in the stack to be the same. From 3.11 the address of
// the instruction, which lies inside the code object; it is even, and in 3.11 itself bit 0 is the mark of
// a frame entered from C. Before, a mix of code object and index: two agree by chance once in 2^64.
HT_ALWAYS_INLINE uintptr_t ht_py_frame_word(uintptr_t frame, const ht_py_shape *s) {
  if (s->index_unit == 0) {
    uintptr_t entry = s->entry != 0 ? ht_py_byte(frame + s->entry) & 1 : 0;
    return ht_py_word(frame + s->instr) | entry;
  }
  return ht_py_word(frame + s->code) +
         (uintptr_t)(intptr_t)ht_py_int(frame + s->instr) * 0x9e3779b97f4a7c15ull;
}

// The thread state that runs Python in this thread right now; 0: none.
HT_ALWAYS_INLINE uintptr_t ht_py_attached(const ht_py_shape *s) {
  if (!s->shims) return *(const volatile uintptr_t *)ht_py.attached; // the holder of the GIL's
  if (HT_LIKELY(ht_py.tls != 0)) {
#ifdef __x86_64__
    uintptr_t tstate;
    __asm__ volatile("mov %%fs:(%1), %0" : "=r"(tstate) : "r"(ht_py.tls));
    return tstate;
#else
    return ht_py_word(ht_thread_pointer() + (uintptr_t)ht_py.tls);
#endif
  }
  return ht_py.attached_thread();
}

// While the interpreter shuts down only the thread that does so has a state for sure: those of others
// are freed under them.
HT_COLD uintptr_t ht_py_last_thread(void);
uintptr_t ht_py_any_thread(void);

// Innermost frame of the thread; 0: none.
HT_ALWAYS_INLINE uintptr_t ht_py_head(bool gil_held, const ht_py_shape *s) {
  uintptr_t tstate;
  if (!gil_held) {
    tstate = ht_py_any_thread();
  } else if (HT_LIKELY(s->shims || *(const volatile uintptr_t *)ht_py.finalizing == 0)) {
    tstate = ht_py_attached(s); // 3.12+ clears it before it frees it
  } else {
    tstate = ht_py_last_thread();
  }
  if (HT_UNLIKELY(tstate == 0)) return 0;
  uintptr_t top = ht_py_word(tstate + s->top);
  if (s->record < 0) return top;
  return HT_LIKELY(top != 0) ? ht_py_word(top + (uintptr_t)s->record) : 0;
}

// The innermost cached frame from `at` outwards that is not as it was; c->frames, the sentinel: none.
// The frame at `at` must be known to be alive.
HT_ALWAYS_INLINE const ht_py_frame *ht_py_verify(const ht_py_cache *c, const ht_py_frame *at,
                                                 const ht_py_shape *s) {
  uintptr_t frame = at->frame, outer;
  // `next` is hidden from the compiler, which would go on from `outer`, and so wait for that load.
#define STEP(i)                                                                    \
  {                                                                                \
    if (HT_UNLIKELY(ht_py_frame_word(frame, s) != at[-(i)].word)) return at - (i); \
    uintptr_t expected = at[-(i) - 1].frame, next = expected;                      \
    outer = ht_py_word(frame + s->previous);                                       \
    __asm__("" : "+r"(next));                                                      \
    if (HT_UNLIKELY(outer != expected)) {                                          \
      at -= (i);                                                                   \
      break;                                                                       \
    }                                                                              \
    frame = next;                                                                  \
  }
  for (;; at -= 4) {
    STEP(0)
    STEP(1)
    STEP(2)
    STEP(3)
  }
#undef STEP
  return outer == 0 && at - 1 == c->frames ? c->frames : at;
}

// Whether the stack from `head` (not 0) is the cached one.
HT_ALWAYS_INLINE bool ht_py_same(const ht_py_cache *c, uintptr_t head, const ht_py_shape *s) {
  uint32_t epoch = atomic_load_explicit(&ht.code_epoch, memory_order_relaxed);
  if (HT_UNLIKELY(head != c->head || epoch != c->epoch)) return false;
  return ht_py_verify(c, c->top, s) == c->frames;
}

HT_ALWAYS_INLINE uint32_t ht_py_stack_inline(ht_ctx *ctx, bool gil_held, const ht_py_shape *s,
                                             uint32_t (*changed)(ht_ctx *, uintptr_t)) {
  uintptr_t head = ht_py_head(gil_held, s);
  if (HT_UNLIKELY(head == 0)) return HT_NODE_NONE;
  return HT_LIKELY(ht_py_same(&ctx->py, head, s)) ? ctx->py.node : changed(ctx, head);
}

// The cold half, one for each family: brings the cache up to date.
#define F(name) uint32_t ht_py_changed_##name(ht_ctx *ctx, uintptr_t head);
HT_PY_FAMILIES(F)
#undef F

static const ht_py_shape ht_py_shape_3_9 = HT_PY_SHAPE_3_9;
static const ht_py_shape ht_py_shape_3_10 = HT_PY_SHAPE_3_10;
static const ht_py_shape ht_py_shape_3_11 = HT_PY_SHAPE_3_11;
static const ht_py_shape ht_py_shape_3_12 = HT_PY_SHAPE_3_12;
static const ht_py_shape ht_py_shape_3_13 = HT_PY_SHAPE_3_13;
#define ht_py_shape_other ht_py.layout.shape

#endif
