// How long a cache line takes from one processor to another: two threads, each on a processor of its own,
// take turns to write to it. Prints nanoseconds for one way.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { TURNS = 100000 };

static _Alignas(128) atomic_int turn;
static int processors[2];

static void stay_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Waits for each turn of its own, and gives it on.
static void play(int number) {
  stay_on(processors[number]);
  for (int mine = number; mine < 2 * TURNS; mine += 2) {
    while (atomic_load(&turn) != mine) {
    }
    atomic_store(&turn, mine + 1);
  }
}

static void *second(void *unused) {
  play(1);
  return unused;
}

int main(void) {
  cpu_set_t allowed;
  int found = 0;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  for (int i = 0; i < CPU_SETSIZE && found < 2; i++) {
    if (CPU_ISSET(i, &allowed)) processors[found++] = i;
  }
  if (found < 2) return 1;
  struct timespec start, end;
  pthread_t thread;
  if (pthread_create(&thread, NULL, second, NULL) != 0) return 1;
  clock_gettime(CLOCK_MONOTONIC, &start);
  play(0);
  pthread_join(thread, NULL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  double ns = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
  printf("%.1f\n", ns / (2 * TURNS));
  return 0;
}
