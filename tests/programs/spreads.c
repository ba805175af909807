// Blocks of other sizes and lives in each phase, from one place, so that only time tells them apart.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
static void *volatile kept;
__attribute__((noinline)) static void *take(size_t size) { return kept = malloc(size); }
static void at_once(int count, size_t size) {
  for (int i = 0; i < count; i++) free(take(size));
}
static void *work(void *unused) {
  at_once(300, 5000);
  return unused;
}
int main(void) {
  void (*mark)(const char *) = (void (*)(const char *))dlsym(RTLD_DEFAULT, "heaptide_mark");
  if (mark == NULL) return 3;
  void *held[10];
  pthread_t thread;
  mark("small");
  at_once(1000, 10);
  mark("held");
  for (int i = 0; i < 10; i++) held[i] = take(100);
  mark("freed");
  for (int i = 0; i < 10; i++) free(held[i]);
  mark("large");
  for (int i = 0; i < 7; i++) take(3 << 20);
  if (pthread_create(&thread, NULL, work, NULL) != 0) return 4;
  pthread_join(thread, NULL);
  mark("end");
  at_once(20, 40);
  return 0;
}
