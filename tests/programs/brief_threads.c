// Threads that live for ten blocks each: THREADS in all, AT_ONCE at a time.
#include <pthread.h>
#include <stdlib.h>

static void *work(void *unused) {
  for (int i = 0; i < 10; i++) {
    void *volatile block = malloc(300);
    free(block);
  }
  return unused;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1, at_once = argc > 2 ? atoi(argv[2]) : 1;
  pthread_t running[64];
  if (at_once > 64) return 1;
  for (int done = 0; done < threads; done += at_once) {
    for (int i = 0; i < at_once; i++) {
      if (pthread_create(&running[i], NULL, work, NULL) != 0) return 1;
    }
    for (int i = 0; i < at_once; i++) pthread_join(running[i], NULL);
  }
  return 0;
}
