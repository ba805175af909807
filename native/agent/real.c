// The functions behind the hooks: finding them, on time and whatever library they are in.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include "hooks.h"
#include "statics.h"

long syscall(long number, ...);

static _Atomic uint32_t resolved; // 1 going on, 2 done
static uintptr_t provider_low, provider_high;
static enum ht_allocator_provider provider;

// What ht_real holds until then: resolve, then call the real thing. While dlsym itself is running,
// from a small pool.
#define BOOT(result, name, parameters, arguments, early) \
  static result boot_##name parameters {                 \
    ht_hooks_resolve();                                  \
    if (ht_real.name == boot_##name) return early;       \
    return ht_real.name arguments;                       \
  }
BOOT(void *, malloc, (size_t n), (n), ht_early_alloc(n, 16))
BOOT(void *, calloc, (size_t c, size_t n), (c, n), ht_early_alloc(c *n, 16))
BOOT(void *, realloc, (void *p, size_t n), (p, n), ht_early_alloc(n, 16))
BOOT(void *, reallocarray, (void *p, size_t c, size_t n), (p, c, n), ht_early_alloc(c *n, 16))
BOOT(void *, aligned_alloc, (size_t a, size_t n), (a, n), ht_early_alloc(n, a))
BOOT(void *, memalign, (size_t a, size_t n), (a, n), ht_early_alloc(n, a))
BOOT(void *, valloc, (size_t n), (n), ht_early_alloc(n, 4096))
BOOT(void *, pvalloc, (size_t n), (n), ht_early_alloc(n, 4096))
BOOT(size_t, malloc_usable_size, (void *p), (p), 0)
BOOT(void *, mmap, (void *p, size_t n, int pr, int fl, int fd, off_t o), (p, n, pr, fl, fd, o),
     MAP_FAILED)
BOOT(int, munmap, (void *p, size_t n), (p, n), -1)
BOOT(void *, sbrk, (intptr_t n), (n), (void *)-1)
BOOT(int, brk, (void *p), (p), -1)
BOOT(void *, dlopen, (const char *name, int flags), (name, flags), NULL)
BOOT(int, dlclose, (void *handle), (handle), -1)

static void boot_free(void *p) {
  ht_hooks_resolve();
  if (ht_real.free != boot_free) ht_real.free(p);
}

static int boot_posix_memalign(void **to, size_t alignment, size_t size) {
  ht_hooks_resolve();
  if (ht_real.posix_memalign != boot_posix_memalign) {
    return ht_real.posix_memalign(to, alignment, size);
  }
  *to = ht_early_alloc(size, alignment);
  return *to == NULL ? 12 /* ENOMEM */ : 0;
}

ht_real_functions ht_real = {
    .malloc = boot_malloc,
    .free = boot_free,
    .calloc = boot_calloc,
    .realloc = boot_realloc,
    .reallocarray = boot_reallocarray,
    .posix_memalign = boot_posix_memalign,
    .aligned_alloc = boot_aligned_alloc,
    .memalign = boot_memalign,
    .valloc = boot_valloc,
    .pvalloc = boot_pvalloc,
    .malloc_usable_size = boot_malloc_usable_size,
    .mmap = boot_mmap,
    .munmap = boot_munmap,
    .mremap = NULL,
    .sbrk = boot_sbrk,
    .brk = boot_brk,
    .dlopen = boot_dlopen,
    .dlclose = boot_dlclose,
};
void *(*ht_real_dlsym)(void *, const char *);

// Only where early memory was handed out has free to tell it apart.
static void (*free_behind)(void *);
static void free_not_early(void *p) {
  if (!ht_is_early(p)) free_behind(p);
}

// dlsym is ours (hooks_dl.c), so the real one is found by version: 2.34 moved it into libc.
static void find_dlsym(void) {
  static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
  for (unsigned i = 0; i < 3 && ht_real_dlsym == NULL; i++) {
    *(void **)&ht_real_dlsym = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
  }
}

// Loaded by a running program, this library is not among those that calls are looked up in, and what they
// find there is what is behind the hooks. Loaded with it, it is the first of them.
bool ht_hooks_late(void) {
  // By a function that hardly a program has of its own.
  if (ht_real_dlsym == NULL) find_dlsym();
  return ht_real_dlsym != NULL &&
         ht_real_dlsym(RTLD_DEFAULT, "syscall") != (void *)(uintptr_t)syscall;
}

void *ht_next_symbol(const char *name) {
  if (ht_real_dlsym == NULL) find_dlsym();
  if (ht_real_dlsym == NULL) return NULL;
  return ht_real_dlsym(ht.late ? RTLD_DEFAULT : RTLD_NEXT, name);
}

static bool contains(const char *text, const char *part) {
  for (; *text != 0; text++) {
    if (ht_starts_with(text, part)) return true;
  }
  return false;
}

void *(*ht_program_realloc)(void *, size_t);
void (*ht_program_free)(void *);
static bool knows_sizes = true; // of blocks that malloc made

// The program's own definition of a function that we define too, or NULL.
static void *program_symbol(const char *name) {
  void *first = ht_real_dlsym(RTLD_DEFAULT, name);
  struct dl_find_object own, found;
  if (first == NULL || _dl_find_object((void *)(uintptr_t)&ht_hooks_resolve, &own) != 0 ||
      _dl_find_object(first, &found) != 0 || found.dlfo_link_map == own.dlfo_link_map)
    return NULL;
  // A program at a fixed address whose code takes the function's address gives it one in itself: from
  // there it jumps to ours.
  Dl_info info;
  const ElfW(Sym) *symbol = NULL;
  if (dladdr1(first, &info, (void **)&symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL &&
      symbol->st_shndx == SHN_UNDEF)
    return NULL;
  return first;
}

static void identify_provider(void) {
  struct dl_find_object found;
  if (_dl_find_object((void *)(uintptr_t)ht_real.malloc, &found) != 0) return;
  const char *name = found.dlfo_link_map->l_name;
  bool programs = ht.late ? *name == 0 : program_symbol("malloc") != NULL;
  if (programs) {
    provider = HT_PROVIDER_STATIC;
    if (ht.late) return;
    *(void **)&ht_program_realloc = program_symbol("realloc");
    *(void **)&ht_program_free = program_symbol("free");
    // libc's would read its own headers before blocks that are none of its.
    void *usable = ht_real_dlsym(RTLD_DEFAULT, "malloc_usable_size");
    struct dl_find_object own;
    knows_sizes = usable != NULL && _dl_find_object(program_symbol("malloc"), &found) == 0 &&
                  _dl_find_object(usable, &own) == 0 && own.dlfo_link_map == found.dlfo_link_map;
    if (knows_sizes) *(void **)&ht_real.malloc_usable_size = usable;
    return;
  }
  if (contains(name, "/libc.so") || contains(name, "/libc-2.")) return;
  provider_low = (uintptr_t)found.dlfo_map_start;
  provider_high = (uintptr_t)found.dlfo_map_end;
  provider = contains(name, "jemalloc")   ? HT_PROVIDER_JEMALLOC
             : contains(name, "tcmalloc") ? HT_PROVIDER_TCMALLOC
             : contains(name, "mimalloc") ? HT_PROVIDER_MIMALLOC
                                          : HT_PROVIDER_OTHER;
}

void ht_hooks_resolve(void) {
  uint32_t expected = 0;
  if (!atomic_compare_exchange_strong(&resolved, &expected, 1)) {
    // Another thread: wait for it. This one, inside dlsym: go on with the boot functions.
    return;
  }
  ht_real_functions real = ht_real;
  find_dlsym();
  if (ht_real_dlsym != NULL) {
#define FIND(name)                                   \
  do {                                               \
    void *found = ht_next_symbol(#name);             \
    if (found != NULL) *(void **)&real.name = found; \
  } while (0)
    FIND(malloc);
    FIND(free);
    FIND(calloc);
    FIND(realloc);
    FIND(reallocarray);
    FIND(posix_memalign);
    FIND(aligned_alloc);
    FIND(memalign);
    FIND(valloc);
    FIND(pvalloc);
    FIND(malloc_usable_size);
    FIND(mmap);
    FIND(munmap);
    FIND(mremap);
    FIND(sbrk);
    FIND(brk);
    FIND(dlopen);
    FIND(dlclose);
    *(void **)&ht_real_syscall = ht_next_symbol("syscall");
    free_behind = real.free;
    if (ht_early_in_use()) real.free = free_not_early;
    ht_real = real;
    identify_provider();
  }
  atomic_store(&resolved, 2);
}

enum ht_allocator_provider ht_hooks_provider(void) { return provider; }

uint32_t ht_hooks_unable(void) { return knows_sizes ? 0 : HT_CONFIG_USABLE_SIZE; }

bool ht_hooks_in_provider(uintptr_t pc) {
  return pc - provider_low < provider_high - provider_low || ht_static_maps(pc);
}
