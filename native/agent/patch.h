// Hooks inside a function: its entry becomes a jump to a hook of ours, which goes on through a copy of
// the instructions that the jump displaced.
//
// A hook is entered by a jump with the caller's registers and return address, so it sees the caller as
// if it had been called, and what it calls returns to it. The unwinder meets the copy only if a signal
// comes just there.
#ifndef HEAPTIDE_PATCH_H
#define HEAPTIDE_PATCH_H

#include "agent.h"

// What a hook finds in its sixth argument.
typedef struct ht_slot {
  void *real;                      // goes on with the function as it was
  size_t (*usable)(const void *);  // the allocator's malloc_usable_size, or NULL
  const struct ht_slot *companion; // see statics.h, or NULL
  uint32_t kind;                   // ht_kind
  uint32_t flags;
} ht_slot;

// A function to be hooked. All of it lies in one readable segment.
typedef struct ht_patch {
  const uint8_t *entry;
  size_t size;
  const void *hook; // of type void *(a, b, c, d, e, const ht_slot *): up to five arguments
  ht_slot slot;
  const char *unfit;       // why it cannot be hooked; else NULL
  const uint8_t *forwards; // it only jumps on to here, all arguments as they came
  uint8_t skip;            // endbr64 that stays at the entry
  uint8_t displaced;       // bytes after it
  struct ht_patch_room *room;
} ht_patch;

// Sets unfit, forwards, skip and displaced by reading the whole function.
void ht_patch_plan(ht_patch *patch);

// Hooks all of `patches` (none of them unfit), or none: then gives the reason, else NULL. For one
// thread alone. `fd`, `offset`: the file that the code is mapped from, and where in it the first
// patch's page is. `access`: PROT_* of the code. `low`, `high`: the image, near which the hooks'
// ends are put.
const char *ht_patch_apply(ht_patch *patches, unsigned count, uintptr_t low, uintptr_t high, int fd,
                           uint64_t offset, int access);

#endif
