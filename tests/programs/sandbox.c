// Allocates, puts itself into a sandbox in which nearly every system call kills, and allocates more.
// usage: sandbox prctl|syscall|strict. exits with 6.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline)) static void before(void) {
  for (int i = 0; i < 1000; i++) {
    void *volatile p = malloc(100);
    free(p);
  }
}

__attribute__((noinline)) static void inside(void) {
  for (int i = 0; i < 1000000; i++) {
    void *volatile p = malloc(100);
    free(p);
  }
}

#define ALLOW(number) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv) {
  const char *way = argc > 1 ? argv[1] : "prctl";
  before();
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      ALLOW(SYS_write),
      ALLOW(SYS_exit),
      ALLOW(SYS_brk),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (strcmp(way, "strict") == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) return 77;
  } else if (strcmp(way, "syscall") == 0) {
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return 77;
  } else if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    return 77;
  }
  inside();
  syscall(SYS_exit, 6);
}
