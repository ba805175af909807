// Starting the collector from within a program that records itself, so that the program does not notice: no
// SIGCHLD, no child that its wait() could find, no descriptor that stays open at the other end.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent.h"

HT_EXPORT int heaptide_spawn(char *const argv[], char *const envp[], int memory, int errors);

#define STACK 32768u
#define SIGNALS 64
#define KERNEL_SET 8 // bytes of a signal set

typedef struct job {
  char *const *argv;
  char *const *envp;
  int memory, errors;
  char *stack; // for the second process
  volatile long failed;
} job;

// These run on the program's memory while the calling thread waits: raw system calls only.

static int become_collector(void *closure) {
  job *j = closure;
  uint64_t none = 0;
  struct {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
  } standard = {0};
  for (int number = 1; number <= SIGNALS; number++) {
    ht_syscall(SYS_rt_sigaction, number, (long)&standard, 0, KERNEL_SET, 0, 0);
  }
  ht_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, KERNEL_SET, 0, 0);
  ht_syscall(SYS_setsid, 0, 0, 0, 0, 0, 0);
  int null = ht_os_open("/dev/null", 2);
  // Above what they are moved to.
  long memory = ht_syscall(SYS_fcntl, j->memory, 1030 /* F_DUPFD_CLOEXEC */, 16, 0, 0, 0);
  long errors = ht_syscall(SYS_fcntl, j->errors, 1030, 16, 0, 0, 0);
  for (int fd = 0; fd < 2; fd++) ht_syscall(SYS_dup3, null, fd, 0, 0, 0, 0);
  if (null == 0 || null == 1) ht_syscall(SYS_fcntl, null, 2 /* F_SETFD */, 0, 0, 0, 0);
  ht_syscall(SYS_dup3, errors, 2, 0, 0, 0, 0);
  ht_syscall(SYS_dup3, memory, HT_SESSION_FD, 0, 0, 0, 0);
  ht_syscall(SYS_close_range, HT_SESSION_FD + 1, 0x7fffffff, 0, 0, 0, 0);
  j->failed = memory < 0 ? memory : errors < 0 ? errors : 0;
  if (j->failed == -22 /* EINVAL: above the limit */) j->failed = -24; // EMFILE
  if (j->failed == 0) {
    j->failed = ht_syscall(SYS_execve, (long)j->argv[0], (long)j->argv, (long)j->envp, 0, 0, 0);
  }
  ht_syscall(SYS_exit, 1, 0, 0, 0, 0, 0);
  return 1;
}

// Its end orphans the collector, so that it is no child of the program's.
static int start_collector(void *closure) {
  job *j = closure;
  long pid = clone(become_collector, j->stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, j);
  if (pid < 0) j->failed = -11; // EAGAIN
  ht_syscall(SYS_exit, 0, 0, 0, 0, 0, 0);
  return 0;
}

// Executes argv[0] with /dev/null as its input and output, `errors` as its stderr, `memory` as HT_SESSION_FD
// and nothing else open, in a session of its own. 0, or an error number.
HT_EXPORT int heaptide_spawn(char *const argv[], char *const envp[], int memory, int errors) {
  char *stacks = ht_os_map((size_t)2 * STACK);
  if (stacks == NULL) return 12; // ENOMEM
  job j = {argv, envp, memory, errors, stacks, 0};
  uint64_t all = UINT64_MAX, before;
  ht_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, KERNEL_SET, 0, 0);
  // No signal at its end, and so hidden from all waits but this one.
  int pid = clone(start_collector, stacks + (size_t)2 * STACK, CLONE_VM | CLONE_VFORK, &j);
  if (pid < 0) {
    j.failed = -11;
  } else {
    while (ht_syscall(SYS_wait4, pid, 0, (long)__WCLONE, 0, 0, 0) == -4 /* EINTR */) {
    }
  }
  ht_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, KERNEL_SET, 0, 0);
  ht_os_unmap(stacks, (size_t)2 * STACK);
  return (int)-j.failed;
}
