// exec and spawn: a program that passes an environment of its own stays in the recording.
//
// The session's entries are hidden from the program's `environ` (session.c), so every way to start
// another program adds them again. What libc does inside itself (system, popen) is covered by putting
// them into `environ` for the time of the call.
#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hooks.h"
#include "session.h"

extern char **environ;

typedef int exec_env(const char *, char *const[], char *const[]);
typedef int exec_fd(int, char *const[], char *const[]);
typedef int exec_at(int, const char *, char *const[], char *const[], int);
typedef int spawn(pid_t *, const char *, const posix_spawn_file_actions_t *,
                  const posix_spawnattr_t *, char *const[], char *const[]);

// Found when the agent is loaded: a child of fork in a threaded program must not enter the loader.
static struct {
  exec_env *execve, *execvpe;
  exec_fd *fexecve;
  exec_at *execveat;
  spawn *posix_spawn, *posix_spawnp;
  int (*system)(const char *);
  FILE *(*popen)(const char *, const char *);
} real;

void ht_exec_resolve(void) {
  *(void **)&real.execve = ht_next_symbol("execve");
  *(void **)&real.execvpe = ht_next_symbol("execvpe");
  *(void **)&real.fexecve = ht_next_symbol("fexecve");
  *(void **)&real.execveat = ht_next_symbol("execveat");
  *(void **)&real.posix_spawn = ht_next_symbol("posix_spawn");
  *(void **)&real.posix_spawnp = ht_next_symbol("posix_spawnp");
  *(void **)&real.system = ht_next_symbol("system");
  *(void **)&real.popen = ht_next_symbol("popen");
}

// A child of vfork runs on its parent's memory: it must leave no trace of its own in it.
static bool is_recorded_process(void) {
  return ht.process != NULL && ht.process->pid == (uint32_t)ht_os_pid();
}

// Without --follow only the recorded process itself takes the session along.
static bool takes_session_along(void) {
  return *ht_session_variable() != 0 && ((ht.config & HT_CONFIG_FOLLOW) || is_recorded_process());
}

// Declares `with`: envp, or a copy on the stack with the session's entries.
#define WITH_SESSION(envp, with)                                                     \
  ht_environment size_ = {0, 0};                                                     \
  if (takes_session_along()) size_ = ht_environment_measure(envp);                   \
  char **with = (char **)(uintptr_t)(envp);                                          \
  if (size_.entries != 0) {                                                          \
    with = ht_environment_build(envp, size_, alloca(size_.entries * sizeof(char *)), \
                                alloca(size_.preload_bytes));                        \
  }

static void about_to_exec(bool about) {
  if (!is_recorded_process()) return;
  __atomic_store_n(&ht.process->state, about ? HT_PROCESS_EXEC : HT_PROCESS_LIVE, __ATOMIC_RELEASE);
}

#define EXEC(call)      \
  about_to_exec(true);  \
  int result = call;    \
  int error = errno;    \
  about_to_exec(false); \
  errno = error;        \
  return result

HT_EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
  WITH_SESSION(envp, with);
  EXEC(real.execve(path, argv, with));
}

HT_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
  WITH_SESSION(envp, with);
  EXEC(real.execvpe(file, argv, with));
}

HT_EXPORT int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }
HT_EXPORT int execvp(const char *file, char *const argv[]) { return execvpe(file, argv, environ); }

HT_EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
  WITH_SESSION(envp, with);
  EXEC(real.fexecve(fd, argv, with));
}

HT_EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[],
                       int flags) {
  WITH_SESSION(envp, with);
  EXEC(real.execveat(fd, path, argv, with, flags));
}

// The list forms: the arguments become a vector on the stack.
#define LIST_TO_VECTOR(first, argv, rest)            \
  va_list rest;                                      \
  va_start(rest, first);                             \
  size_t count_ = 1;                                 \
  while (va_arg(rest, char *) != NULL) count_++;     \
  va_end(rest);                                      \
  char **argv = alloca((count_ + 1) * sizeof *argv); \
  va_start(rest, first);                             \
  argv[0] = (char *)(uintptr_t)first;                \
  for (size_t i_ = 1; i_ <= count_; i_++) argv[i_] = va_arg(rest, char *)

HT_EXPORT int execl(const char *path, const char *first, ...) {
  LIST_TO_VECTOR(first, argv, rest);
  va_end(rest);
  return execve(path, argv, environ);
}

HT_EXPORT int execlp(const char *file, const char *first, ...) {
  LIST_TO_VECTOR(first, argv, rest);
  va_end(rest);
  return execvpe(file, argv, environ);
}

HT_EXPORT int execle(const char *path, const char *first, ...) {
  LIST_TO_VECTOR(first, argv, rest);
  char **envp = va_arg(rest, char **);
  va_end(rest);
  return execve(path, argv, envp);
}

HT_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attributes, char *const argv[],
                          char *const envp[]) {
  WITH_SESSION(envp, with);
  if (!(ht.config & HT_CONFIG_FOLLOW)) with = (char **)(uintptr_t)envp;
  return real.posix_spawn(pid, path, actions, attributes, argv, with);
}

HT_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attributes, char *const argv[],
                           char *const envp[]) {
  WITH_SESSION(envp, with);
  if (!(ht.config & HT_CONFIG_FOLLOW)) with = (char **)(uintptr_t)envp;
  return real.posix_spawnp(pid, file, actions, attributes, argv, with);
}

// Puts the session's entries into `environ` around a call of libc's own. Another thread may see them
// meanwhile; if it changes the environment in that time, its change stays and so do they, in memory
// that then stays too.
typedef struct loan {
  char **before, **with;
  void *memory;
  size_t bytes;
} loan;

static loan lend_environment(void) {
  loan l = {environ, environ, NULL, 0};
  if (*ht_session_variable() == 0 || !(ht.config & HT_CONFIG_FOLLOW)) return l;
  ht_environment size = ht_environment_measure(environ);
  if (size.entries == 0) return l;
  l.bytes = size.entries * sizeof(char *) + size.preload_bytes;
  l.memory = ht_os_map(l.bytes);
  if (l.memory == NULL) return l;
  l.with = ht_environment_build(environ, size, l.memory,
                                (char *)l.memory + size.entries * sizeof(char *));
  environ = l.with;
  return l;
}

static void take_back(loan l) {
  if (l.memory == NULL || environ != l.with) return;
  int error = errno;
  environ = l.before;
  ht_os_unmap(l.memory, l.bytes);
  errno = error;
}

HT_EXPORT int system(const char *command) {
  loan l = lend_environment();
  int result = real.system(command);
  take_back(l);
  return result;
}

HT_EXPORT FILE *popen(const char *command, const char *mode) {
  loan l = lend_environment();
  FILE *result = real.popen(command, mode);
  take_back(l);
  return result;
}
