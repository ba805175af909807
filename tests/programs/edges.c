// Before main, after exit, inside a signal handler.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "truth.h"

ALONE __attribute__((constructor)) static void before_main(void) {
  //@ before_main
  for (int i = 0; i < 13; i++) {
    //= allocations=13 total_bytes=13*130 alive_at_exit_bytes=13*130
    void *p = malloc(130);
    keep(p);
  }
}

ALONE __attribute__((destructor)) static void after_main(void) {
  //@ after_main
  for (int i = 0; i < 14; i++) {
    //= allocations=14 total_bytes=14*140 alive_at_exit_bytes=14*140
    void *p = malloc(140);
    keep(p);
  }
}

ALONE static void at_exit(void) {
  //@ at_exit
  for (int i = 0; i < 15; i++) {
    //= allocations=15 total_bytes=15*150 alive_at_exit_bytes=0
    void *p = malloc(150);
    keep(p);
    free(p);
  }
}

// Runs on its own stack, in the middle of whatever the thread was doing. raise() interrupts nothing
// that holds a lock of malloc's.
ALONE static void on_signal(int number) {
  //@ on_signal
  (void)number;
  //= allocations=16 total_bytes=16*160 alive_at_exit_bytes=16*160
  void *p = malloc(160);
  keep(p);
}

ALONE static void raise_all(void) {
  for (int i = 0; i < 16; i++) raise(SIGUSR1);
}

static void signals(void) {
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  require(sigaltstack(&alternate, NULL) == 0, "sigaltstack");
  require(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
  raise_all();
}

int main(void) {
  atexit(at_exit);
  signals();
  return 0;
}
