// A library whose functions make a known number of allocations of known sizes.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

void nothing(int count);
void blocks(int count);
void chain(int count);
void keep(int count);
void drop(int count);
void in_threads(int count);

static char *kept[100000];

void nothing(int count) { (void)count; }

// `count` blocks of 100 bytes, each freed before the next.
void blocks(int count) {
  for (int i = 0; i < count; i++) {
    char *volatile p = malloc(100);
    p[0] = 1;
    free(p);
  }
}

// One block of 16 bytes that is resized `count` times, by 16 bytes each.
void chain(int count) {
  char *p = malloc(16);
  for (int i = 0; i < count; i++) p = realloc(p, (size_t)(16 * (i + 2)));
  free(p);
}

// `count` blocks of 1000 bytes that stay until drop().
void keep(int count) {
  for (int i = 0; i < count; i++) kept[i] = calloc(10, 100);
}

void drop(int count) {
  for (int i = 0; i < count; i++) free(kept[i]);
}

static void *work(void *count) {
  blocks(*(int *)count);
  return NULL;
}

// The same as blocks(), in each of four other threads.
void in_threads(int count) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, &count);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}
