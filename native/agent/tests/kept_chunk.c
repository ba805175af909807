// An arena allocator that keeps one chunk of CPython's data stack for the next one that is asked for, on
// top of what is there: what later releases of 3.13 and 3.14 do by themselves, for any version.
#include <stddef.h>

typedef struct arena_allocator { // PyObjectArenaAllocator
  void *ctx;
  void *(*alloc)(void *ctx, size_t size);
  void (*free)(void *ctx, void *p, size_t size);
} arena_allocator;

extern void PyObject_GetArenaAllocator(arena_allocator *to);
extern void PyObject_SetArenaAllocator(arena_allocator *from);
void keep_one_chunk(void);

#define CHUNK ((size_t)16 << 10)

static arena_allocator below;
static void *kept; // under the GIL

static void *take(void *ctx, size_t size) {
  void *p = kept;
  if (size != CHUNK || p == NULL) return below.alloc(ctx, size);
  kept = NULL;
  return p;
}

static void give(void *ctx, void *p, size_t size) {
  if (size == CHUNK) {
    void *older = kept;
    kept = p;
    p = older;
  }
  if (p != NULL) below.free(ctx, p, size);
}

void keep_one_chunk(void) {
  PyObject_GetArenaAllocator(&below);
  arena_allocator own = {below.ctx, take, give};
  PyObject_SetArenaAllocator(&own);
}
