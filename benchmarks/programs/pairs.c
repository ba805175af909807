// What one malloc and its free cost. As a program: pairs MODE PAIRS DEPTH, where MODE is `tight`
// (freed at once) or `set` (4096 live blocks, the oldest of a random slot is freed). As a library,
// for a Python program to call: run_pairs.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define ALONE __attribute__((noipa))

enum { SLOTS = 4096 };

ALONE static void tight(uint64_t pairs) {
  for (uint64_t i = 0; i < pairs; i++) {
    void *p = malloc(32);
    *(volatile char *)p = 1;
    free(p);
  }
}

ALONE static void live_set(uint64_t pairs) {
  static void *slots[SLOTS];
  uint64_t x = 88172645463325252ull;
  for (uint64_t i = 0; i < pairs; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    void **slot = &slots[x % SLOTS];
    free(*slot);
    *slot = malloc(16 + ((x >> 20) & 127));
    *(volatile char *)*slot = 1;
  }
}

ALONE static int descend(int depth, int is_set, uint64_t pairs) {
  if (depth <= 0) {
    if (is_set) {
      live_set(pairs);
    } else {
      tight(pairs);
    }
    return 0;
  }
  volatile int below = descend(depth - 1, is_set, pairs);
  return below + 1;
}

__attribute__((visibility("default"))) void run_pairs(int is_set, uint64_t pairs) {
  descend(0, is_set, pairs); // warms caches up
  clock_start();
  descend(0, is_set, pairs);
  clock_report((double)pairs);
}

int main(int argc, char **argv) {
  const int is_set = argc > 1 && strcmp(argv[1], "set") == 0;
  const uint64_t pairs = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
  const int depth = argc > 3 ? atoi(argv[3]) : 0;
  descend(depth, is_set, pairs / 10);
  clock_start();
  descend(depth, is_set, pairs);
  clock_report((double)pairs);
  return 0;
}
