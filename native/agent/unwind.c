// Native stacks: the walk, and the cache of a thread's last stack that mostly replaces it.
//
// Every frame's state (pc, sp, bp) is a function of its callee's state and of a few words of the
// stack. So once a fresh state equals a cached one, comparing those words for all frames outside of
// it proves that a full walk would find what is cached: 0.5 ns a frame instead of 8.
#define _GNU_SOURCE
#include <string.h>

#include "agent.h"
#include "cfi.h"
#include "modules.h"
#include "stacks.h"

enum {
  FLAG_EXACT = 1, // interrupted: the pc is that of the next instruction, not behind a call
  FLAG_EXTRA = 2, // no frame: further words that the next entry depends on
  FLAG_POINT = 4, // a signal trampoline: called by nobody, so its pc stands for itself
};

#define FIRST_CAPACITY 256u
#define MOST_FRAMES (1u << 20)
#define MOST_SWITCHES 16u // of stacks in one walk
#define RED_ZONE 128u     // [architecture] what a leaf function may use below its stack pointer
#define UNVERIFIED UINT32_MAX

// ----------------------------------------------------------------------------------- the cache

static size_t arrays_bytes(uint32_t capacity) {
  return capacity * (sizeof(ht_native_frame) + sizeof(ht_native_mark)) + sizeof(ht_native_mark);
}

// Doubles the arrays; what is at their head stays at the head, and what is at the tail at the tail.
static HT_COLD bool grow(ht_native_cache *cache, uint32_t head) {
  uint32_t capacity = cache->capacity ? cache->capacity * 2 : FIRST_CAPACITY;
  if (capacity > MOST_FRAMES) return false;
  ht_native_frame *frames = ht_os_map(arrays_bytes(capacity));
  if (!frames) return false;
  ht_native_mark *marks = (ht_native_mark *)(frames + capacity);
  marks[capacity].sp = UINTPTR_MAX; // ends every search
  uint32_t tail = cache->capacity - cache->first, first = capacity - tail;
  if (cache->capacity) {
    memcpy(frames, cache->frames, head * sizeof *frames);
    memcpy(marks, cache->marks, head * sizeof *marks);
    memcpy(frames + first, cache->frames + cache->first, tail * sizeof *frames);
    memcpy(marks + first, cache->marks + cache->first, tail * sizeof *marks);
    for (uint32_t i = first; i < capacity; i++) {
      const ht_native_frame *old = &cache->frames[i - first + cache->first];
      if (old->pc_slot == &old->pc) frames[i].pc_slot = &frames[i].pc;
      if (old->bp_slot == &old->bp) frames[i].bp_slot = &frames[i].bp;
    }
    ht_os_unmap(cache->frames, arrays_bytes(cache->capacity));
  }
  cache->frames = frames;
  cache->marks = marks;
  cache->capacity = capacity;
  cache->first = first;
  return true;
}

void ht_native_release(ht_ctx *ctx) {
  ht_native_cache *cache = &ctx->native;
  if (cache->frames) ht_os_unmap(cache->frames, arrays_bytes(cache->capacity));
  memset(cache, 0, sizeof *cache);
}

HT_ALWAYS_INLINE HT_RAW uintptr_t changed(const ht_native_frame *f) {
  return (*f->pc_slot ^ f->pc) | (*f->bp_slot ^ f->bp);
}

// The outermost frame outside of `inner` whose words have changed; `inner` if none has.
HT_ALWAYS_INLINE HT_RAW uint32_t outermost_change(const ht_native_cache *cache, uint32_t inner) {
  const ht_native_frame *f = cache->frames;
  uint32_t k = cache->capacity; // entries from k on are the same
  for (; k - inner > 4; k -= 4) {
    if (changed(&f[k - 1]) | changed(&f[k - 2]) | changed(&f[k - 3]) | changed(&f[k - 4])) break;
  }
  for (; k - inner > 1; k--) {
    if (changed(&f[k - 1])) return k - 1;
  }
  return inner;
}

// ------------------------------------------------------------------------------------- the walk

typedef struct walk {
  ht_ctx *ctx;
  ht_native_cache *cache;
  uintptr_t pc, sp, bp;               // state of the frame at hand
  const uintptr_t *pc_slot, *bp_slot; // where it was loaded from; NULL: nowhere
  uint32_t flags;                     // FLAG_EXACT
  uint32_t epoch;
  uint32_t fresh; // frames at the head of the arrays
  uint32_t near;  // first cached frame that may be the one at hand
  uint32_t floor; // outside of it, the cached frames are verified
  uint32_t switches;
  bool keep;     // the result may be cached
  bool has_regs; // regs holds more of the frame at hand than the state
  ht_regs regs;
} walk;

static HT_NOINLINE bool make_room(walk *w) {
  uint32_t before = w->cache->capacity;
  if (!grow(w->cache, w->fresh)) return false;
  uint32_t shift = w->cache->capacity - before;
  w->near += shift;
  if (w->floor != UNVERIFIED) w->floor += shift;
  return true;
}

// Appends an entry to the fresh frames. mark.node holds the module until the node is known.
static bool push(walk *w, uintptr_t pc, const uintptr_t *pc_slot, uintptr_t bp,
                 const uintptr_t *bp_slot, uint32_t module, uint32_t flags) {
  if (HT_UNLIKELY(w->fresh == w->cache->first) && !make_room(w)) return false;
  w->cache->frames[w->fresh] = (ht_native_frame){pc, pc_slot, bp, bp_slot};
  w->cache->marks[w->fresh++] = (ht_native_mark){w->sp, module, flags};
  return true;
}

// Ends the stack with a frame that says so.
static HT_COLD void truncate(walk *w) {
  w->near = w->cache->capacity;
  w->sp = UINTPTR_MAX;
  if (!push(w, HT_PC_TRUNCATED, NULL, 0, NULL, 0, FLAG_EXTRA | FLAG_POINT)) {
    w->keep = false; // with memory it might go on next time
    w->fresh--;
    push(w, HT_PC_TRUNCATED, NULL, 0, NULL, 0, FLAG_EXTRA | FLAG_POINT);
  }
  if (ht.process) __atomic_fetch_add(&ht.process->truncated, 1, __ATOMIC_RELAXED);
}

static uintptr_t call_address(const walk *w) { return w->flags & FLAG_EXACT ? w->pc : w->pc - 1; }

static bool is_code(uintptr_t pc) {
  ht_image image;
  if (ht_image_find(pc, &image)) return !image.phdr || ht_image_executes(&image, pc);
  return ht_executable(pc);
}

// Finds every callee-saved register of the frame at hand by walking from this very function.
// [architecture]
static HT_NOINLINE bool recover_regs(walk *w) {
  ht_regs *regs = &w->regs;
  uintptr_t saved[8];
  __asm__ volatile(
      "lea 0f(%%rip), %%rax\n\t"
      "mov %%rbx, 0(%0)\n\tmov %%rbp, 8(%0)\n\tmov %%rsp, 16(%0)\n\tmov %%r12, 24(%0)\n\t"
      "mov %%r13, 32(%0)\n\tmov %%r14, 40(%0)\n\tmov %%r15, 48(%0)\n\tmov %%rax, 56(%0)\n"
      "0:"
      :
      : "d"(saved)
      : "rax", "memory");
  static const uint8_t number[8] = {3, HT_REG_BP, HT_REG_SP, 12, 13, 14, 15, HT_REG_PC};
  memset(regs, 0, sizeof *regs);
  for (unsigned i = 0; i < 8; i++) {
    regs->value[number[i]] = saved[i];
    regs->known |= 1u << number[i];
  }
  bool exact = true;
  for (uint32_t steps = 0; steps < MOST_FRAMES; steps++) {
    uintptr_t sp = regs->value[HT_REG_SP], pc = regs->value[HT_REG_PC];
    if (sp == w->sp && pc == w->pc) return true;
    ht_reads reads;
    enum ht_step step = ht_step_slow(exact ? pc : pc - 1, regs, exact ? sp - RED_ZONE : sp,
                                     w->cache->stack_high, &reads);
    if (step != HT_STEP_OK && step != HT_STEP_INTERRUPTED) return false;
    if (regs->value[HT_REG_SP] <= sp || regs->value[HT_REG_SP] > w->sp) return false;
    exact = step == HT_STEP_INTERRUPTED;
  }
  return false;
}

// Lowest address that the frame at hand may have saved anything at.
static uintptr_t lowest(const walk *w) { return w->flags & FLAG_EXACT ? w->sp - RED_ZONE : w->sp; }

// To the caller by the full rules. HT_STEP_UNKNOWN and HT_STEP_FAILED leave the state as it was.
static HT_NOINLINE enum ht_step step_slow(walk *w) {
  if (!w->has_regs) {
    memset(&w->regs, 0, sizeof w->regs);
    w->regs.known = 1u << HT_REG_PC | 1u << HT_REG_SP | 1u << HT_REG_BP;
    w->regs.value[HT_REG_PC] = w->pc;
    w->regs.value[HT_REG_SP] = w->sp;
    w->regs.value[HT_REG_BP] = w->bp;
  }
  ht_reads reads;
  uintptr_t high = w->cache->stack_high;
  enum ht_step step = ht_step_slow(call_address(w), &w->regs, lowest(w), high, &reads);
  if (step == HT_STEP_UNKNOWN && recover_regs(w)) {
    step = ht_step_slow(call_address(w), &w->regs, lowest(w), high, &reads);
    w->keep = false;
  }
  if (step != HT_STEP_OK && step != HT_STEP_INTERRUPTED) return step;
  uintptr_t sp = w->regs.value[HT_REG_SP];
  if (sp % sizeof(uintptr_t)) return HT_STEP_FAILED;
  if (sp <= w->sp || sp > high) { // another stack: a signal was handled on an alternate one
    if (++w->switches > MOST_SWITCHES || !ht_stack_find(w->cache, sp, true)) return HT_STEP_FAILED;
    w->keep = false;
    w->near = w->cache->capacity;
  }
  if (reads.unsure) w->keep = false;
  w->sp = sp;
  w->pc = w->regs.value[HT_REG_PC];
  w->bp = w->regs.value[HT_REG_BP];
  w->pc_slot = w->bp_slot = NULL;
  w->flags = step == HT_STEP_INTERRUPTED ? FLAG_EXACT : 0;
  w->has_regs = true;
  for (uint32_t i = 0; i < reads.count; i += 2) {
    uint32_t second = i + 1 < reads.count ? i + 1 : i;
    if (!push(w, reads.word[i].value, reads.word[i].at, reads.word[second].value,
              reads.word[second].at, 0, FLAG_EXTRA))
      return HT_STEP_FAILED;
  }
  return step;
}

// To the caller by the frame pointer.
static HT_NOINLINE HT_RAW enum ht_step step_pointer(walk *w) {
  if (ht.process) __atomic_fetch_add(&ht.process->fp_fallbacks, 1, __ATOMIC_RELAXED);
  if (!w->cache->stack_own) {
    // A chain that may lead anywhere, on a stack whose bounds may be out of date.
    if (!ht_stack_find(w->cache, w->sp, true)) return HT_STEP_FAILED;
    w->keep = false;
  }
  const uintptr_t *frame = (const uintptr_t *)w->bp;
  if (w->bp % sizeof *frame || w->bp < w->sp || w->bp > w->cache->stack_high - 2 * sizeof *frame)
    return HT_STEP_FAILED;
  if (frame[1] == 0) return HT_STEP_END;
  if (!is_code(frame[1] - 1)) return HT_STEP_FAILED;
  w->pc = frame[1];
  w->bp = frame[0];
  w->sp = (uintptr_t)(frame + 2);
  w->pc_slot = frame + 1;
  w->bp_slot = frame;
  w->flags = 0;
  w->has_regs = false;
  return HT_STEP_OK;
}

// To the caller where no plain row leads there. The frame at hand is the last of the fresh ones.
static HT_NOINLINE enum ht_step step_other(walk *w, uint64_t row) {
  uint32_t at = w->fresh - 1;
  enum ht_step step = HT_STEP_FAILED;
  if (HT_ROW_KIND(row) == HT_ROW_POINTER && HT_ROW_MODULE(row) && !(w->flags & FLAG_EXACT)) {
    // A "return address" at the very start of a function is no call's: somebody put it there. It
    // is a signal trampoline, or where a fiber ends.
    uint64_t start = ht_row(w->ctx, w->pc, w->epoch);
    if (HT_ROW_KIND(start) != HT_ROW_POINTER && HT_ROW_KIND(start) != HT_ROW_STRAY) {
      w->flags |= FLAG_EXACT;
      w->cache->marks[at].flags |= FLAG_POINT;
      if (step_slow(w) == HT_STEP_INTERRUPTED) return HT_STEP_INTERRUPTED;
      w->fresh = at + 1;
      return HT_STEP_END;
    }
  }
  switch (HT_ROW_KIND(row)) {
    case HT_ROW_END:
      return HT_STEP_END;
    case HT_ROW_POINTER:
      if (!HT_ROW_MODULE(row) && !ht_executable(call_address(w))) break;
      if (HT_ROW_MODULE(row)) step = step_slow(w); // finds a signal trampoline by its code
      if (step != HT_STEP_INTERRUPTED) return step_pointer(w);
      w->cache->marks[at].flags |= FLAG_POINT;
      return step;
    case HT_ROW_STRAY:
      break;
    default:
      step = step_slow(w);
      if (step == HT_STEP_INTERRUPTED) w->cache->marks[at].flags |= FLAG_POINT;
      return step == HT_STEP_UNKNOWN ? step_pointer(w) : step;
  }
  w->fresh--; // not a frame at all
  return HT_STEP_FAILED;
}

// First cached frame at or outside of `near` whose state is (pc, sp, bp), and outside of which the
// stack is verified to be as cached. *near moves on to where to look from for the next frame.
HT_ALWAYS_INLINE bool joins(walk *w, uintptr_t pc, uintptr_t sp, uintptr_t bp, uint32_t flags,
                            uint32_t *near) {
  const ht_native_cache *cache = w->cache;
  const ht_native_mark *marks = cache->marks;
  uint32_t i = *near;
  while (marks[i].sp < sp) i++; // they ascend, and so do ours
  for (; HT_UNLIKELY(marks[i].sp == sp); i++) {
    if (cache->frames[i].pc != pc || cache->frames[i].bp != bp ||
        ((marks[i].flags ^ flags) & (FLAG_EXACT | FLAG_EXTRA)))
      continue;
    if (w->floor == UNVERIFIED) w->floor = outermost_change(cache, i);
    *near = i;
    if (i >= w->floor) return true;
    *near = w->floor;
    return false;
  }
  *near = i;
  return false;
}

// Follows the stack from the state in w until it joins the cached one or ends. Returns the index of
// the cached frame it joined, or the capacity. The state is in local variables while rows are
// plain: 7 ns a frame. Inlined, as what comes after it: 4 ns less a capture.
HT_ALWAYS_INLINE HT_RAW uint32_t follow(walk *w) {
  ht_native_cache *cache = w->cache;
  uintptr_t pc = w->pc, sp = w->sp, bp = w->bp;
  const uintptr_t *pc_slot = NULL, *bp_slot = NULL;
  uint32_t flags = w->flags, near = w->near, fresh = 0;
  uintptr_t limit = cache->stack_high - sizeof(uintptr_t);
  for (;;) {
    if (joins(w, pc, sp, bp, flags, &near)) {
      // The frame is the same, but its callee, and with it the words that lead here, may not be.
      ht_native_frame *frame = &cache->frames[near];
      if (fresh) {
        frame->pc_slot = pc_slot ? pc_slot : &frame->pc;
        frame->bp_slot = bp_slot ? bp_slot : &frame->bp;
      }
      w->fresh = fresh;
      return near;
    }
    uint64_t row = ht_row(w->ctx, pc - !(flags & FLAG_EXACT), w->epoch);
    if (HT_UNLIKELY(fresh + 2 > cache->first)) {
      w->fresh = fresh;
      w->near = near;
      if (!make_room(w)) break;
      near = w->near;
    }
    cache->frames[fresh] = (ht_native_frame){pc, pc_slot, bp, bp_slot};
    cache->marks[fresh++] = (ht_native_mark){sp, HT_ROW_MODULE(row), flags};
    if (HT_LIKELY(HT_ROW_KIND(row) == HT_ROW_PLAIN)) {
      uintptr_t cfa = (row & HT_ROW_CFA_BP ? bp : sp) + (uintptr_t)HT_ROW_CFA(row);
      uintptr_t slot = cfa - sizeof(uintptr_t);
      w->fresh = fresh;
      if (HT_UNLIKELY(slot < sp || slot > limit || slot % sizeof(uintptr_t))) break;
      bp_slot = NULL;
      if (row & HT_ROW_BP_SAVED) {
        uintptr_t saved = cfa + (uintptr_t)HT_ROW_BP(row);
        uintptr_t low = flags & FLAG_EXACT ? sp - RED_ZONE : sp;
        if (HT_UNLIKELY(saved < low || saved > limit)) break;
        bp_slot = (const uintptr_t *)saved;
        bp = *bp_slot;
      }
      pc_slot = (const uintptr_t *)slot;
      pc = *pc_slot;
      sp = cfa;
      flags = 0;
      w->has_regs = false;
    } else if (HT_ROW_KIND(row) == HT_ROW_REALIGNED) {
      uintptr_t at = bp + (uintptr_t)HT_ROW_CFA(row), saved = bp + (uintptr_t)HT_ROW_BP(row);
      uintptr_t low = flags & FLAG_EXACT ? sp - RED_ZONE : sp;
      w->fresh = fresh;
      if (at < low || at > limit || at % sizeof(uintptr_t) || saved < low || saved > limit ||
          saved % sizeof(uintptr_t))
        break;
      uintptr_t cfa = *(const uintptr_t *)at, slot = cfa - sizeof(uintptr_t);
      if (slot < sp || slot > limit || slot % sizeof(uintptr_t)) break;
      cache->frames[fresh] = (ht_native_frame){cfa, (const uintptr_t *)at, 0, NULL};
      cache->marks[fresh++] = (ht_native_mark){cfa, 0, FLAG_EXTRA};
      sp = cfa;
      pc_slot = (const uintptr_t *)slot;
      pc = *pc_slot;
      bp_slot = (const uintptr_t *)saved;
      bp = *bp_slot;
      flags = 0;
      w->has_regs = false;
    } else {
      w->pc = pc;
      w->sp = sp;
      w->bp = bp;
      w->flags = flags;
      w->near = near;
      w->fresh = fresh;
      enum ht_step step = step_other(w, row);
      if (step == HT_STEP_END) return cache->capacity;
      if (step != HT_STEP_OK && step != HT_STEP_INTERRUPTED) break;
      pc = w->pc;
      sp = w->sp;
      bp = w->bp;
      pc_slot = w->pc_slot;
      bp_slot = w->bp_slot;
      flags = w->flags;
      near = w->near;
      fresh = w->fresh;
      limit = cache->stack_high - sizeof(uintptr_t);
    }
    if (HT_UNLIKELY(pc == 0)) {
      w->fresh = fresh;
      return cache->capacity;
    }
  }
  truncate(w);
  return cache->capacity;
}

// Moves the fresh frames in front of the cached frame `join` and finds their nodes, the outermost
// first. Returns the innermost's.
HT_ALWAYS_INLINE uint32_t settle(walk *w, uint32_t join) {
  ht_native_cache *cache = w->cache;
  uint32_t shift = join - w->fresh;
  uint32_t node = join < cache->capacity ? cache->marks[join].node : HT_NODE_ROOT_NATIVE;
  for (uint32_t i = w->fresh; i-- > 0;) {
    const ht_native_frame from = cache->frames[i];
    const ht_native_mark mark = cache->marks[i];
    ht_native_frame *to = &cache->frames[i + shift];
    to->pc = from.pc;
    to->pc_slot = from.pc_slot ? from.pc_slot : &to->pc;
    to->bp = from.bp;
    to->bp_slot = from.bp_slot ? from.bp_slot : &to->bp;
    if (!(mark.flags & FLAG_EXTRA) || from.pc == HT_PC_TRUNCATED) {
      uintptr_t call = mark.flags & (FLAG_EXACT | FLAG_POINT) ? from.pc : from.pc - 1;
      uint64_t key = call | ht_module_salt(mark.node);
      uint32_t child = ht_trie_find(node, key);
      if (HT_UNLIKELY(!child)) child = ht_trie_add(w->ctx, node, key, 0, call, mark.node);
      if (HT_UNLIKELY(!child)) {
        cache->first = cache->capacity;
        return HT_NODE_NONE;
      }
      node = child;
    }
    cache->marks[i + shift] = (ht_native_mark){mark.sp, node, mark.flags};
  }
  cache->first = w->keep ? shift : cache->capacity;
  return node;
}

static HT_NOINLINE HT_RAW uint32_t walk_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp,
                                              uintptr_t bp) {
  ht_native_cache *cache = &ctx->native;
  uint32_t epoch = atomic_load_explicit(&ht.module_epoch, memory_order_acquire);
  if (HT_UNLIKELY(!cache->frames) && !grow(cache, 0)) return HT_NODE_NONE;
  if (HT_UNLIKELY(cache->epoch != epoch)) {
    cache->first = cache->capacity;
    cache->epoch = epoch;
  }
  walk w;
  w.ctx = ctx;
  w.cache = cache;
  w.pc = pc;
  w.sp = sp;
  w.bp = bp;
  w.pc_slot = w.bp_slot = NULL;
  w.flags = 0;
  w.epoch = epoch;
  w.fresh = 0;
  w.switches = 0;
  w.floor = UNVERIFIED;
  w.keep = true;
  w.has_regs = false;
  bool known = sp - cache->stack_low < cache->stack_high - cache->stack_low;
  if (HT_UNLIKELY(!known)) {
    uintptr_t high = cache->stack_high;
    if (high == 0) { // the context has been given to a new thread
      cache->own_low = cache->own_high = 0;
      memset(cache->others, 0, sizeof cache->others);
    }
    known = ht_stack_find(cache, sp, false);
    if (cache->stack_high != high) cache->first = cache->capacity;
  }
  w.near = cache->first;
  if (HT_UNLIKELY(!known || sp % sizeof(uintptr_t))) {
    w.keep = false;
    push(&w, pc, NULL, bp, NULL, HT_ROW_MODULE(ht_row(ctx, pc - 1, epoch)), 0);
    truncate(&w);
    return settle(&w, cache->capacity);
  }
  uint32_t join = follow(&w);
  return settle(&w, join);
}

HT_RAW uint32_t ht_native_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  const ht_native_cache *cache = &ctx->native;
  uint32_t first = cache->first;
  if (HT_LIKELY(first < cache->capacity)) {
    const ht_native_frame *frame = &cache->frames[first];
    const ht_native_mark *mark = &cache->marks[first];
    if (frame->pc == pc && mark->sp == sp && frame->bp == bp &&
        cache->epoch == atomic_load_explicit(&ht.module_epoch, memory_order_relaxed) &&
        outermost_change(cache, first) == first)
      return mark->node;
  }
  return walk_stack(ctx, pc, sp, bp);
}
