// Programs started by every way there is: each runs `leaf` (argument 1), which allocates in a
// function named after the way. Most give the program an environment of their own, in which the
// recorder was never mentioned.
#define _GNU_SOURCE
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

extern char **environ;

static char *leaf;

static void wait_for(pid_t child) {
  int status = 0;
  require(child > 0, "no child");
  require(waitpid(child, &status, 0) == child, "waitpid");
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "leaf failed");
}

static void by_execve(void) {
  char *arguments[] = {leaf, "execve", NULL};
  char *bare[] = {"ONLY=this", NULL};
  pid_t child = fork();
  if (child == 0) {
    execve(leaf, arguments, bare);
    _exit(127);
  }
  wait_for(child);
}

static void by_execvp(void) {
  char *arguments[] = {leaf, "execvp", NULL};
  pid_t child = fork();
  if (child == 0) {
    clearenv();
    execvp(leaf, arguments);
    _exit(127);
  }
  wait_for(child);
}

static void by_execle(void) {
  char *bare[] = {NULL};
  pid_t child = vfork();
  if (child == 0) {
    execle(leaf, leaf, "execle", (char *)NULL, bare);
    _exit(127);
  }
  wait_for(child);
}

static void by_fexecve(void) {
  char *arguments[] = {leaf, "fexecve", NULL};
  char *bare[] = {NULL};
  pid_t child = fork();
  if (child == 0) {
    FILE *f = fopen(leaf, "re");
    if (f != NULL) fexecve(fileno(f), arguments, bare);
    _exit(127);
  }
  wait_for(child);
}

static void by_spawn(void) {
  char *arguments[] = {leaf, "spawn", NULL};
  char *bare[] = {"ONLY=this", NULL};
  pid_t child = 0;
  require(posix_spawn(&child, leaf, NULL, NULL, arguments, bare) == 0, "posix_spawn");
  wait_for(child);
}

static void by_spawnp(void) {
  char *arguments[] = {leaf, "spawnp", NULL};
  pid_t child = 0;
  require(posix_spawnp(&child, leaf, NULL, NULL, arguments, environ) == 0, "posix_spawnp");
  wait_for(child);
}

static void by_system(void) {
  char command[4096];
  snprintf(command, sizeof command, "'%s' system", leaf);
  require(system(command) == 0, "system");
}

static void by_popen(void) {
  char command[4096];
  snprintf(command, sizeof command, "'%s' popen", leaf);
  FILE *f = popen(command, "r");
  require(f != NULL && pclose(f) == 0, "popen");
}

// A failed exec leaves the process as it was: it goes on being recorded.
ALONE static void after_failed_exec(void) {
  //@ after_failed_exec
  char *arguments[] = {"missing", NULL};
  char *bare[] = {NULL};
  execve("/nonexistent/program", arguments, bare);
  for (int i = 0; i < 11; i++) {
    //= allocations=11 total_bytes=11*110 alive_at_exit_bytes=11*110
    void *p = malloc(110);
    keep(p);
  }
}

int main(int argc, char **argv) {
  require(argc == 2, "usage: execs LEAF");
  leaf = argv[1];
  by_execve();
  by_execvp();
  by_execle();
  by_fexecve();
  by_spawn();
  by_spawnp();
  by_system();
  by_popen();
  after_failed_exec();
  // The last way: this process itself.
  char *arguments[] = {leaf, "self", NULL};
  char *bare[] = {NULL};
  execve(leaf, arguments, bare);
  return 127;
}
