// Children by every way of forking. Each is a process of its own: what it frees of the memory that
// it inherited is not freed in the parent.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

static void *inherited[100];

ALONE static void before_fork(void) {
  //@ before_fork
  for (int i = 0; i < 100; i++) {
    //= allocations=100 total_bytes=100*300 temporary_allocations=0
    inherited[i] = malloc(300);
    keep(inherited[i]);
  }
}

ALONE static void in_child(void) {
  //@ in_child
  for (int i = 0; i < 70; i++) {
    //= allocations=70 total_bytes=70*80 alive_at_exit_bytes=70*80
    void *p = malloc(80);
    keep(p);
  }
  for (int i = 0; i < 100; i++) free(inherited[i]);
}

ALONE static void in_raw_child(void) {
  //@ in_raw_child
  for (int i = 0; i < 71; i++) {
    //= allocations=71 total_bytes=71*81 alive_at_exit_bytes=71*81
    void *p = malloc(81);
    keep(p);
  }
}

ALONE static void in_bare_child(void) {
  //@ in_bare_child
  for (int i = 0; i < 72; i++) {
    //= allocations=72 total_bytes=72*82 alive_at_exit_bytes=72*82
    void *p = malloc(82);
    keep(p);
  }
}

ALONE static void in_grandchild(void) {
  //@ in_grandchild
  for (int i = 0; i < 73; i++) {
    //= allocations=73 total_bytes=73*83 alive_at_exit_bytes=0
    void *p = malloc(83);
    keep(p);
    free(p);
  }
}

ALONE static void in_parent(void) {
  //@ in_parent
  for (int i = 0; i < 30; i++) {
    //= allocations=30 total_bytes=30*90 alive_at_exit_bytes=30*90
    void *p = malloc(90);
    keep(p);
  }
}

static void wait_for(pid_t child) {
  int status = 0;
  require(child > 0, "fork");
  require(waitpid(child, &status, 0) == child, "waitpid");
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child failed");
}

static void child_by_fork(void) {
  pid_t child = fork();
  if (child == 0) {
    in_child();
    pid_t grandchild = fork();
    if (grandchild == 0) {
      in_grandchild();
      exit(0);
    }
    wait_for(grandchild);
    exit(0);
  }
  wait_for(child);
}

// What libc's fork does besides (atfork handlers, its own locks) is missed out here.
static void child_by_system_call(void) {
  pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    in_raw_child();
    _exit(0);
  }
  wait_for(child);
}

static void child_by_bare_fork(void) {
  pid_t child = _Fork();
  if (child == 0) {
    in_bare_child();
    _exit(0);
  }
  wait_for(child);
}

// Runs on the parent's memory: nothing here may disturb the parent's recording.
static void child_by_vfork(void) {
  pid_t child = vfork();
  if (child == 0) _exit(0);
  wait_for(child);
}

int main(void) {
  before_fork();
  child_by_fork();
  child_by_system_call();
  child_by_bare_fork();
  for (int i = 0; i < 20; i++) child_by_vfork();
  in_parent();
  return 0;
}
