// Hooking functions at their entries: what is displaced works where it was moved to, what cannot be moved
// is refused, and all of it happens or nothing.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../patch.h"
#include "check.h"

// ------------------------------------------------------------------- functions by their machine code

// Each adds to its first argument, in a way of its own, and ends with its size.
#define CODE(name, text)                                                                         \
  __asm__(".pushsection .text\n.balign 16\n.globl " #name "\n.type " #name ", @function\n" #name \
          ":\n.cfi_startproc\n" text "\n.cfi_endproc\n.size " #name ", . - " #name "\n" #name    \
          "_end:\n.balign 16, 0xcc\n.popsection\n");                                             \
  uintptr_t name(uintptr_t);                                                                     \
  extern const uint8_t name##_end[];

// On pages of their own: what changes them must not run on the same ones.
__asm__(".pushsection .text\n.balign 4096\n.popsection\n");
CODE(plain, "push %rbx; mov %rdi, %rbx; lea 1(%rbx), %rax; pop %rbx; ret")
CODE(marked, "endbr64; mov %rdi, %rax; add $2, %rax; ret")
CODE(relative, "mov number(%rip), %rax; add %rdi, %rax; ret")
CODE(relative_compare,
     "cmpb $3, number(%rip); jne 1f; lea 3(%rdi), %rax; ret; 1: xor %eax, %eax; ret")
CODE(branches, "test %rdi, %rdi; je 1f; lea 4(%rdi), %rax; ret; 1: mov $40, %eax; ret")
CODE(branches_far, "test %rdi, %rdi; {disp32} je 1f; lea 5(%rdi), %rax; ret; 1: mov $50, %eax; ret")
CODE(jumps, "{disp32} jmp elsewhere")
CODE(calls, "call elsewhere; add $7, %rax; ret")
CODE(calls_later, "sub $8, %rsp; call elsewhere; add $8, %rsp; ret")
CODE(calls_through, "call *elsewhere_pointer(%rip); add $8, %rax; ret")
CODE(ends_early, "lea (%rdi), %rax; ret") // 4 bytes: padding is displaced too
CODE(elsewhere, "lea 6(%rdi), %rax; ret")
CODE(loops_to_entry, "dec %rdi; add $1, %rax; jne loops_to_entry; ret")
CODE(loops_inside, "xor %eax, %eax; 1: inc %rax; dec %rdi; jne 1b; ret")
CODE(counts_down, "mov %rdi, %rcx; jrcxz 1f; nop; 1: ret")
CODE(indirect, "nop; nop; call *%rax; nop; ret")
CODE(unknown, "nop; nop; .byte 0x06; nop; nop; nop; ret")
CODE(leaves, "nop; {disp8} je 1f; lea 9(%rdi), %rax; ret; 1:") // out of the function
__asm__(".pushsection .text\n.balign 4096\n.popsection\n");
__asm__(
    ".pushsection .data\n.globl number\nnumber: .quad 3\n.globl "
    "elsewhere_pointer\nelsewhere_pointer: .quad "
    "elsewhere\n.popsection\n");

// ----------------------------------------------------------------------------------------- hooks

static int entered;
static uintptr_t return_address;

static uintptr_t hook(uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e,
                      const ht_slot *slot) {
  entered++;
  return_address = (uintptr_t)__builtin_return_address(0);
  return ((uintptr_t (*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t))(
              uintptr_t)slot->real)(a, b, c, d, e);
}

#define PATCH(name)                                                 \
  {.entry = (const uint8_t *)(uintptr_t)name,                       \
   .size = (size_t)(name##_end - (const uint8_t *)(uintptr_t)name), \
   .hook = (const void *)(uintptr_t)hook}

static int self;

// Where this program's own code is, in its file: the file is mapped whole, text at its address.
static uint64_t offset_of(const void *at) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  uint64_t found = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long low, high, offset;
    if (sscanf(line, "%lx-%lx %*s %lx", &low, &high, &offset) == 3 && (uintptr_t)at >= low &&
        (uintptr_t)at < high)
      found = offset + ((uintptr_t)at - low);
  }
  fclose(maps);
  return found;
}

static const char *apply(ht_patch *patches, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    ht_patch_plan(&patches[i]);
    if (patches[i].unfit != NULL) return patches[i].unfit;
  }
  uintptr_t at = (uintptr_t)patches[0].entry;
  return ht_patch_apply(patches, count, at & -0x1000ul, at + 0x2000, self,
                        offset_of(patches[0].entry), PROT_READ | PROT_EXEC);
}

static unsigned flags_at(const void *at) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512], access[8] = "";
  unsigned flags = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long low, high;
    if (sscanf(line, "%lx-%lx %7s", &low, &high, access) == 3 && (uintptr_t)at >= low &&
        (uintptr_t)at < high)
      flags = (access[1] == 'w' ? PROT_WRITE : 0) | (access[2] == 'x' ? PROT_EXEC : 0);
  }
  fclose(maps);
  return flags;
}

__attribute__((noipa)) static uintptr_t call(const uint8_t *entry, uintptr_t argument) {
  volatile uintptr_t result = ((uintptr_t (*)(uintptr_t))(uintptr_t)entry)(argument);
  return result;
}

static void moved(void) {
  ht_patch patches[] = {
      PATCH(plain),       PATCH(marked),        PATCH(relative),  PATCH(relative_compare),
      PATCH(branches),    PATCH(branches_far),  PATCH(jumps),     PATCH(calls),
      PATCH(calls_later), PATCH(calls_through), PATCH(ends_early)};
  const unsigned count = sizeof patches / sizeof *patches;
  uintptr_t before[2][16], argument[2] = {1000, 0};
  for (unsigned k = 0; k < 2; k++) {
    for (unsigned i = 0; i < count; i++) {
      before[k][i] = call(patches[i].entry, argument[k]);
    }
  }
  const char *why = apply(patches, count);
  CHECK(why == NULL);
  if (why != NULL) fprintf(stderr, "%s\n", why);
  for (unsigned k = 0; k < 2 && why == NULL; k++) {
    for (unsigned i = 0; i < count; i++) {
      entered = 0;
      return_address = 0;
      CHECK_EQUAL(before[k][i], call(patches[i].entry, argument[k]));
      CHECK_EQUAL(1, entered);
      // The hook is as if called from there.
      CHECK(return_address - (uintptr_t)call < 1024);
    }
  }
  CHECK_EQUAL(1001, before[0][0]); // the functions are what their names say
  CHECK_EQUAL(1013, before[0][7]);
  CHECK_EQUAL(4, patches[1].skip);
  CHECK(memcmp(patches[1].entry, "\xf3\x0f\x1e\xfa", 4) == 0);
  CHECK(patches[6].forwards == (const uint8_t *)(uintptr_t)elsewhere);
  CHECK_EQUAL(PROT_EXEC, flags_at(patches[0].entry));
  CHECK_EQUAL(PROT_EXEC, flags_at(patches[0].room));
}

static const char *refusal(ht_patch patch) {
  ht_patch_plan(&patch);
  return patch.unfit != NULL ? patch.unfit : "";
}

static void refused(void) {
  CHECK(strstr(refusal((ht_patch)PATCH(loops_to_entry)), "jumps to its own") != NULL);
  CHECK(strstr(refusal((ht_patch)PATCH(loops_inside)), "jumps to its own") != NULL);
  CHECK(strstr(refusal((ht_patch)PATCH(counts_down)), "cannot be moved") != NULL);
  CHECK(strstr(refusal((ht_patch)PATCH(indirect)), "indirect call") != NULL);
  CHECK(strstr(refusal((ht_patch)PATCH(unknown)), "unknown") != NULL);
  CHECK(strstr(refusal((ht_patch)PATCH(leaves)), "branch to elsewhere") != NULL);
  ht_patch tight = PATCH(ends_early);
  tight.entry += 1; // not aligned: what follows may be another function
  tight.size -= 1;
  CHECK(strstr(refusal(tight), "too short") != NULL);
  ht_patch cut = PATCH(plain);
  cut.size = 3;
  CHECK(refusal(cut)[0] != 0);
}

// Where no memory may become executable: the reason comes back, and nothing has changed.
static void forbidden(void) {
  pid_t child = fork();
  if (child == 0) {
    const int set_mdwe = 65, no_exec_gain = 1;
    ht_patch patch = PATCH(elsewhere);
    uint8_t before[16];
    memcpy(before, patch.entry, sizeof before);
    if (prctl(set_mdwe, no_exec_gain, 0, 0, 0) != 0) _exit(77);
    const char *why = apply(&patch, 1);
    bool same = memcmp(before, patch.entry, sizeof before) == 0;
    _exit(why != NULL && same && flags_at(patch.entry) == PROT_EXEC ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    puts("memory-deny-write-execute: not in this kernel");
    return;
  }
  CHECK_EQUAL(0, status);
}

int main(void) {
  self = open("/proc/self/exe", O_RDONLY);
  refused();
  forbidden();
  moved();
  return check_report();
}
