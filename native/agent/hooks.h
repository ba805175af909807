// What the hooks share: the real functions, and helpers about the environment.
#ifndef HEAPTIDE_HOOKS_H
#define HEAPTIDE_HOOKS_H

#include <sys/types.h>

#include "agent.h"

// The functions behind ours. Each points to a resolver until ht_hooks_resolve has run, so that calls
// before any constructor work.
typedef struct ht_real_functions {
  void *(*malloc)(size_t);
  void (*free)(void *);
  void *(*calloc)(size_t, size_t);
  void *(*realloc)(void *, size_t);
  void *(*reallocarray)(void *, size_t, size_t);
  int (*posix_memalign)(void **, size_t, size_t);
  void *(*aligned_alloc)(size_t, size_t);
  void *(*memalign)(size_t, size_t);
  void *(*valloc)(size_t);
  void *(*pvalloc)(size_t);
  size_t (*malloc_usable_size)(void *);
  void *(*mmap)(void *, size_t, int, int, int, off_t);
  int (*munmap)(void *, size_t);
  void *(*mremap)(void *, size_t, size_t, int, ...);
  void *(*sbrk)(intptr_t);
  int (*brk)(void *);
  void *(*dlopen)(const char *, int);
  int (*dlclose)(void *);
} ht_real_functions;

extern ht_real_functions ht_real;
extern void *(*ht_real_dlsym)(void *, const char *);
extern long (*ht_real_syscall)(long, ...) __attribute__((visibility("hidden")));

void ht_hooks_resolve(void);                        // fills ht_real; idempotent
bool ht_hooks_late(void);                           // for ht.late
enum ht_allocator_provider ht_hooks_provider(void); // whose malloc ht_real.malloc is
uint32_t ht_hooks_unable(void); // HT_CONFIG_* that cannot be had in this program
// True when `pc` lies in the library that answers malloc, other than libc, or in an allocator that is
// linked in: its mappings are arenas.
bool ht_hooks_in_provider(uintptr_t pc);
// The program's own functions where it defines malloc: what it allocates is theirs. Else NULL.
extern void *(*ht_program_realloc)(void *, size_t);
extern void (*ht_program_free)(void *);

// hooks_malloc.c: memory for what dlsym allocates while the real functions are being looked up.
void *ht_early_alloc(size_t size, size_t alignment);
bool ht_is_early(const void *p);
bool ht_early_in_use(void);

// The next definition of `name` after ours, or NULL. For hooks that resolve on first use.
void *ht_next_symbol(const char *name);

bool ht_hooked_name(const char *name);

// got.c: has the calls that loaded objects make go to our hooks, where no lookup by the loader does. Does
// nothing for objects that have been seen to.
void ht_got_patch(void);
void ht_got_binds_deep(void); // an object is about to be loaded with RTLD_DEEPBIND

// Our own function for `name` if its real one is `real`, else `real`: for dlsym.
void *ht_hooked_symbol(const char *name, void *real);

// hooks_sandbox.c: the program is about to make the system call prctl or seccomp, with this first argument.
void ht_sandbox_ahead(long number, long argument);

// env.c
bool ht_starts_with(const char *text, const char *prefix);
void ht_own_path(char *to, size_t room);
// Takes this library out of an "LD_PRELOAD=..." entry, in place. NULL when nothing else is in it.
char *ht_without_library(char *entry);

// For exec: `envp` with this session's entries added, built in `storage` (see ht_environment_size).
// Returns envp itself when there is nothing to add.
typedef struct ht_environment {
  size_t entries, preload_bytes;
} ht_environment;
ht_environment ht_environment_measure(char *const *envp);
char **ht_environment_build(char *const *envp, ht_environment size, char **array, char *preload);

#endif
