// Interning of stacks: (parent, key) -> node id.
//
// Open addressing with 16-byte slots, read without a lock. A slot is whole once its id is non-zero
// (stored last). Growing publishes a new table; readers still in the old one merely miss and come to
// ht_trie_add, which looks again under the lock. Old tables stay mapped but give their pages back:
// they then read as empty.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "agent.h"

typedef struct slot {
  uint64_t key;
  uint32_t parent;
  _Atomic uint32_t id;
} slot;

typedef struct table {
  uint64_t mask;
  slot *slots;
} table;

#define FIRST_SLOTS 4096u
#define GONE_KEY UINT64_MAX

static table tables[40]; // one for each doubling; descriptors are never reused
static _Atomic(table *) current;
static uint32_t tables_used;
static uint32_t nodes;           // nodes handed out, under the lock
static _Atomic uint32_t next_id; // id of the next node; 0 before the first
static ht_lock lock;

// Nodes get their ids in the order in which stacks are walked, so slots near each other by the
// parent's id are slots used together: a walk down a large tree then mostly stays in cached lines
// (390 -> 100 ns a capture in a tree of 260,000 stacks). A parent with many children would crowd
// there; what finds no room within NEAR slots goes where the full hash says.
#define NEAR 16u

static inline uint64_t hash(uint32_t parent, uint64_t key) {
  uint64_t h = (key ^ ((uint64_t)parent * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;
  return h ^ (h >> 32);
}

static inline uint64_t near_place(uint32_t parent, uint64_t h) {
  return (uint64_t)parent * 4 + (h & 63);
}

static inline uint32_t find(const table *t, uint32_t parent, uint64_t key) {
  uint64_t h = hash(parent, key), i = near_place(parent, h);
  for (uint64_t probes = 0;; probes++, i++) {
    if (HT_UNLIKELY(probes == NEAR)) i = h;
    slot *s = &t->slots[i & t->mask];
    uint32_t id = atomic_load_explicit(&s->id, memory_order_acquire);
    if (id == 0) return 0;
    if (s->key == key && s->parent == parent) return id;
  }
}

uint32_t ht_trie_find(uint32_t parent, uint64_t key) {
  const table *t = atomic_load_explicit(&current, memory_order_acquire);
  return HT_UNLIKELY(t == NULL) ? 0 : find(t, parent, key);
}

static void put(table *t, uint32_t parent, uint64_t key, uint32_t id) {
  uint64_t h = hash(parent, key), i = near_place(parent, h);
  for (uint64_t probes = 0;
       atomic_load_explicit(&t->slots[i & t->mask].id, memory_order_relaxed) != 0;) {
    i = ++probes == NEAR ? h : i + 1;
  }
  slot *s = &t->slots[i & t->mask];
  s->key = key;
  s->parent = parent;
  atomic_store_explicit(&s->id, id, memory_order_release);
}

// Room for one more node at a load of at most 5/8.
static table *table_with_room(void) {
  table *old = atomic_load_explicit(&current, memory_order_relaxed);
  if (old != NULL && (uint64_t)nodes * 8 < (old->mask + 1) * 5) return old;
  if (tables_used == sizeof tables / sizeof *tables) return NULL;
  uint64_t slots = old == NULL ? FIRST_SLOTS : (old->mask + 1) * 2;
  table *t = &tables[tables_used];
  t->slots = ht_os_map(slots * sizeof(slot));
  if (t->slots == NULL) return NULL;
  t->mask = slots - 1;
  tables_used++;
  if (old != NULL) {
    for (uint64_t i = 0; i <= old->mask; i++) {
      slot *s = &old->slots[i];
      if (s->id != 0 && s->key != GONE_KEY) put(t, s->parent, s->key, s->id);
    }
  }
  atomic_store_explicit(&current, t, memory_order_release);
  if (old != NULL) {
    ht_syscall(SYS_madvise, (long)old->slots, (long)((old->mask + 1) * sizeof(slot)), MADV_DONTNEED,
               0, 0, 0);
  }
  return t;
}

uint32_t ht_trie_add(ht_ctx *ctx, uint32_t parent, uint64_t key, unsigned aux, uint64_t word1,
                     uint32_t module) {
  ht_lock_take(&lock);
  table *t = atomic_load_explicit(&current, memory_order_relaxed);
  uint32_t id = t == NULL ? 0 : find(t, parent, key);
  if (id == 0 && ht_is_current(ctx) && (t = table_with_room()) != NULL) {
    id = atomic_load_explicit(&next_id, memory_order_relaxed);
    if (id == 0) id = HT_NODE_FIRST;
    atomic_store_explicit(&next_id, id + 1, memory_order_relaxed);
    nodes++;
    // Sent before anybody can see the id, so that no ring mentions a node before this one does,
    // short of the order in which the collector reads the rings.
    uint64_t *w = ht_reserve(&ctx, 3);
    w[1] = word1;
    w[2] = (uint64_t)parent | (uint64_t)module << 32;
    ht_commit(ctx, w, HT_WORD(HT_OP_NODE, aux, id));
    if (HT_LIKELY(ht_has_sent(ctx))) {
      put(t, parent, key, id);
    } else {
      nodes--;
      id = 0;
    }
  }
  ht_lock_drop(&lock);
  return id;
}

void ht_trie_forget(bool (*gone)(uint64_t key, void *closure), void *closure) {
  ht_lock_take(&lock);
  table *t = atomic_load_explicit(&current, memory_order_relaxed);
  for (uint64_t i = 0; t != NULL && i <= t->mask; i++) {
    slot *s = &t->slots[i];
    if (s->id != 0 && s->key != GONE_KEY && gone(s->key, closure)) {
      // The slot stays used, so that probing goes on past it; no key is ever GONE_KEY.
      __atomic_store_n(&s->key, GONE_KEY, __ATOMIC_RELAXED);
    }
  }
  ht_lock_drop(&lock);
}

// Readers find an empty table, or what they find is of a context whose events nobody reads.
void ht_trie_reset(void) {
  ht_lock_take(&lock);
  table *t = atomic_load_explicit(&current, memory_order_relaxed);
  if (t != NULL) {
    ht_syscall(SYS_madvise, (long)t->slots, (long)((t->mask + 1) * sizeof(slot)), MADV_DONTNEED, 0,
               0, 0);
  }
  atomic_store_explicit(&next_id, 0, memory_order_relaxed);
  nodes = 0;
  ht_lock_drop(&lock);
}

uint32_t ht_trie_count(void) {
  uint32_t id = atomic_load_explicit(&next_id, memory_order_relaxed);
  return id == 0 ? HT_NODE_FIRST - 1 : id - 1;
}

void ht_trie_after_fork(void) { atomic_store(&lock.word, 0); }
