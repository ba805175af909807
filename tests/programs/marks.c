// A program that marks moments of its run, itself and in a child; with an argument, one that has to be recorded.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *volatile kept;
static void take(int count, size_t size) {
  for (int i = 0; i < count; i++) kept = malloc(size);
}
int main(int argc, char **argv) {
  (void)argv;
  void (*mark)(const char *) = (void (*)(const char *))dlsym(RTLD_DEFAULT, "heaptide_mark");
  if (mark == NULL) return argc > 1 ? 3 : 0;
  take(100, 100);
  errno = 77;
  mark("second");
  if (errno != 77) return 4;
  take(200, 1000);
  if (fork() == 0) {
    mark("child");
    take(7, 7);
    _exit(0);
  }
  int status;
  wait(&status);
  mark("turns");
  for (int i = 0; i < 3000; i++) {
    take(1, 10);
    mark("turn");
  }
  char name[1000];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = 0;
  mark(name);
  for (int i = 1; i + 1 < (int)sizeof name; i += 2) memcpy(name + i, "\303\274", 2);
  mark(name);
  mark("");
  mark(NULL);
  return status;
}
