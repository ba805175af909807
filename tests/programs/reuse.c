// Threads that free and reallocate while another leaks: every address freed by one is taken by
// another at once (run with MALLOC_ARENA_MAX=1). The order in which a recorder sees the free of an
// address and its next use decides whether the leaks come out exact.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "truth.h"

enum { LEAKS = 100000 };

static atomic_int stop;
static _Atomic uint64_t reallocations;

ALONE static void *swapper(void *unused) {
  //@ swapper
  uint64_t rounds = 0;
  while (!atomic_load(&stop)) {
    //= alive_at_exit_bytes=0 alive_at_exit_allocations=0
    char *p = malloc(64);
    keep(p);
    //= reallocations=$swapper_rounds alive_at_exit_bytes=0 alive_at_exit_allocations=0
    p = realloc(p, 200);
    keep(p);
    //= reallocations=$swapper_rounds alive_at_exit_bytes=0 alive_at_exit_allocations=0
    p = realloc(p, 64);
    keep(p);
    free(p);
    rounds++;
  }
  atomic_fetch_add(&reallocations, rounds);
  return unused;
}

ALONE static void *leaker(void *unused) {
  //@ leaker
  for (int i = 0; i < LEAKS; i++) {
    //= allocations=100000 total_bytes=6400000 alive_at_exit_bytes=6400000
    //= alive_at_exit_allocations=100000
    void *p = malloc(64);
    keep(p);
  }
  atomic_store(&stop, 1);
  return unused;
}

int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 3; i++)
    require(pthread_create(&threads[i], NULL, swapper, NULL) == 0, "pthread_create");
  require(pthread_create(&threads[3], NULL, leaker, NULL) == 0, "pthread_create");
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  print_figure("swapper_rounds", atomic_load(&reallocations));
  return 0;
}
