// The stack of the calling thread as the compiler's run-time library sees it, and whether the
// unwinder agrees.
#ifndef HEAPTIDE_TESTS_UNWIND_ORACLE_H
#define HEAPTIDE_TESTS_UNWIND_ORACLE_H

#include "../agent.h"

typedef struct stack {
  unsigned count;
  uintptr_t pc[110000];
  bool exact[110000]; // oracle: the pc is that of an interrupted instruction
  uint32_t module[110000];
} stack;

extern __thread ht_ctx *ctx;
extern __thread stack *oracle, *ours; // the last comparison's
extern __thread unsigned compared, differing;
extern bool on_fiber; // the outermost function is one that nobody called

// Gives the calling thread a context and room for its stacks; takes them back.
void oracle_start(void);
void oracle_end(void);

// As a hook does. Compares a capture through the cache, a repeated one and, if the closure is not
// NULL, one without the cache.
void compare_here(void *closure);

// Captures without an oracle: for stacks that the unwinder is known to see otherwise.
void expand_here(void *closure);

void reset(ht_native_cache *cache);  // forgets the cached stack
bool has_function(const char *name); // whether the last stack captured has it

// Compares inside of whatever the call sets up; true if it came to that and all agreed.
#define AGREES(...) (compared = differing = 0, __VA_ARGS__, compared > 0 && differing == 0)

#endif
