// An allocator of our own, to be linked in under the names of others. It never gives memory back, and it
// calls itself, as they do: a realloc is an allocation and a free by its own functions.
#ifndef TOY_H
#define TOY_H

#include <stdatomic.h>
#include <sys/mman.h>

#include "truth.h"

#define TOY_BYTES (1l << 28)

static char *_Atomic toy_next, *toy_end;

ALONE static void *toy_get(size_t size, size_t alignment) {
  if (toy_next == NULL) { // before there are threads
    toy_next = mmap(NULL, TOY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    toy_end = toy_next + TOY_BYTES;
  }
  if (size > TOY_BYTES / 2) return NULL;
  if (alignment < 16) alignment = 16;
  size_t room = (size + alignment + 31) & ~(size_t)15;
  char *at = atomic_fetch_add(&toy_next, (long)room);
  if (at + room > toy_end) return NULL;
  char *p = (char *)(((uintptr_t)at + 16 + alignment - 1) & -(uintptr_t)alignment);
  ((size_t *)p)[-1] = size;
  return p;
}

static inline size_t toy_size(const void *p) { return ((const size_t *)p)[-1]; }

#endif
