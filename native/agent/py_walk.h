// The hot half of the Python walk, inlined into every hook that needs it.
//
// A thread keeps its last stack as an array of (frame, instruction) pairs, outermost first. The next
// walk re-reads the same frames and compares: addresses come from the array, not from the chain, so the
// loads do not wait for each other. About 0.5 ns a frame. Comparing runs from the innermost frame
// outwards and stops at the first difference, so that only frames proven live are read.
//
// Deep stacks are not compared to their end. From 3.11 the frames of functions lie on a stack of chunks,
// 16 KiB each, and a chunk is given back through our arena hook when its first frame ends. While that
// has not happened, the first frame is the one that was seen there, and as long as that runs nothing
// further out moves: no pointer between frames, no instruction. In front of it the array has a wall, an
// entry without a frame. Later releases of 3.13 and 3.14 keep one chunk back for the next call, so the
// innermost wall proves nothing; the one outside of it does.
//
// Before 3.11 (frames on the heap, many of them from free lists), and without hooks on CPython's
// allocators, nothing tells that a frame has ended: every frame is compared.
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

#define HT_PY_NO_FRAME \
  ((uintptr_t)1)               // of frames[0] and walls: no frame's address, nor a chain's end
#define HT_PY_SILENT_CHUNKS 1u // chunks that may end and begin again without a call of our hook

// The innermost cached frame from `at` outwards that is not as it was; c->frames, the sentinel: none.
// The frame at `at` must be known to be alive. With walls, two chunks of frames are read.
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
  for (unsigned walls = 0;; walls++) {
    for (;; at -= 4) {
      STEP(0)
      STEP(1)
      STEP(2)
      STEP(3)
    }
    if (HT_LIKELY(at - 1 == c->frames)) return outer == 0 ? c->frames : at;
    if (at[-1].frame != HT_PY_NO_FRAME) return at;
    if (walls == HT_PY_SILENT_CHUNKS) return c->frames;
    if (outer != at[-2].frame) return at;
    at -= 2;
    frame = outer;
  }
#undef STEP
}

// The thread's recent look-ups: node by parent and frame word. 4 KiB, so that the usual change of stack
// (the next instruction, a call, a return) touches neither code objects nor the trie.
#define HT_PY_MEMO_SLOTS 256u
typedef struct ht_py_memo {
  uintptr_t word; // with bit 0 for a frame entered from C; before 3.11 all are
  uint32_t parent, node;
} ht_py_memo;

enum ht_py_node_flags {
  HT_PY_IS_ENTRY = 1, // entered from C
  HT_PY_IS_SHIM = 2,  // no node of its own; the next inner frame was entered from C
  HT_PY_FLAGS = 3,
  HT_PY_WALL_SHIFT =
      2, // in a wall, above the flags of the frame outside of it: the next outer wall
};

HT_ALWAYS_INLINE ht_py_memo *ht_py_memo_of(const ht_py_cache *c, uint32_t parent, uintptr_t word) {
  return &c->memo[(word >> 1 ^ parent * 0x9e3779b1u) % HT_PY_MEMO_SLOTS];
}

// Whether the frames from `head` (not 0) are the cached ones, the innermost one perhaps at another
// instruction that the memo knows; c->node is then the stack's. The innermost frame's node is looked
// up in any case: whether it has moved is as good as random, and nothing waits for the node.
HT_ALWAYS_INLINE bool ht_py_same(ht_py_cache *c, uintptr_t head, const ht_py_shape *s) {
  uint32_t epoch = atomic_load_explicit(&ht.code_epoch, memory_order_relaxed);
  if (HT_UNLIKELY(head != c->head || epoch != c->epoch)) return false;
  uint32_t depth = c->depth;
  ht_py_frame *top = &c->frames[depth];
  ht_py_node *node = &c->nodes[depth];
  uintptr_t word = ht_py_frame_word(head, s), outer = ht_py_word(head + s->previous);
  if (HT_LIKELY(depth > 1)) {
    if (HT_UNLIKELY(outer != top[-1].frame || ht_py_verify(c, top - 1, s) != c->frames))
      return false;
  } else if (outer != 0) {
    return false;
  }
  if (s->shims && HT_UNLIKELY(node->flags & HT_PY_IS_SHIM)) return word == top->word;
  uintptr_t memo_word = s->shims ? word | (node->flags & HT_PY_IS_ENTRY) : word;
  uint32_t parent = node[-1].node;
  const ht_py_memo *memo = ht_py_memo_of(c, parent, memo_word);
  if (HT_UNLIKELY(memo->word != memo_word || memo->parent != parent)) return word == top->word;
  top->word = word;
  c->node = node->node = memo->node;
  return true;
}

HT_ALWAYS_INLINE uint32_t ht_py_stack_inline(ht_ctx *ctx, bool gil_held, const ht_py_shape *s,
                                             uint32_t (*changed)(ht_ctx *, uintptr_t)) {
  uintptr_t head = ht_py_head(gil_held, s);
  if (HT_UNLIKELY(head == 0)) return HT_NODE_NONE;
  return HT_LIKELY(ht_py_same(&ctx->py, head, s)) ? ctx->py.node : changed(ctx, head);
}

// The chunks of this thread's data stack (py_chunks.c), as the arena hooks see them. `gone` holds whether
// anything is recorded or not.
void ht_py_chunk_new(ht_ctx *ctx, void *p, size_t size);
void ht_py_chunk_gone(ht_ctx *ctx, void *p, size_t size);
void ht_py_chunks_hooked(void); // what was freed before went unseen
void ht_py_chunks_flush(ht_py_cache *c, bool new_thread);
// Puts a wall in front of `frame`, which is to be entry at + 1, if it is the first of a known chunk.
// Returns the index of the entry before the frame's.
uint32_t ht_py_chunk_wall(ht_py_cache *c, uintptr_t frame, uint32_t at);

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
