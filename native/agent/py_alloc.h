// The allocator hooks: what py_alloc.c and py_alloc_fast.c know of each other.
#ifndef HEAPTIDE_PY_ALLOC_H
#define HEAPTIDE_PY_ALLOC_H

#include "py.h"

typedef struct ht_py_allocator { // PyMemAllocatorEx
  void *ctx;
  void *(*malloc)(void *ctx, size_t size);
  void *(*calloc)(void *ctx, size_t count, size_t size);
  void *(*realloc)(void *ctx, void *p, size_t size);
  void (*free)(void *ctx, void *p);
} ht_py_allocator;

enum { HT_PY_RAW, HT_PY_MEM, HT_PY_OBJECT, HT_PY_DOMAINS }; // PyMemAllocatorDomain

typedef struct ht_py_domain {
  ht_py_allocator real;
  uint8_t kind; // ht_kind
  bool gil_held;
  bool native;     // native frames under HT_CONFIG_NATIVE_AUTO too
  bool measurable; // blocks are pymalloc's or malloc's own: their usable size can be asked for
  size_t small;    // up to this size no other hook is reached but for arenas
} ht_py_domain;

extern ht_py_domain ht_py_domains[HT_PY_DOMAINS];

// Hooks for every mode, and those for full recording with Python stacks only.
extern const ht_py_allocator ht_py_general_hooks[HT_PY_DOMAINS];
ht_py_allocator ht_py_fast_hooks(unsigned domain); // MEM or OBJECT

#endif
