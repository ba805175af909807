// What a thread remembers of its stacks: that it is used, and that it is right when stacks differ in
// as little as they can.
#include <signal.h>
#include <stdlib.h>

#include "../agent.h"
#include "check.h"
#include "unwind_fake.h"
#include "unwind_frames.h"
#include "unwind_oracle.h"

// Functions with the same frame, so that what they call has the same pc and sp.
#define TWIN(name)                                                                           \
  __attribute__((noinline, noclone, no_icf)) static void name(then_fn then, void *closure) { \
    then(closure);                                                                           \
    __asm__ volatile("");                                                                    \
  }
TWIN(twin_a)
TWIN(twin_b)

static uint64_t random_state = 88172645463325252ull;
static unsigned pick(unsigned below) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (unsigned)(random_state >> 33) % below;
}

// ------------------------------------------------------------------------------- what is known

static unsigned walked; // frames, since it was set to 0

__attribute__((noinline)) static void capture(void *closure) {
  (void)closure;
  fake_finds = 0;
  expand_here(NULL);
  walked += fake_finds;
}

// Ends that differ in fewer frames than a memo has words for.
static void visit(void) {
  twin_a(capture, NULL);
  twin_b(capture, NULL);
  recurse(1, capture, NULL);
  frame_vla(capture, NULL, 100);
  frame_aligned(capture, NULL);
  frame_aligned_vla(capture, NULL, 40);
}

__attribute__((noinline)) static void test_known(void) {
  for (unsigned round = 0; round < 12; round++) {
    visit();
    if (round == 0) CHECK(walked > 6);
    if (round == 1) walked = 0; // by now each end has been seen on the outer frames that stay
  }
  CHECK(walked == 0);
}

// ------------------------------------------------------------------- stacks that are nearly the same

// A chain of frames, of which `chain` chooses each.
static uint64_t chain;
static bool cold; // compare with a walk that remembers nothing, too

__attribute__((noinline)) static void one_of_two(void *closure) {
  uintptr_t level = (uintptr_t)closure;
  if (level == 0) {
    compare_here(cold ? ctx : NULL);
  } else if (chain >> level & 1) {
    twin_a(one_of_two, (void *)(level - 1));
  } else {
    twin_b(one_of_two, (void *)(level - 1));
  }
  __asm__ volatile("");
}

static void test_callers(void) {
  compared = differing = 0;
  for (unsigned turn = 0; turn < 20000; turn++) {
    // Mostly one bit, anywhere from the innermost frame to the outermost.
    chain = pick(4) ? chain ^ 1ull << pick(16) : random_state;
    cold = pick(16) == 0;
    one_of_two((void *)(uintptr_t)15);
  }
  CHECK(compared == 20000 && differing == 0);
}

// The same pc, sp and return addresses in the same places, and only bp tells which caller it is.
void frame_room(then_fn then, void *closure, unsigned long bytes); // by bp; writes nothing into it
void frame_saves(then_fn then, void *closure);                     // uses bp for something else
__asm__(
    ".type frame_room, @function\n"
    "frame_room:\n"
    "  .cfi_startproc\n"
    "  push %rbp\n  .cfi_def_cfa_offset 16\n  .cfi_offset %rbp, -16\n"
    "  mov %rsp, %rbp\n  .cfi_def_cfa_register %rbp\n"
    "  sub %rdx, %rsp\n  xchg %rdi, %rsi\n  call *%rsi\n"
    "  leave\n  .cfi_def_cfa %rsp, 8\n  ret\n"
    "  .cfi_endproc\n"
    ".size frame_room, . - frame_room\n"
    ".type frame_saves, @function\n"
    "frame_saves:\n"
    "  .cfi_startproc\n"
    "  push %rbp\n  .cfi_def_cfa_offset 16\n  .cfi_offset %rbp, -16\n"
    "  xor %ebp, %ebp\n  xchg %rdi, %rsi\n  call *%rsi\n"
    "  pop %rbp\n  .cfi_def_cfa_offset 8\n  ret\n"
    "  .cfi_endproc\n"
    ".size frame_saves, . - frame_saves\n");

static void inner_end(void *closure) {
  uintptr_t choice = (uintptr_t)closure;
  void (*frame)(then_fn, void *) = choice & 1 ? frame_saves : twin_a;
  if (choice == 0) {
    compare_here(cold ? ctx : NULL);
  } else {
    frame(inner_end, (void *)(choice >> 1)); // one place for all calls
  }
  __asm__ volatile("");
}

// Between the call and frame_room, as many frames as the room is smaller.
#define VIA(name, next)                                                                          \
  __attribute__((noinline)) static void name(then_fn then, void *closure, unsigned long bytes) { \
    next(then, closure, bytes - 16);                                                             \
    __asm__ volatile("");                                                                        \
  }
VIA(via_one, frame_room)
VIA(via_two, via_one)
VIA(via_three, via_two)

static void test_frame_pointers(void) {
  void (*const ways[])(then_fn, void *, unsigned long) = {frame_room, via_one, via_two, via_three};
  compared = differing = 0;
  for (unsigned turn = 0; turn < 20000; turn++) {
    cold = pick(16) == 0;
    uintptr_t choice = pick(3) ? 1 + pick(3) : pick(256);
    ways[pick(4)](inner_end, (void *)choice, 256);
  }
  CHECK(compared == 20000 && differing == 0);
}

// Frames of every kind, in few sizes and few depths.
static void raise_it(void *closure);

static void any_frame(void *closure) {
  uintptr_t level = (uintptr_t)closure;
  void *next = (void *)(level - 1);
  if (level == 0) {
    compare_here(cold ? ctx : NULL);
    return;
  }
  switch (chain >> (level * 4) & 15) {
    case 0:
    case 1:
      frame_vla(any_frame, next, 16 + 16 * (unsigned)(chain >> 60 & 1));
      break;
    case 2:
      frame_aligned(any_frame, next);
      break;
    case 3:
      frame_aligned_vla(any_frame, next, 16 + 64 * (unsigned)(chain >> 61 & 1));
      break;
    case 4:
      frame_saved_sp(any_frame, next);
      break;
    case 5:
      frame_qsort(any_frame, next);
      break;
    case 6:
      raise_it(next);
      break;
    case 7:
    case 8:
      twin_b(any_frame, next);
      break;
    default:
      twin_a(any_frame, next);
  }
  __asm__ volatile("");
}

static void *of_signal;
static void on_signal(int number) {
  (void)number;
  any_frame(of_signal);
}
static void raise_it(void *closure) {
  of_signal = closure;
  raise(SIGUSR1);
}

static void test_any_frames(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
  sigaction(SIGUSR1, &action, NULL);
  compared = differing = 0;
  unsigned depth = 6;
  for (unsigned turn = 0; turn < 20000; turn++) {
    if (pick(32) == 0) depth = 1 + pick(9);
    chain = pick(8) ? chain ^ (uint64_t)pick(16) << 4 * pick(16) : random_state;
    cold = pick(8) == 0;
    any_frame((void *)(uintptr_t)depth);
  }
  CHECK(compared == 20000 && differing == 0);
}

int main(void) {
  fake_start();
  oracle_start();
  test_known();
  test_callers();
  test_frame_pointers();
  test_any_frames();
  oracle_end();
  return check_report();
}
