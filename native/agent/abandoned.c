// Contexts that a signal handler has left in the middle of something, by a jump out of it.
#include "ring.h"
#include "stacks.h"

#ifdef __x86_64__
#define MOST_SCANNED ((uintptr_t)64 << 20) // bytes of a stack

// Whether a signal handler is running, as far as can be seen: the registers that it has interrupted lie on
// its stack, with a pointer to those of floating point, which follow them.
static HT_RAW HT_NOINLINE bool in_handler(void) {
  enum { SP, PC, FLAGS, SEGMENTS, FLOATS = 8 }; // as they follow each other in a ucontext
  const uintptr_t *at = __builtin_frame_address(0);
  ht_mapping stack;
  if (!ht_mapping_find((uintptr_t)at, &stack) || stack.high - (uintptr_t)at > MOST_SCANNED) {
    return true; // not to be told
  }
  for (const uintptr_t *end = (const uintptr_t *)stack.high - FLOATS; at < end; at++) {
    if ((at[SEGMENTS] & 0xffff) == 0x33 && (at[FLAGS] & 0x202) == 0x202 && at[FLAGS] >> 22 == 0 &&
        at[PC] != 0 && at[SP] != 0 && at[FLOATS] % 64 == 0 && at[FLOATS] - (uintptr_t)at < 1024) {
      return true;
    }
  }
  return false;
}
#else
static bool in_handler(void) { return true; }
#endif

// What has been interrupted is still to go on as long as a handler runs, perhaps another one. So this
// finds out late, but not wrongly.
HT_COLD bool ht_abandoned(ht_ctx *ctx) {
  if (ctx->ring == NULL || (ctx->busy & HT_BUSY_CALLS) || in_handler()) return false;
  ht_context_page *page = (ht_context_page *)ctx;
  if (ctx->limit == NULL) ctx->limit = page->limit;
  if (ctx->busy & (HT_BUSY_WRITE | HT_BUSY_SLOW)) ctx->w = ctx->limit; // behind the hole
  // What was being brought up to date may be anything.
  ctx->py.head = 0;
  ctx->native.first = ctx->native.capacity;
  page->nested.busy &= (uint8_t)~HT_BUSY_WRITE;
  ctx->busy = 0;
  ht_take_aside(ctx);
  return true;
}
