// A signal handler jumps out of whatever it interrupts, maps and unmaps or nothing (both may be interrupted
// safely), then some blocks are kept. usage: handler_jumps JUMPS
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile sig_atomic_t armed;

static void jump(int number) {
  (void)number;
  if (armed) siglongjmp(back, 1);
}

__attribute__((noinline)) static void keep(void) {
  for (int i = 0; i < 1000; i++) {
    void *volatile kept = malloc(5000);
    (void)kept;
  }
}

int main(int argc, char **argv) {
  volatile int left = argc > 1 ? atoi(argv[1]) : 30;
  struct sigaction action = {.sa_handler = jump};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (left-- > 0) {
    if (sigsetjmp(back, 1) == 0) {
      armed = 1;
      for (;;) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(p, 4096);
      }
    }
    armed = 0;
  }
  timer = (struct itimerval){{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &timer, NULL);
  keep();
  return 0;
}
