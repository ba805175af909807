// Native stacks: the walk, which what a thread remembers (native_cache.h) mostly replaces.
#define _GNU_SOURCE
#include "native_cache.h"

#include <string.h>

#include "stacks.h"

#define MOST_SWITCHES 16u // of stacks in one walk
#define RED_ZONE 128u     // [architecture] what a leaf function may use below its stack pointer
#define UNVERIFIED UINT32_MAX

// ------------------------------------------------------------------------------------- the walk

typedef struct walk {
  ht_ctx *ctx;
  ht_native_cache *cache;
  uintptr_t pc, sp, bp;               // state of the frame at hand
  const uintptr_t *pc_slot, *bp_slot; // where it was loaded from; NULL: nowhere
  uint32_t flags;                     // FLAG_EXACT
  uint32_t epoch;
  uint32_t fresh; // frames not in the cache
  uint32_t near;  // first cached frame that may be the one at hand
  uint32_t floor; // outside of it, the cached frames are verified
  uint32_t switches;
  bool keep;     // the result may be cached
  bool has_regs; // regs holds more of the frame at hand than the state
  ht_regs regs;
} walk;

// Appends a word that the next frame follows from.
static bool push_word(walk *w, const uintptr_t *at, uintptr_t value) {
  if (HT_UNLIKELY(w->fresh == w->cache->fresh_capacity) && !ht_native_grow_fresh(w->cache))
    return false;
  w->cache->fresh[w->fresh++] =
      (ht_native_fresh){.pc = value, .pc_slot = at, .sp = w->sp, .flags = FLAG_EXTRA};
  return true;
}

// Ends the stack with a frame that says so.
static HT_COLD void truncate(walk *w) {
  w->near = w->cache->capacity;
  w->sp = UINTPTR_MAX;
  if (!push_word(w, NULL, HT_PC_TRUNCATED)) {
    w->keep = false; // with memory it might go on next time
    w->fresh--;
    push_word(w, NULL, HT_PC_TRUNCATED);
  }
  w->cache->fresh[w->fresh - 1].flags = FLAG_TRUNCATED | FLAG_POINT;
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
  for (uint32_t i = 0; i < reads.count; i++) {
    if (!push_word(w, reads.word[i].at, reads.word[i].value)) return HT_STEP_FAILED;
  }
  if (reads.unsure) w->keep = false;
  if (step != HT_STEP_OK && step != HT_STEP_INTERRUPTED) return step;
  uintptr_t sp = w->regs.value[HT_REG_SP];
  if (sp % sizeof(uintptr_t)) return HT_STEP_FAILED;
  if (sp <= w->sp || sp > high) { // another stack: a signal was handled on an alternate one
    if (++w->switches > MOST_SWITCHES || !ht_stack_find(w->cache, sp, true)) return HT_STEP_FAILED;
    w->keep = false;
    w->near = w->cache->capacity;
  }
  w->sp = sp;
  w->pc = w->regs.value[HT_REG_PC];
  w->bp = w->regs.value[HT_REG_BP];
  w->pc_slot = w->bp_slot = NULL;
  w->flags = step == HT_STEP_INTERRUPTED ? FLAG_EXACT : 0;
  w->has_regs = true;
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
  if (frame[1] == 0 || !is_code(frame[1] - 1)) {
    if (!push_word(w, frame + 1, frame[1])) return HT_STEP_FAILED;
    return frame[1] == 0 ? HT_STEP_END : HT_STEP_FAILED;
  }
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
      w->cache->fresh[at].flags |= FLAG_POINT;
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
      w->cache->fresh[at].flags |= FLAG_POINT;
      return step;
    case HT_ROW_STRAY:
      break;
    default:
      step = step_slow(w);
      if (step == HT_STEP_INTERRUPTED) w->cache->fresh[at].flags |= FLAG_POINT;
      return step == HT_STEP_UNKNOWN ? step_pointer(w) : step;
  }
  w->cache->fresh[at].flags = FLAG_EXTRA; // not a frame at all
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
    if (cache->words[i].value != pc || ((marks[i].flags & FLAG_BP) && marks[i].bp != bp) ||
        ((marks[i].flags ^ flags) & (FLAG_EXACT | FLAG_EXTRA | FLAG_TRUNCATED)))
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
      w->pc_slot = pc_slot;
      w->bp_slot = bp_slot;
      w->fresh = fresh;
      return near;
    }
    uint64_t row = ht_row(w->ctx, pc - !(flags & FLAG_EXACT), w->epoch);
    w->fresh = fresh;
    if (HT_UNLIKELY(fresh + 2 > cache->fresh_capacity) && !ht_native_grow_fresh(cache)) break;
    ht_native_fresh *f = &cache->fresh[fresh];
    f->pc = pc;
    f->sp = sp;
    f->bp = bp;
    f->pc_slot = pc_slot;
    f->bp_slot = bp_slot;
    f->row = row;
    f->flags = flags;
    w->fresh = ++fresh;
    if (HT_LIKELY(HT_ROW_KIND(row) == HT_ROW_PLAIN)) {
      uintptr_t cfa = (row & HT_ROW_CFA_BP ? bp : sp) + (uintptr_t)HT_ROW_CFA(row);
      uintptr_t slot = cfa - sizeof(uintptr_t);
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
      if (at < low || at > limit || at % sizeof(uintptr_t) || saved < low || saved > limit ||
          saved % sizeof(uintptr_t))
        break;
      uintptr_t cfa = *(const uintptr_t *)at, slot = cfa - sizeof(uintptr_t);
      w->sp = cfa;
      if (!push_word(w, (const uintptr_t *)at, cfa)) break;
      fresh = w->fresh;
      if (slot < sp || slot > limit || slot % sizeof(uintptr_t)) break;
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
      w->sp = sp;
      if (pc_slot && !push_word(w, pc_slot, 0)) break;
      return cache->capacity;
    }
  }
  truncate(w);
  return cache->capacity;
}

// Whether a frame's caller, and so the whole outside, follows from its bp by this row.
HT_ALWAYS_INLINE bool needs_bp(uint64_t row) {
  if (HT_LIKELY(HT_ROW_KIND(row) == HT_ROW_PLAIN)) return (row & HT_ROW_CFA_BP) != 0;
  return HT_ROW_KIND(row) != HT_ROW_END && HT_ROW_KIND(row) != HT_ROW_NONE;
}

// Puts the fresh frames in front of the cached frame `join` and finds their nodes, the outermost
// first. Returns the innermost's.
HT_ALWAYS_INLINE uint32_t settle(walk *w, uint32_t join) {
  ht_native_cache *cache = w->cache;
  uint32_t node = HT_NODE_ROOT_NATIVE;
  bool bp_matters = false, ok = true;
  cache->first = join;
  if (join < cache->capacity) {
    // The frame is the same, but its callee, and with it the words that lead here, may not be.
    const ht_native_mark mark = cache->marks[join];
    node = mark.node;
    bp_matters = (mark.flags & FLAG_BP) != 0;
    cache->words[join].at = w->pc_slot ? w->pc_slot : &cache->words[join].value;
    if (bp_matters && w->bp_slot) {
      ok = put(cache, w->bp_slot, mark.bp, (ht_native_mark){mark.sp, 0, 0, FLAG_EXTRA});
    }
  }
  for (uint32_t k = w->fresh; k-- > 0;) {
    const ht_native_fresh *f = &cache->fresh[k];
    if (HT_UNLIKELY(f->flags & FLAG_EXTRA)) {
      ok &= put(cache, f->pc_slot, f->pc, (ht_native_mark){f->sp, 0, 0, FLAG_EXTRA});
      continue;
    }
    bp_matters = needs_bp(f->row) | (bp_matters & !(f->row & HT_ROW_BP_SAVED));
    uintptr_t call = f->flags & (FLAG_EXACT | FLAG_POINT) ? f->pc : f->pc - 1;
    uint32_t module = HT_ROW_MODULE(f->row);
    uint64_t key = call | ht_module_salt(module);
    uint32_t child = ht_trie_find(node, key);
    if (HT_UNLIKELY(!child)) child = ht_trie_add(w->ctx, node, key, 0, call, module);
    node = child;
    uint32_t flags = f->flags | (bp_matters ? FLAG_BP : 0);
    ok &= node != HT_NODE_NONE;
    ok &= put(cache, f->pc_slot, f->pc, (ht_native_mark){f->sp, f->bp, node, flags});
    if (bp_matters && f->bp_slot) {
      ok &= put(cache, f->bp_slot, f->bp, (ht_native_mark){f->sp, 0, 0, FLAG_EXTRA});
    }
    if (HT_UNLIKELY(!ok)) break;
  }
  if (HT_UNLIKELY(!ok || !w->keep)) cache->first = cache->capacity;
  return ok ? node : HT_NODE_NONE;
}

static HT_NOINLINE HT_RAW uint32_t walk_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp,
                                              uintptr_t bp) {
  ht_native_cache *cache = &ctx->native;
  uint32_t epoch = atomic_load_explicit(&ht.module_epoch, memory_order_acquire);
  if (HT_UNLIKELY(!cache->memos) && !ht_native_start_cache(cache)) return HT_NODE_NONE;
  if (HT_UNLIKELY(cache->epoch != epoch)) ht_native_flush(cache, epoch);
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
  uint32_t join = cache->capacity;
  if (HT_LIKELY(known && sp % sizeof(uintptr_t) == 0)) {
    join = follow(&w);
  } else {
    w.keep = false;
    cache->fresh[w.fresh++] =
        (ht_native_fresh){.pc = pc, .sp = sp, .row = ht_row(ctx, pc - 1, epoch)};
    truncate(&w);
  }
  uint32_t node = settle(&w, join);
  if (HT_LIKELY(cache->first < cache->capacity)) memo_keep(cache, pc, sp, bp, node);
  return node;
}

// Not by the first memo that comes into question.
static HT_NOINLINE HT_RAW uint32_t other_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp,
                                               uintptr_t bp, const ht_native_memo *memo) {
  if (memo_holds(&ctx->native, memo + 1, pc, sp, bp)) return memo[1].node;
  return walk_stack(ctx, pc, sp, bp);
}

HT_RAW uint32_t ht_native_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  const ht_native_cache *cache = &ctx->native;
  uint32_t epoch = atomic_load_explicit(&ht.module_epoch, memory_order_relaxed);
  if (HT_UNLIKELY(!cache->memos || cache->epoch != epoch)) return walk_stack(ctx, pc, sp, bp);
  const ht_native_memo *memo = memo_ways(cache, pc, sp);
  if (HT_LIKELY(memo_holds(cache, memo, pc, sp, bp))) return memo->node;
  return other_stack(ctx, pc, sp, bp, memo);
}
