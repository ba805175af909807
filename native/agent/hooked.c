// What a program gets that asks a library's handle for a function we hook (ctypes, cffi, dlsym).
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hooks.h"

// Declared nowhere in C headers that all libcs have.
void *memalign(size_t, size_t);
void *valloc(size_t);
void *pvalloc(size_t);

typedef struct hooked {
  const char *name;
  void *ours;
  void *const *real;
} hooked;

#define HOOK(name) {#name, (void *)(uintptr_t)name, (void *const *)&ht_real.name}

static const hooked table[] = {
    HOOK(malloc),         HOOK(free),          HOOK(calloc),   HOOK(realloc), HOOK(reallocarray),
    HOOK(posix_memalign), HOOK(aligned_alloc), HOOK(memalign), HOOK(valloc),  HOOK(pvalloc),
    HOOK(mmap),           HOOK(munmap),        HOOK(mremap),   HOOK(sbrk),    HOOK(brk),
};

static const hooked *lookup(const char *name) {
  for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
    const char *a = table[i].name, *b = name;
    while (*a != 0 && *a == *b) a++, b++;
    if (*a == 0 && *b == 0) return &table[i];
  }
  return NULL;
}

bool ht_hooked_name(const char *name) { return name != NULL && lookup(name) != NULL; }

void *ht_hooked_symbol(const char *name, void *real) {
  const hooked *hook = lookup(name);
  return hook != NULL && real != NULL && real == *hook->real ? hook->ours : real;
}
