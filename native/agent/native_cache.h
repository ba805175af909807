// What a thread remembers of its native stacks.
//
// A frame's state (pc, sp, and bp where it matters) is a function of its callee's state and of a few
// words of the stack. So once a state equals a cached one, comparing the words that all frames
// outside of it followed from proves that a walk would find what is cached: 0.3 ns a frame, not 8.
//
// Most stacks of a thread differ from its last one in a few inner frames that have been seen before.
// So beside one whole stack, the base, there is a table of inner ends, the memos, by the state of
// the innermost frame. A memo holds the words of a few frames up to one of the base, and the answer.
//
// Whether bp matters: a frame without frame pointer keeps anything in it. It matters to a frame that
// finds its caller by it, and to one that hands it on unsaved to a caller that it matters to.
#ifndef HEAPTIDE_NATIVE_CACHE_H
#define HEAPTIDE_NATIVE_CACHE_H

#include "agent.h"
#include "cfi.h"

enum {
  FLAG_EXACT = 1,     // interrupted: the pc is that of the next instruction, not behind a call
  FLAG_EXTRA = 2,     // no frame: a further word that the next entry followed from
  FLAG_POINT = 4,     // a signal trampoline: called by nobody, so its pc stands for itself
  FLAG_BP = 8,        // bp matters
  FLAG_TRUNCATED = 16 // no frame: says that outer ones are missing
};

#define MOST_FRAMES (1u << 20)

// A frame, or a word (FLAG_EXTRA), that the walk has come by and the cache does not have yet.
typedef struct ht_native_fresh {
  uintptr_t pc, sp, bp;
  const uintptr_t *pc_slot, *bp_slot; // where these were loaded from; NULL: nowhere
  uint64_t row;                       // that leads on to the caller
  uint32_t flags;
  uint32_t pad[3];
} ht_native_fresh;

// All false without memory.
HT_COLD bool ht_native_start_cache(ht_native_cache *cache);
HT_COLD bool ht_native_grow(ht_native_cache *cache); // what is at the arrays' end stays at the end
HT_COLD bool ht_native_grow_fresh(ht_native_cache *cache);
// Forgets everything: what it says may be of modules that are gone.
HT_COLD void ht_native_flush(ht_native_cache *cache, uint32_t epoch);

// Puts an entry in front of the cached ones. They may move to a new place.
HT_ALWAYS_INLINE bool put(ht_native_cache *cache, const uintptr_t *at, uintptr_t value,
                          ht_native_mark mark) {
  if (HT_UNLIKELY(cache->first == 0) && !ht_native_grow(cache)) return false;
  uint32_t i = --cache->first;
  cache->words[i].value = value;
  cache->words[i].at = at ? at : &cache->words[i].value;
  cache->marks[i] = mark;
  return true;
}

// --------------------------------------------------------------------------------------- memos

// Frames of a memo, and words that these may take: two a frame where bp matters. Other numbers of
// frames miss more often: fewer at the end of the base, more at their own words.
#define MEMO_FRAMES 5u
#define MEMO_WORDS 9u
#define MEMO_WAYS 2u // a function is called by several at the same depth
#define MEMO_BITS 8u // 96 KiB, of which only what is used exists

typedef struct ht_native_memo {
  uintptr_t pc, sp, bp;             // of the innermost frame; pc 0: nothing here
  uintptr_t join_bp;                // of the frame of the base that it ends at
  uint32_t join;                    // that frame's distance from the end of the arrays
  uint32_t join_node;               // and its node
  uint32_t node;                    // the answer
  uint8_t flags, join_flags;        // FLAG_*
  uint8_t count;                    // of words; up to MEMO_FRAMES of them are there in any case
  uint8_t next;                     // in the first way: which one to replace
  ht_native_word words[MEMO_WORDS]; // the first one is that frame's return address
} ht_native_memo;
_Static_assert(sizeof(ht_native_memo) == 192, "whole cache lines");

HT_ALWAYS_INLINE ht_native_memo *memo_ways(const ht_native_cache *cache, uintptr_t pc,
                                           uintptr_t sp) {
  uint64_t set = ((pc ^ sp << 8) * 0x9e3779b97f4a7c15ull) >> (64 - MEMO_BITS);
  return &cache->memos[set * MEMO_WAYS];
}

HT_ALWAYS_INLINE HT_RAW uintptr_t changed(const ht_native_word *w) { return *w->at ^ w->value; }

// The outermost entry outside of `inner` whose word has changed; `inner` if none has.
HT_ALWAYS_INLINE HT_RAW uint32_t outermost_change(const ht_native_cache *cache, uint32_t inner) {
  const ht_native_word *w = cache->words;
  uint32_t k = cache->capacity; // entries from k on are the same
  for (; k - inner > 4; k -= 4) {
    if (changed(&w[k - 1]) | changed(&w[k - 2]) | changed(&w[k - 3]) | changed(&w[k - 4])) break;
  }
  for (; k - inner > 1; k--) {
    if (changed(&w[k - 1])) return k - 1;
  }
  return inner;
}

// Whether none has: apart, for the look-up of a short stack needs few registers.
bool ht_native_holds_from(const ht_native_cache *cache, uint32_t inner);

// Whether a memo says what a walk from (pc, sp, bp) would end with.
//
// Its words are looked at only when its outer end is in the base: they lie between there and sp, on
// the stack that is in use.
HT_ALWAYS_INLINE HT_RAW bool memo_holds(const ht_native_cache *cache, const ht_native_memo *m,
                                        uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  if (m->pc != pc || m->sp != sp || ((m->flags & FLAG_BP) && m->bp != bp)) return false;
  if (HT_UNLIKELY(m->join > cache->capacity - cache->first)) return false;
  uint32_t join = cache->capacity - m->join;
  const ht_native_mark *mark = &cache->marks[join];
  const ht_native_word *word = m->words;
  if (HT_UNLIKELY(mark->node != m->join_node || mark->sp != (uintptr_t)(word->at + 1) ||
                  cache->words[join].value != word->value || mark->flags != m->join_flags ||
                  ((mark->flags & FLAG_BP) && mark->bp != m->join_bp)))
    return false;
  uintptr_t differ = 0;
#pragma GCC unroll 5
  for (unsigned i = 0; i < MEMO_FRAMES; i++) differ |= changed(&word[i]);
  if (HT_UNLIKELY(m->count > MEMO_FRAMES)) {
    for (unsigned i = MEMO_FRAMES; i < m->count; i++) differ |= changed(&word[i]);
  }
  return differ == 0 && (m->join <= 1 || HT_LIKELY(ht_native_holds_from(cache, join)));
}

// Where a memo of the base's inner end would end; cache->first: nowhere.
HT_ALWAYS_INLINE uint32_t memo_join(const ht_native_cache *cache) {
  uint32_t first = cache->first, join = first, frames = 0;
  for (uint32_t i = first + 1; i < cache->capacity && i - first <= MEMO_WORDS; i++) {
    if (cache->marks[i].flags & FLAG_EXTRA) continue;
    // It must end at a frame whose return address lies where a call puts it.
    if ((uintptr_t)(cache->words[i].at + 1) == cache->marks[i].sp) join = i;
    if (++frames == MEMO_FRAMES) break;
  }
  return join;
}

// Remembers the inner end of the base, which has just been brought up to date.
HT_ALWAYS_INLINE void memo_keep(const ht_native_cache *cache, uintptr_t pc, uintptr_t sp,
                                uintptr_t bp, uint32_t node) {
  uint32_t first = cache->first, join = memo_join(cache);
  if (join == first) return;
  const ht_native_mark *mark = &cache->marks[join];
  ht_native_memo *ways = memo_ways(cache, pc, sp), *m = &ways[ways->next];
  ways->next = (uint8_t)((ways->next + 1u) % MEMO_WAYS);
  m->pc = pc;
  m->sp = sp;
  m->bp = bp;
  m->join_bp = mark->bp;
  m->join = cache->capacity - join;
  m->join_node = mark->node;
  m->node = node;
  m->flags = (uint8_t)cache->marks[first].flags;
  m->join_flags = (uint8_t)mark->flags;
  m->count = (uint8_t)(join - first);
  const ht_native_word *from = &cache->words[join];
  for (uint32_t i = 0; i < m->count; i++) {
    m->words[i].value = from[-(int32_t)i].value;
    m->words[i].at = from[-(int32_t)i].at == &from[-(int32_t)i].value ? &m->words[i].value
                                                                      : from[-(int32_t)i].at;
  }
  for (uint32_t i = m->count; i < MEMO_FRAMES; i++) m->words[i].at = &m->words[i].value;
}

#endif
