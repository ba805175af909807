// Memory straight from the kernel: mmap, munmap, mremap, brk, sbrk.
//
// Only anonymous memory is an allocation. Unmapping is recorded before it is done; mapping after.
// Reservations without access (PROT_NONE) are address space, not memory, and are not recorded.
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hooks.h"
#include "record.h"

#define PAGE 4096u
#ifndef MREMAP_DONTUNMAP // glibc before 2.32
#define MREMAP_DONTUNMAP 4
#endif

static inline size_t pages(size_t bytes) { return (bytes + PAGE - 1) & ~(size_t)(PAGE - 1); }

static inline bool worth_recording(const ht_ctx *ctx) {
  return ctx->frees != HT_FREES_NONE || ctx->left <= 0;
}

static inline unsigned kind_of(const ht_ctx *ctx, uintptr_t pc) {
  return ctx->arena || ht_hooks_in_provider(pc) ? HT_KIND_ARENA : HT_KIND_MMAP;
}

// Around a real function: an allocator library's own (tcmalloc's) makes the system call by number, which is
// the same mapping a second time. It does so from frames right below ours; a handler that jumps out of the
// real function leaves a mark that soon says nothing.
#define NEAR 4096u
static inline ht_ctx *enter_map(void) {
  ht_ctx *ctx = ht_tls;
  if (ht_recording(ctx)) ctx->map_sp = (uintptr_t)__builtin_frame_address(0);
  return ctx;
}

static inline void leave_map(ht_ctx *ctx) {
  if (ctx->map_sp != 0) ctx->map_sp = 0;
}

static inline bool is_within_map(const ht_ctx *ctx, uintptr_t sp) {
  return ctx->map_sp - sp < NEAR;
}

static inline void *map_by_name(void *at, size_t size, int access, int flags, int fd,
                                off_t offset) {
  ht_ctx *ctx = enter_map();
  void *p = ht_real.mmap(at, size, access, flags, fd, offset);
  leave_map(ctx);
  return p;
}

static inline void record_mmap(void *p, size_t size, int access, int flags, uintptr_t pc,
                               uintptr_t sp, uintptr_t bp) {
  ht_ctx *ctx = ht_tls;
  if (p == MAP_FAILED || !worth_recording(ctx)) return;
  int error = errno;
  if (ctx->frees == HT_FREES_UNKNOWN) ctx = ht_ready(ctx); // finds allocators that are linked in
  unsigned kind = kind_of(ctx, pc);
  bool replaces = (flags & MAP_FIXED) != 0 && (flags & MAP_FIXED_NOREPLACE) != MAP_FIXED_NOREPLACE;
  if (replaces) ht_record_unmap(ctx, p, pages(size), kind);
  if ((flags & MAP_ANONYMOUS) != 0 && access != PROT_NONE) {
    ht_record_map(ht_tls, p, pages(size), kind, pc, sp, bp);
  }
  errno = error;
}

HT_EXPORT void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset) {
  void *p = map_by_name(at, size, access, flags, fd, offset);
  record_mmap(p, size, access, flags, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  return p;
}

HT_EXPORT void *mmap64(void *at, size_t size, int access, int flags, int fd, off_t offset) {
  void *p = map_by_name(at, size, access, flags, fd, offset);
  record_mmap(p, size, access, flags, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  return p;
}

static inline void record_munmap(void *at, size_t size, uintptr_t pc) {
  ht_ctx *ctx = ht_tls;
  if (worth_recording(ctx) && size != 0 && (uintptr_t)at % PAGE == 0) {
    ht_record_unmap(ctx, at, pages(size), kind_of(ctx, pc));
  }
}

HT_EXPORT int munmap(void *at, size_t size) {
  record_munmap(at, size, HT_CALLER_PC);
  ht_ctx *ctx = enter_map();
  int result = ht_real.munmap(at, size);
  leave_map(ctx);
  return result;
}

static inline void record_mremap(void *old, size_t old_size, void *p, size_t size, int flags,
                                 uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  ht_ctx *ctx = ht_tls;
  if (p == MAP_FAILED || !worth_recording(ctx)) return;
  int error = errno;
  if (flags & MREMAP_FIXED) ht_record_unmap(ctx, p, pages(size), HT_KIND_MMAP);
  if (flags & MREMAP_DONTUNMAP) { // the pages move; where they were is memory still
    ht_record_map(ht_tls, p, pages(size), HT_KIND_MMAP, pc, sp, bp);
  } else {
    ht_record_remap(ht_tls, old, pages(old_size), p, pages(size), pc, sp, bp);
  }
  errno = error;
}

HT_EXPORT void *mremap(void *old, size_t old_size, size_t size, int flags, ...) {
  void *at = NULL;
  if (flags & MREMAP_FIXED) {
    va_list arguments;
    va_start(arguments, flags);
    at = va_arg(arguments, void *);
    va_end(arguments);
  }
  if (ht_real.mremap == NULL) ht_hooks_resolve();
  ht_ctx *ctx = enter_map();
  void *p = ht_real.mremap(old, old_size, size, flags, at);
  leave_map(ctx);
  record_mremap(old, old_size, p, size, flags, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  return p;
}

static inline void record_break(char *from, char *to, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  ht_ctx *ctx = ht_tls;
  if (!worth_recording(ctx) || from == to || from == (char *)-1) return;
  if (ctx->arena || ht_hooks_in_provider(pc)) return;
  int error = errno;
  if (to > from) {
    ht_record_map(ctx, from, (size_t)(to - from), HT_KIND_SBRK, pc, sp, bp);
  } else {
    ht_record_unmap(ctx, to, (size_t)(from - to), HT_KIND_SBRK);
  }
  errno = error;
}

HT_EXPORT void *sbrk(intptr_t by) {
  char *before = ht_real.sbrk(by);
  if (before != (char *)-1) {
    record_break(before, before + by, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  }
  return before;
}

HT_EXPORT int brk(void *to) {
  char *before = ht_real.sbrk(0);
  int result = ht_real.brk(to);
  if (result == 0) record_break(before, to, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  return result;
}

// ------------------------------------------------------------------------------- syscall(3)

// The same by number. Everything else is jumped on, all registers as they came: the function has
// more arguments than C can pass on, and some calls return twice.
long ht_syscall_hook(long number, long a, long b, long c, long d, long e, long f);
long (*ht_real_syscall)(long, ...);

__asm__(
    ".text\n"
    ".globl syscall\n"
    ".type syscall, @function\n"
    "syscall:\n"
    ".cfi_startproc\n"
    "  cmp $9, %rdi\n" // mmap
    "  je ht_syscall_hook\n"
    "  cmp $11, %rdi\n" // munmap
    "  je ht_syscall_hook\n"
    "  cmp $25, %rdi\n" // mremap
    "  je ht_syscall_hook\n"
    "  cmp $157, %rdi\n" // prctl
    "  je ht_syscall_hook\n"
    "  cmp $317, %rdi\n" // seccomp
    "  je ht_syscall_hook\n"
    "  cmpq $0, ht_real_syscall(%rip)\n"
    "  je ht_syscall_hook\n"
    "  jmp *ht_real_syscall(%rip)\n"
    ".cfi_endproc\n"
    ".size syscall, . - syscall\n");

__attribute__((used, visibility("hidden"))) long ht_syscall_hook(long number, long a, long b,
                                                                 long c, long d, long e, long f) {
  ht_hooks_resolve(); // before any constructor
  bool counts = !is_within_map(ht_tls, HT_CALLER_SP);
  long result;
  switch (number) {
    case SYS_mmap:
      result = ht_real_syscall(number, a, b, c, d, e, f);
      if (counts) {
        record_mmap((void *)result, (size_t)b, (int)c, (int)d, HT_CALLER_PC, HT_CALLER_SP,
                    HT_CALLER_BP);
      }
      return result;
    case SYS_munmap:
      if (counts) record_munmap((void *)a, (size_t)b, HT_CALLER_PC);
      return ht_real_syscall(number, a, b);
    case SYS_mremap:
      result = ht_real_syscall(number, a, b, c, d, e);
      if (counts) {
        record_mremap((void *)a, (size_t)b, (void *)result, (size_t)c, (int)d, HT_CALLER_PC,
                      HT_CALLER_SP, HT_CALLER_BP);
      }
      return result;
    case SYS_prctl:
    case SYS_seccomp:
      ht_sandbox_ahead(number, a);
      break;
    default:
      break;
  }
  return ht_real_syscall(number, a, b, c, d, e, f);
}
