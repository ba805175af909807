// The chunks of the interpreter's data stack that a thread has, for the walls in its cached stack.
//
// A list, outermost first, of what the arena hook handed out in the size of a chunk. What is missing in
// it (no memory, mapped before the hook was there or while nothing was recorded) has no wall and costs
// time, no more; what is in it is there until the hook sees it freed.
//
// Walls are a second guard: the hook on mmap, too, captures the stack whenever a chunk is mapped, and so
// finds what has changed before it is two chunks away.
#include "py_walk.h"

// Bytes; pymalloc's own arenas are larger. A chunk is twice as large and more only for a single frame
// that needs it.
#define SMALLEST ((size_t)16 << 10)
#define LARGEST ((size_t)128 << 10)
#define FIRST_CAPACITY 254u // with the header a page

typedef struct chunk {
  uintptr_t start;
  uint32_t wall; // index of its wall when it was last put up; 0: none
} chunk;

typedef struct ht_py_chunks {
  uint32_t count, capacity;
  uint32_t hooked; // as below, when the first was put down
  chunk list[];
} ht_py_chunks;

static _Atomic uint32_t hooked; // times the arena hook was put in place

static size_t bytes_of(uint32_t capacity) {
  return sizeof(ht_py_chunks) + (size_t)capacity * sizeof(chunk);
}

static bool room(ht_py_cache *c) {
  ht_py_chunks *old = c->chunks;
  if (old != NULL && old->count < old->capacity) return true;
  uint32_t capacity = old == NULL ? FIRST_CAPACITY : old->capacity * 2;
  ht_py_chunks *chunks = ht_os_map(bytes_of(capacity));
  if (chunks == NULL) return false;
  chunks->capacity = capacity;
  chunks->hooked = atomic_load(&hooked);
  if (old != NULL) {
    chunks->hooked = old->hooked;
    chunks->count = old->count;
    for (uint32_t i = 0; i < old->count; i++) chunks->list[i] = old->list[i];
    ht_os_unmap(old, bytes_of(old->capacity));
  }
  c->chunks = chunks;
  return true;
}

static chunk *find(ht_py_chunks *chunks, uintptr_t start) {
  for (uint32_t i = chunks == NULL ? 0 : chunks->count; i-- > 0;) {
    if (chunks->list[i].start == start) return &chunks->list[i];
  }
  return NULL;
}

static bool is_wall_of(const ht_py_cache *c, const chunk *k) {
  return k->wall != 0 && k->wall <= c->depth && c->frames[k->wall].frame == HT_PY_NO_FRAME &&
         c->frames[k->wall].word == k->start;
}

// The chunk's first frame has ended: whatever the cache has from there inwards is of the past.
static void drop(ht_py_cache *c, chunk *k) {
  if (is_wall_of(c, k)) {
    c->head = 0;
    c->depth = k->wall - 1;
    while (c->wall > c->depth) c->wall = c->nodes[c->wall].flags >> HT_PY_WALL_SHIFT;
  }
  chunk *end = &c->chunks->list[--c->chunks->count];
  for (; k < end; k++) *k = k[1];
}

void ht_py_chunk_gone(ht_ctx *ctx, void *p, size_t size) {
  if (size > LARGEST) return;
  chunk *k = find(ctx->py.chunks, (uintptr_t)p);
  if (k != NULL) drop(&ctx->py, k);
}

void ht_py_chunk_new(ht_ctx *ctx, void *p, size_t size) {
  if (p == NULL || size < SMALLEST || size > LARGEST) return;
  ht_py_chunk_gone(ctx, p, size); // freed by another thread, which ended this one's interpreter
  if (!room(&ctx->py)) return;
  ctx->py.chunks->list[ctx->py.chunks->count++] = (chunk){(uintptr_t)p, 0};
}

void ht_py_chunks_hooked(void) {
  atomic_fetch_add(&hooked, 1);
  atomic_fetch_add(&ht.code_epoch, 1); // all threads flush before they use what they have
}

void ht_py_chunks_flush(ht_py_cache *c, bool new_thread) {
  uint32_t now = atomic_load(&hooked);
  if (c->chunks == NULL || (!new_thread && c->chunks->hooked == now)) return;
  c->chunks->count = 0;
  c->chunks->hooked = now;
}

HT_NOINLINE uint32_t ht_py_chunk_wall(ht_py_cache *c, uintptr_t frame, uint32_t at) {
  chunk *k = at == 0 ? NULL : find(c->chunks, frame - HT_PY_CHUNK_HEADER);
  if (k == NULL) return at;
  at++;
  c->frames[at] = (ht_py_frame){HT_PY_NO_FRAME, k->start};
  c->nodes[at] = (ht_py_node){c->nodes[at - 1].node,
                              (c->nodes[at - 1].flags & HT_PY_FLAGS) | c->wall << HT_PY_WALL_SHIFT};
  c->wall = k->wall = at;
  c->depth = at;
  return at;
}
