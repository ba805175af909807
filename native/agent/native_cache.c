// The memory of what a thread remembers of its native stacks.
#include "native_cache.h"

#include <string.h>

#define FIRST_CAPACITY 256u
#define MEMO_BYTES ((MEMO_WAYS * sizeof(ht_native_memo)) << MEMO_BITS)

static size_t cached_bytes(uint32_t capacity) {
  return capacity * (sizeof(ht_native_word) + sizeof(ht_native_mark)) + sizeof(ht_native_mark);
}

bool ht_native_grow(ht_native_cache *cache) {
  uint32_t capacity = cache->capacity ? cache->capacity * 2 : FIRST_CAPACITY;
  if (capacity > 2 * MOST_FRAMES) return false;
  ht_native_word *words = ht_os_map(cached_bytes(capacity));
  if (!words) return false;
  ht_native_mark *marks = (ht_native_mark *)(words + capacity);
  marks[capacity].sp = UINTPTR_MAX; // ends every search
  uint32_t used = cache->capacity - cache->first, first = capacity - used;
  if (cache->capacity) {
    memcpy(words + first, cache->words + cache->first, used * sizeof *words);
    memcpy(marks + first, cache->marks + cache->first, used * sizeof *marks);
    for (uint32_t i = 0; i < used; i++) {
      ht_native_word *word = &words[first + i];
      if (word->at == &cache->words[cache->first + i].value) word->at = &word->value;
    }
    ht_os_unmap(cache->words, cached_bytes(cache->capacity));
  }
  cache->words = words;
  cache->marks = marks;
  cache->capacity = capacity;
  cache->first = first;
  return true;
}

bool ht_native_grow_fresh(ht_native_cache *cache) {
  uint32_t capacity = cache->fresh_capacity ? cache->fresh_capacity * 2 : FIRST_CAPACITY;
  if (capacity > MOST_FRAMES) return false;
  ht_native_fresh *fresh = ht_os_map(capacity * sizeof *fresh);
  if (!fresh) return false;
  if (cache->fresh) {
    memcpy(fresh, cache->fresh, cache->fresh_capacity * sizeof *fresh);
    ht_os_unmap(cache->fresh, cache->fresh_capacity * sizeof *fresh);
  }
  cache->fresh = fresh;
  cache->fresh_capacity = capacity;
  return true;
}

bool ht_native_start_cache(ht_native_cache *cache) {
  if (!cache->words && !ht_native_grow(cache)) return false;
  if (!cache->fresh && !ht_native_grow_fresh(cache)) return false;
  cache->memos = ht_os_map(MEMO_BYTES);
  return cache->memos != NULL;
}

void ht_native_flush(ht_native_cache *cache, uint32_t epoch) {
  cache->first = cache->capacity;
  cache->epoch = epoch;
  for (uint32_t i = 0; i < MEMO_WAYS << MEMO_BITS; i++) {
    if (cache->memos[i].pc) cache->memos[i].pc = 0; // unused pages stay so
  }
}

void ht_native_release(ht_ctx *ctx) {
  ht_native_cache *cache = &ctx->native;
  if (cache->words) ht_os_unmap(cache->words, cached_bytes(cache->capacity));
  if (cache->fresh) ht_os_unmap(cache->fresh, cache->fresh_capacity * sizeof *cache->fresh);
  if (cache->memos) ht_os_unmap(cache->memos, MEMO_BYTES);
  memset(cache, 0, sizeof *cache);
}

HT_RAW bool ht_native_holds_from(const ht_native_cache *cache, uint32_t inner) {
  return outermost_change(cache, inner) == inner;
}
