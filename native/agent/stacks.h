// Mappings of the process, and the bounds of the stack a thread runs on. Raw system calls only.
#ifndef HEAPTIDE_STACKS_H
#define HEAPTIDE_STACKS_H

#include "agent.h"

enum { HT_MAPPING_READ = 1, HT_MAPPING_WRITE = 2, HT_MAPPING_EXECUTE = 4 };

typedef struct ht_mapping {
  uintptr_t low, high;
  unsigned flags;
} ht_mapping;

// The mapping that contains `at`. About 2 us on Linux 6.11 and newer, otherwise the time to read
// /proc/self/maps up to it.
bool ht_mapping_find(uintptr_t at, ht_mapping *mapping);

// Path of the file mapped at `at`.
bool ht_mapping_path(uintptr_t at, char *path, size_t room);

// Whether `pc`, in no module, lies in executable memory. Remembers a few ranges.
bool ht_executable(uintptr_t pc);

// Makes [cache->stack_low, cache->stack_high) the stack that contains `sp`, and cache->stack_own
// whether that is the thread's own. What it remembers of other stacks (fibers, alternate signal
// stacks) may be out of date: `afresh` asks the kernel again. False: `sp` is nowhere.
bool ht_stack_find(ht_native_cache *cache, uintptr_t sp, bool afresh);

#endif
