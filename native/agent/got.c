// For a program that was running when this library came: the addresses by which its objects call the
// functions that we hook are replaced by those of the hooks.
//
// Objects hold them in tables that the loader has filled in. One is replaced if it is what the loader would
// fill in today, or still leads to its resolver; an object that is bound to something else keeps that. They
// are never put back: a hook that does not record calls on in two or three instructions.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "hooks.h"

#define PAGE ((uintptr_t)4096)
#define MOST_OBJECTS 4096u

// Exported by this library, declared in headers that disagree about their arguments.
// clang-format off: it has no end with lists like this
#define NAMES(F)                                                                              \
  F(malloc) F(free) F(calloc) F(realloc) F(reallocarray) F(posix_memalign) F(aligned_alloc)   \
  F(memalign) F(valloc) F(pvalloc) F(free_sized) F(free_aligned_sized) F(cfree)               \
  F(mmap) F(mmap64) F(munmap) F(mremap) F(sbrk) F(brk)                                        \
  F(dlopen) F(dlclose) F(dlsym)                                                               \
  F(execve) F(execvpe) F(execv) F(execvp) F(fexecve) F(execveat) F(execl) F(execlp) F(execle) \
  F(posix_spawn) F(posix_spawnp) F(system) F(popen) F(prctl) F(syscall)
// clang-format on

typedef struct hook {
  const char *name;
  uintptr_t ours, real;
} hook;

#define F(name) extern char ours_##name __asm__(#name) __attribute__((visibility("default")));
NAMES(F)
#undef F

static hook hooks[] = {
#define F(name) {#name, (uintptr_t)&ours_##name, 0},
    NAMES(F)
#undef F
};
#define HOOKS (sizeof hooks / sizeof *hooks)

typedef struct object {
  uintptr_t bias, low, high;
  uintptr_t relro, relro_end;
  const ElfW(Sym) * symbols;
  const char *names;
  bool unlocked;      // its RELRO pages are writable for now
  bool has_allocator; // among what it needs
  bool waits;         // some of its calls are to be seen to when they are bound
} object;

// Objects that have been seen to, by their dynamic sections.
static uintptr_t done[MOST_OBJECTS];
static uint32_t done_used;
static unsigned long long unloads;
// Objects may look in themselves and what they need before they look in the program (RTLD_DEEPBIND), which
// nothing tells of one that has been loaded. What they find there may be another allocator.
static _Atomic bool deep;
static bool first_look = true;

static bool same(const char *a, const char *b) {
  while (*a != 0 && *a == *b) a++, b++;
  return *a == *b;
}

static const hook *find_hook(const char *name) {
  switch (*name) { // most names end here
    case 'a':
    case 'b':
    case 'c':
    case 'd':
    case 'e':
    case 'f':
    case 'm':
    case 'p':
    case 'r':
    case 's':
    case 'v':
      break;
    default:
      return NULL;
  }
  for (unsigned i = 0; i < HOOKS; i++) {
    if (hooks[i].name[1] == name[1] && same(hooks[i].name, name)) return &hooks[i];
  }
  return NULL;
}

// Asks the kernel to add nothing to a word.
static bool is_writable(uintptr_t at) {
  uint32_t own = 0;
  long operation = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
  return ht_syscall(SYS_futex, (long)&own, FUTEX_WAKE_OP_PRIVATE, 0, 0, (long)at, operation) >= 0;
}

static bool unlock(object *o) {
  if (o->unlocked) return true;
  long failed = ht_syscall(SYS_mprotect, (long)o->relro, (long)(o->relro_end - o->relro),
                           PROT_READ | PROT_WRITE, 0, 0, 0);
  return o->unlocked = failed == 0;
}

static void patch(object *o, const ElfW(Rela) * relocation) {
  unsigned type = ELF64_R_TYPE(relocation->r_info);
  if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT &&
      (type != R_X86_64_64 || relocation->r_addend != 0))
    return;
  const ElfW(Sym) *symbol = &o->symbols[ELF64_R_SYM(relocation->r_info)];
  const hook *h = symbol->st_name == 0 ? NULL : find_hook(o->names + symbol->st_name);
  uintptr_t *slot = (uintptr_t *)(o->bias + relocation->r_offset);
  if (h == NULL || h->real == 0 || (uintptr_t)slot < o->low || (uintptr_t)slot >= o->high) return;
  uintptr_t value = __atomic_load_n(slot, __ATOMIC_RELAXED);
  bool unresolved = type == R_X86_64_JUMP_SLOT && value - o->low < o->high - o->low &&
                    symbol->st_shndx == SHN_UNDEF;
  if (value != h->real && !unresolved) return;
  if (unresolved && value != h->real && (atomic_load(&deep) || first_look) &&
      (o->has_allocator || ht_hooks_provider() != HT_PROVIDER_LIBC)) {
    o->waits = true; // for its first call, by which the loader tells
    return;
  }
  if ((uintptr_t)slot + sizeof *slot > o->relro && (uintptr_t)slot < o->relro_end && !unlock(o))
    return;
  __atomic_store_n(slot, h->ours, __ATOMIC_RELEASE);
}

static void patch_table(object *o, uintptr_t table, uintptr_t bytes) {
  const ElfW(Rela) *relocation = (const ElfW(Rela) *)table;
  for (uintptr_t i = 0; table != 0 && i < bytes / sizeof *relocation; i++) patch(o, &relocation[i]);
}

// The loader has made addresses of these; some objects (the kernel's) keep offsets.
static uintptr_t address(const object *o, uintptr_t value) {
  return value < o->bias ? value + o->bias : value;
}

static bool needs_allocator(const object *o, const ElfW(Dyn) * dynamic) {
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    if (dynamic->d_tag != DT_NEEDED) continue;
    for (const char *name = o->names + dynamic->d_un.d_val; *name != 0; name++) {
      if (ht_starts_with(name, "malloc")) return true;
    }
  }
  return false;
}

static void patch_object(object *o, const ElfW(Dyn) * dynamic) {
  const ElfW(Dyn) *first = dynamic;
  uintptr_t table = 0, bytes = 0, calls = 0, calls_bytes = 0, calls_kind = DT_RELA;
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    uintptr_t value = dynamic->d_un.d_val;
    switch (dynamic->d_tag) {
      case DT_SYMTAB:
        o->symbols = (const ElfW(Sym) *)address(o, value);
        break;
      case DT_STRTAB:
        o->names = (const char *)address(o, value);
        break;
      case DT_RELA:
        table = address(o, value);
        break;
      case DT_RELASZ:
        bytes = value;
        break;
      case DT_JMPREL:
        calls = address(o, value);
        break;
      case DT_PLTRELSZ:
        calls_bytes = value;
        break;
      case DT_PLTREL:
        calls_kind = value;
        break;
      default:
        break;
    }
  }
  if (o->symbols == NULL || o->names == NULL || calls_kind != DT_RELA) return;
  o->has_allocator = needs_allocator(o, first);
  patch_table(o, table, bytes);
  patch_table(o, calls, calls_bytes);
  if (o->unlocked) {
    ht_syscall(SYS_mprotect, (long)o->relro, (long)(o->relro_end - o->relro), PROT_READ, 0, 0, 0);
  }
}

static bool seen_before(uintptr_t dynamic) {
  for (uint32_t i = done_used; i-- > 0;) {
    if (done[i] == dynamic) return true;
  }
  return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *closure) {
  (void)size;
  bool *first = closure;
  if (*first && info->dlpi_subs != unloads) {
    unloads = info->dlpi_subs;
    done_used = 0; // others may be where some have been
  }
  *first = false;
  object o = {.bias = info->dlpi_addr, .low = UINTPTR_MAX};
  const ElfW(Dyn) *dynamic = NULL;
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    uintptr_t at = o.bias + p->p_vaddr;
    if (p->p_type == PT_LOAD && at < o.low) o.low = at;
    if (p->p_type == PT_LOAD && at + p->p_memsz > o.high) o.high = at + p->p_memsz;
    if (p->p_type == PT_DYNAMIC) dynamic = (const ElfW(Dyn) *)at;
    if (p->p_type == PT_GNU_RELRO) {
      // Whole pages, as the loader protects them.
      o.relro = at & -PAGE;
      o.relro_end = (at + p->p_memsz) & -PAGE;
    }
  }
  if (dynamic == NULL || o.low >= o.high || seen_before((uintptr_t)dynamic)) return 0;
  uintptr_t own = (uintptr_t)&done, loader = (uintptr_t)info->dlpi_name;
  bool is_loader = false;
  for (const char *c = info->dlpi_name; loader != 0 && *c != 0; c++) {
    is_loader |= ht_starts_with(c, "/ld-linux") || ht_starts_with(c, "/ld-2.");
  }
  // In another thread the loader is filling it in, and locks it when that is done. The next time, then.
  if (o.relro < o.relro_end && is_writable(o.relro)) return 0;
  if (!is_loader && own - o.low >= o.high - o.low) patch_object(&o, dynamic);
  if (!o.waits && done_used < MOST_OBJECTS) done[done_used++] = (uintptr_t)dynamic;
  return 0;
}

void ht_got_binds_deep(void) { atomic_store(&deep, true); }

void ht_got_patch(void) {
  if (ht_real_dlsym == NULL) return;
  if (hooks[0].real == 0) {
    for (unsigned i = 0; i < HOOKS; i++) {
      hooks[i].real = (uintptr_t)ht_real_dlsym(RTLD_DEFAULT, hooks[i].name);
    }
  }
  bool first = true;
  dl_iterate_phdr(visit, &first);
  first_look = false;
}
