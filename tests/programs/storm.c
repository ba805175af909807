// A timer signal many thousand times a second, into a program that allocates without pause: the
// handler runs inside the recorder's own code as often as not. It uses no malloc (that would be the
// program's own fault), it maps memory, which is recorded too.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "truth.h"

static volatile sig_atomic_t handled;

ALONE static void on_timer(int number) {
  //@ on_timer
  (void)number;
  //= alive_at_exit_bytes=0
  void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p != MAP_FAILED) {
    munmap(p, 4096);
    handled = handled + 1;
  }
}

ALONE static void busy(void) {
  //@ busy
  for (int i = 0; i < 400000; i++) {
    //= allocations=400000 total_bytes=400000*88 alive_at_exit_bytes=0
    void *p = malloc(88);
    keep(p);
    free(p);
  }
}

int main(void) {
  struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
  require(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
  struct itimerval timer = {.it_interval = {.tv_usec = 100}, .it_value = {.tv_usec = 100}};
  require(setitimer(ITIMER_REAL, &timer, NULL) == 0, "setitimer");
  while (handled < 20) keep(NULL);
  struct itimerval never = {.it_value = {0}};
  busy();
  setitimer(ITIMER_REAL, &never, NULL);
  print_figure("handled", (uint64_t)handled);
  return 0;
}
