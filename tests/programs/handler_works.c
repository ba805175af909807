// A signal handler maps and unmaps a lot while the program allocates and frees, and forks: the child
// returns from the handler and ends. usage: handler_works FORKS. prints: allocations, children that failed
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 1000000, MAPPINGS = 60 };

static int forks;

static volatile sig_atomic_t mapped, forked, is_child;

static void handle(int number) {
  (void)number;
  for (int i = 0; i < MAPPINGS; i++) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p, 4096);
  }
  mapped += MAPPINGS;
  if (forked < forks) {
    forked++;
    if (fork() == 0) is_child = 1;
  }
}

__attribute__((noinline)) static void at_depth(int depth) {
  if (depth > 0) {
    at_depth(depth - 1);
  } else {
    void *volatile p = malloc(60);
    free(p);
  }
  __asm__ volatile("");
}

int main(int argc, char **argv) {
  forks = argc > 1 ? atoi(argv[1]) : 0;
  struct sigaction action = {.sa_handler = handle};
  sigaction(SIGVTALRM, &action, NULL);
  // Of the time that the program itself runs: however slow the handler is, it gets on.
  struct itimerval timer = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_VIRTUAL, &timer, NULL);
  long pairs = 0;
  for (; pairs < PAIRS || forked < forks; pairs++) {
    at_depth((int)(pairs * 7 % 40));
    if (is_child) break;
  }
  timer = (struct itimerval){{0, 0}, {0, 0}};
  setitimer(ITIMER_VIRTUAL, &timer, NULL);
  if (is_child) {
    at_depth(5);
    _exit(0);
  }
  int status, failed = 0;
  while (waitpid(-1, &status, 0) > 0) failed += status != 0;
  char line[80];
  int length = snprintf(line, sizeof line, "%ld %d\n", pairs + mapped, failed);
  return write(1, line, (size_t)length) == length ? 0 : 1;
}
