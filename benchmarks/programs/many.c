// A long recording: as many allocations as asked for, from 4096 different stacks, of many sizes,
// some of which live for long. usage: many ALLOCATIONS
#include <stdint.h>
#include <stdlib.h>

#include "clock.h"

#define ALONE __attribute__((noipa))

enum { SLOTS = 100000 };

static void *slots[SLOTS];
static uint64_t x = 88172645463325252ull;

static inline uint64_t next(void) {
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

// 16 call sites at each of three levels: 16^3 stacks.
ALONE static void leaf(size_t size) {
  uint64_t r = next();
  void *p = malloc(size);
  *(volatile char *)p = 1;
  if (r % 8 == 0) {
    void **slot = &slots[(r >> 8) % SLOTS];
    free(*slot);
    *slot = p;
  } else {
    free(p);
  }
}

// Calls told apart by what follows them: the compiler would make one of all sixteen.
#define CASE(n, call)                \
  case n:                            \
    call;                            \
    __asm__ volatile("" : : "i"(n)); \
    break;
// clang-format off
#define CASES(call)                                                       \
  switch (which & 15) {                                                   \
    CASE(0, call) CASE(1, call) CASE(2, call) CASE(3, call)               \
    CASE(4, call) CASE(5, call) CASE(6, call) CASE(7, call)               \
    CASE(8, call) CASE(9, call) CASE(10, call) CASE(11, call)             \
    CASE(12, call) CASE(13, call) CASE(14, call) CASE(15, call)           \
  }
// clang-format on

ALONE static void third(unsigned which, size_t size){CASES(leaf(size))}

ALONE static void second(unsigned which, size_t size){CASES(third(which >> 4, size))}

ALONE static void first(unsigned which, size_t size) {
  // The same stack some tens of times running, as programs do.
  for (int i = 0; i < 32; i++) {
    CASES(second(which >> 4, size + (size_t)i))
  }
}

int main(int argc, char **argv) {
  const uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000000;
  clock_start();
  for (uint64_t done = 0; done < wanted; done += 32) {
    uint64_t r = next();
    first((unsigned)(r & 4095), (r >> 16) & 255);
  }
  clock_report((double)wanted);
  return 0;
}
