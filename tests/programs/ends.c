// Ends in the way of argument 1. Nothing that was allocated before may be lost, not even the last.
#define _GNU_SOURCE
#include <signal.h>
#include <unistd.h>

#include "truth.h"

static volatile int *volatile nowhere;

ALONE static void hold(void) {
  //@ hold
  for (int i = 0; i < 1000; i++) {
    //= allocations=1000 total_bytes=48000 alive_at_exit_bytes=48000 alive_at_exit_allocations=1000
    void *p = malloc(48);
    keep(p);
  }
}

ALONE static void last(void) {
  //@ last
  //= allocations=1 total_bytes=77 alive_at_exit_bytes=77 alive_at_exit_allocations=1
  void *p = malloc(77);
  keep(p);
}

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "return";
  hold();
  last();
  if (strcmp(how, "exit") == 0) exit(3);
  if (strcmp(how, "_exit") == 0) _exit(4);
  if (strcmp(how, "quick_exit") == 0) quick_exit(5);
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "kill") == 0) kill(getpid(), SIGKILL);
  if (strcmp(how, "term") == 0) kill(getpid(), SIGTERM);
  if (strcmp(how, "segv") == 0) *nowhere = 1;
  return strcmp(how, "return") == 0 ? 6 : 1;
}
