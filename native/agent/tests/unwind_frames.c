#include "unwind_frames.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls")))

volatile unsigned sink;

NOINLINE void recurse(unsigned depth, then_fn then, void *closure) {
  if (depth == 0) {
    then(closure);
  } else if (depth % 3 == 0) { // several call sites
    recurse(depth - 1, then, closure);
  } else {
    recurse(depth - 1, then, closure);
    sink = depth;
  }
  sink++;
}

NOINLINE void frame_big(then_fn then, void *closure) {
  volatile char room[40000];
  room[0] = room[39999] = 1;
  then(closure);
  sink += (unsigned)room[0];
}

NOINLINE void frame_aligned(then_fn then, void *closure) {
  alignas(64) volatile char room[64];
  room[3] = 1;
  then(closure);
  sink += (unsigned)((uintptr_t)room % 64) + (unsigned)room[3];
}

NOINLINE void frame_aligned_vla(then_fn then, void *closure, unsigned n) {
  alignas(128) volatile char room[128];
  volatile char more[n];
  room[0] = more[n - 1] = 1;
  then(closure);
  sink += (unsigned)room[0] + (unsigned)more[0];
}

NOINLINE void frame_vla(then_fn then, void *closure, unsigned n) {
  volatile char more[n];
  more[n - 1] = 1;
  then(closure);
  sink += (unsigned)more[0];
}

static __thread then_fn compare_then;
static __thread void *compare_closure;

NOINLINE static int compare(const void *a, const void *b) {
  then_fn then = compare_then;
  compare_then = NULL;
  if (then) then(compare_closure);
  return *(const int *)a - *(const int *)b;
}

NOINLINE void frame_qsort(then_fn then, void *closure) {
  int numbers[9] = {4, 7, 1, 9, 2, 8, 3, 6, 5};
  compare_then = then;
  compare_closure = closure;
  qsort(numbers, 9, sizeof *numbers, compare);
  sink += (unsigned)numbers[0];
}

NOINLINE void frame_noreturn(then_fn then, void *closure) {
  sink++;
  then(closure);
  __builtin_unreachable();
}

// What follows frame_noreturn has another frame, so that a look-up behind the call goes wrong.
NOINLINE void frame_noreturn_follower(then_fn then, void *closure) {
  volatile char room[256];
  room[0] = 1;
  then(closure);
  sink += (unsigned)room[0];
}

NOINLINE int leaf_work(const char *text) {
  alignas(64) char copy[128];
  struct timespec now;
  size_t length = strlen(text) % sizeof copy;
  memcpy(copy, text, length);
  copy[length] = '\0';
  clock_gettime(CLOCK_MONOTONIC, &now);
  int digits = (int)now.tv_nsec;
  frame_vla((then_fn)(void (*)(void))srand, NULL, 100);
  return digits + atoi(copy);
}

__asm__(
    ".text\n"
    ".globl frame_bare, frame_pointer, frame_rbx, frame_saved_sp, frame_lost, frame_liar\n"
    ".type frame_bare, @function\n"
    "frame_bare:\n"
    "  sub $8, %rsp\n  xchg %rdi, %rsi\n  call *%rsi\n  add $8, %rsp\n  ret\n"
    ".size frame_bare, . - frame_bare\n"
    ".type frame_pointer, @function\n"
    "frame_pointer:\n"
    "  push %rbp\n  mov %rsp, %rbp\n  xchg %rdi, %rsi\n  call *%rsi\n  pop %rbp\n  ret\n"
    ".size frame_pointer, . - frame_pointer\n"
    ".type frame_rbx, @function\n"
    "frame_rbx:\n"
    "  .cfi_startproc\n"
    "  push %rbx\n  .cfi_adjust_cfa_offset 8\n  .cfi_rel_offset %rbx, 0\n"
    "  mov %rsp, %rbx\n  .cfi_def_cfa_register %rbx\n"
    "  sub $512, %rsp\n  and $-64, %rsp\n"
    "  xchg %rdi, %rsi\n  call *%rsi\n"
    "  mov %rbx, %rsp\n  .cfi_def_cfa_register %rsp\n"
    "  pop %rbx\n  .cfi_adjust_cfa_offset -8\n  .cfi_restore %rbx\n  ret\n"
    "  .cfi_endproc\n"
    ".size frame_rbx, . - frame_rbx\n"
    ".type frame_saved_sp, @function\n"
    "frame_saved_sp:\n"
    "  .cfi_startproc\n"
    "  mov %rsp, %rax\n  .cfi_def_cfa_register %rax\n"
    "  sub $200, %rsp\n  and $-64, %rsp\n"
    "  mov %rax, 64(%rsp)\n"
    "  .cfi_escape 0x0f, 0x06, 0x77, 0xc0, 0x00, 0x06, 0x23, 0x08\n" // *(rsp + 64) + 8
    "  xchg %rdi, %rsi\n  call *%rsi\n"
    "  mov 64(%rsp), %rsp\n  .cfi_def_cfa %rsp, 8\n  ret\n"
    "  .cfi_endproc\n"
    ".size frame_saved_sp, . - frame_saved_sp\n"
    ".type frame_lost, @function\n"
    "frame_lost:\n"
    "  push %rbp\n  xor %ebp, %ebp\n  xchg %rdi, %rsi\n  call *%rsi\n  pop %rbp\n  ret\n"
    ".size frame_lost, . - frame_lost\n"
    ".type frame_liar, @function\n"
    "frame_liar:\n"
    "  .cfi_startproc\n"
    "  sub $8, %rsp\n  .cfi_def_cfa_offset 0x7ffffff0\n  xchg %rdi, %rsi\n  call *%rsi\n"
    "  add $8, %rsp\n  ret\n"
    "  .cfi_endproc\n"
    ".size frame_liar, . - frame_liar\n");
