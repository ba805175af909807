// Memory of the recorder itself: makes and keeps blocks, in several threads.
// usage: blocks BLOCKS THREADS
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

static void *work(void *count) {
  for (uintptr_t i = 0; i < (uintptr_t)count; i++) {
    void *p = malloc(24);
    *(volatile char *)p = 1;
  }
  return NULL;
}

int main(int argc, char **argv) {
  const uint64_t blocks = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
  const int count = argc > 2 ? atoi(argv[2]) : 1;
  pthread_t threads[64];
  if (count > 64) return 1;
  clock_start();
  for (int i = 0; i < count; i++) {
    pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(blocks / (uint64_t)count));
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  clock_report((double)blocks);
  // The recorder's collector is to have taken all of them in before the end is near.
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
  return 0;
}
