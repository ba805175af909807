#include "unwind_fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_NODES = 1 << 22, SLOTS = 1 << 23 };

ht_global ht;
fake_node *fake_nodes;
static uint32_t *slots;
static uint32_t nodes = HT_NODE_FIRST;
static ht_lock lock;
fake_module fake_modules[512];
uint32_t fake_modules_count;
ht_process fake_process;
__thread unsigned fake_finds;

static void *zeroed(size_t bytes) {
  void *p =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) abort();
  return p;
}

void fake_start(void) {
  ht.process = &fake_process;
  fake_nodes = zeroed(MOST_NODES * sizeof *fake_nodes);
  slots = zeroed(SLOTS * sizeof *slots);
  ht_native_start();
}

ht_ctx *fake_ctx(void) {
  ht_ctx *ctx = zeroed(sizeof *ctx);
  ctx->frees = HT_FREES_ALL;
  return ctx;
}

static uint32_t *slot_of(uint32_t parent, uint64_t key) {
  uint64_t h = (key ^ parent * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
  for (h ^= h >> 32;; h++) {
    uint32_t *slot = &slots[h % SLOTS];
    uint32_t id = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (!id || (fake_nodes[id].parent == parent && fake_nodes[id].key == key)) return slot;
  }
}

uint32_t ht_trie_find(uint32_t parent, uint64_t key) {
  fake_finds++;
  return __atomic_load_n(slot_of(parent, key), __ATOMIC_ACQUIRE);
}

uint32_t ht_trie_add(ht_ctx *ctx, uint32_t parent, uint64_t key, unsigned aux, uint64_t word1,
                     uint32_t module) {
  (void)ctx;
  (void)aux;
  ht_lock_take(&lock);
  uint32_t *slot = slot_of(parent, key);
  if (!*slot) {
    if (nodes == MOST_NODES) abort();
    fake_nodes[nodes] = (fake_node){key, word1, parent, module};
    __atomic_store_n(slot, nodes++, __ATOMIC_RELEASE);
  }
  uint32_t id = *slot;
  ht_lock_drop(&lock);
  return id;
}

void ht_trie_forget(bool (*gone)(uint64_t key, void *closure), void *closure) {
  (void)gone;
  (void)closure;
  abort(); // only after 65,535 images at one place
}

// Records arrive under the module table's lock, one at a time.
void ht_meta_begin(ht_meta *m, ht_ctx *ctx, enum ht_meta_type type) {
  if (type != HT_META_MODULE) abort();
  m->ctx = ctx;
  m->used = 0;
}
static void put(ht_meta *m, const void *data, uint32_t length) {
  if (m->used + length > sizeof m->buf) abort();
  if (length) memcpy(m->buf + m->used, data, length);
  m->used += length;
}
void ht_meta_u32(ht_meta *m, uint32_t value) { put(m, &value, 4); }
void ht_meta_u64(ht_meta *m, uint64_t value) { put(m, &value, 8); }
void ht_meta_bytes(ht_meta *m, const void *data, uint32_t length) {
  ht_meta_u32(m, length);
  put(m, data, length);
}
void ht_meta_end(ht_meta *m) {
  fake_module *module = &fake_modules[fake_modules_count++];
  uint32_t path;
  memcpy(&module->id, m->buf, 4);
  memcpy(&module->bias, m->buf + 4, 24);
  memcpy(&path, m->buf + 28, 4);
  snprintf(module->path, sizeof module->path, "%.*s", (int)path, (const char *)m->buf + 32);
  memcpy(&module->build_id_bytes, m->buf + 32 + path, 4);
}
