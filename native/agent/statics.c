// Finding allocators that are linked in, hooking them, saying so.
//
// Each image is looked at once. An allocator is hooked whole or not at all: blocks whose end is not
// seen would look like leaks.
#define _GNU_SOURCE
#include "statics.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "hooks.h"
#include "stacks.h"

// ---------------------------------------------------------------------------------------- state

typedef struct seen_image {
  const void *phdr;
  uintptr_t bias;
  bool here;
} seen_image;

typedef struct range {
  uintptr_t low, high;
} range;

#define MAPPERS 32u
static range mappers[MAPPERS];
static _Atomic uint32_t mappers_used;

static _Atomic uint32_t looking; // 1 a thread does, 2 and it has to again
static seen_image *seen;
static unsigned seen_used, seen_room;

bool ht_static_maps(uintptr_t pc) {
  uint32_t used = atomic_load_explicit(&mappers_used, memory_order_acquire);
  for (uint32_t i = 0; i < used; i++) {
    if (pc - mappers[i].low < mappers[i].high - mappers[i].low) return true;
  }
  return false;
}

static void add_mapper(const ht_static_symbol *s) {
  uint32_t used = atomic_load(&mappers_used);
  if (used == MAPPERS) return;
  mappers[used] = (range){s->address, s->address + s->size};
  atomic_store_explicit(&mappers_used, used + 1, memory_order_release);
}

// ---------------------------------------------------------------------------------------- notes

// All of these are of the one thread that looks: its stack may be small.
typedef struct note {
  char text[512];
  size_t length;
} note;

static note words;
static char program_path[4096];

static void say(note *n, const char *text) {
  for (; *text != 0 && n->length + 1 < sizeof n->text; text++) n->text[n->length++] = *text;
  n->text[n->length] = 0;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static note *begin_note(const ht_static_image *image, const char *allocator) {
  note *n = &words;
  const char *file = image->path;
  if (image->is_program && ht_mapping_path(image->low, program_path, sizeof program_path))
    file = program_path;
  n->length = 0;
  say(n, allocator);
  say(n, " is linked into ");
  say(n, base_name(file));
  return n;
}

static void send_note(ht_ctx *ctx, const note *n) {
  if (!ht_recording(ctx) || ctx->busy) return;
  ctx->busy |= HT_BUSY_CALLS;
  ht_note(ctx, n->text);
  ctx->busy &= (uint8_t)~HT_BUSY_CALLS;
}

static void note_unfit(ht_ctx *ctx, const ht_static_image *image, const char *allocator,
                       const char *function, const char *why) {
  note *n = begin_note(image, allocator);
  say(n, " and cannot be hooked (");
  if (function[0] != 0) {
    say(n, function);
    say(n, ": ");
  }
  say(n, why);
  say(n,
      "): of what it allocates only its mappings are counted. Link it as a shared library, or "
      "build with the system's allocator");
  send_note(ctx, n);
}

static void note_nameless(ht_ctx *ctx, const ht_static_image *image, const char *allocator) {
  note *n = begin_note(image, allocator);
  say(n,
      ", which has no symbols: of what it allocates only its mappings are counted. Keep them "
      "(Cargo: in its profile, strip = \"debuginfo\" or \"none\"; C, C++: do not strip it)");
  send_note(ctx, n);
}

// --------------------------------------------------------------------------------------- images

// The system's own libraries, all of them stripped, use its allocator.
static bool is_of_system(const char *path) {
  return ht_starts_with(path, "/lib") || ht_starts_with(path, "/usr/lib");
}

static void look_at(ht_ctx *ctx, const ht_static_image *image, ht_static_plan *p) {
  ht_static_found *found = &p->found;
  ht_static_read(image, found);
  if (ht_static_any(found)) {
    bool hooked = ht_static_hook(image, p);
    if (!hooked) note_unfit(ctx, image, p->allocator, p->function, p->why);
    if (image->is_program) ht.process->allocator = hooked ? p->provider : HT_PROVIDER_STATIC;
    for (unsigned i = 0; i < found->count; i++) {
      if (ht_static_names[found->symbols[i].name].shape == HT_SHAPE_MAPPER)
        add_mapper(&found->symbols[i]);
    }
  } else if (!found->has_table && !found->is_python && !found->interposed &&
             !is_of_system(image->path)) {
    const char *allocator = ht_static_messages(image, found->fd);
    if (allocator != NULL) note_nameless(ctx, image, allocator);
    if (allocator != NULL && image->is_program) ht.process->allocator = HT_PROVIDER_STATIC;
  }
  if (found->fd >= 0) ht_os_close(found->fd);
}

// What surely has none, or whose functions the dynamic linker sees.
static bool is_passed_over(const char *path) {
  static const char *const names[] = {"ld-linux",    "libc.so",     "libc-2",      "libpthread",
                                      "libdl.so",    "librt.so",    "libm.so",     "libm-2",
                                      "libgcc_s",    "libstdc++",   "libheaptide", "libjemalloc",
                                      "libmimalloc", "libtcmalloc", "linux-vdso",  "linux-gate"};
  const char *name = base_name(path);
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    if (ht_starts_with(name, names[i])) return true;
  }
  return false;
}

static seen_image *find_seen(const void *phdr, uintptr_t bias) {
  for (unsigned i = 0; i < seen_used; i++) {
    if (seen[i].phdr == phdr && seen[i].bias == bias) return &seen[i];
  }
  return NULL;
}

static bool add_seen(const void *phdr, uintptr_t bias) {
  if (seen_used == seen_room) {
    unsigned room = seen_room == 0 ? 256 : seen_room * 2;
    seen_image *bigger = ht_os_map(room * sizeof *bigger);
    if (bigger == NULL) return false;
    if (seen != NULL) {
      memcpy(bigger, seen, seen_used * sizeof *seen);
      ht_os_unmap(seen, seen_room * sizeof *seen);
    }
    seen = bigger;
    seen_room = room;
  }
  seen[seen_used++] = (seen_image){phdr, bias, true};
  return true;
}

typedef struct search {
  ht_ctx *ctx;
  ht_static_plan *plan;
  unsigned images;
} search;

static char loaded_path[4096];

static int visit(struct dl_phdr_info *info, size_t size, void *closure) {
  (void)size;
  search *s = closure;
  bool first = s->images++ == 0;
  seen_image *known = find_seen(info->dlpi_phdr, info->dlpi_addr);
  if (known != NULL) {
    known->here = true;
    return 0;
  }
  if (!add_seen(info->dlpi_phdr, info->dlpi_addr)) return 1;
  const char *path = info->dlpi_name != NULL ? info->dlpi_name : "";
  if (first) {
    // Started as `ld.so program`, the process's own executable is the loader.
    bool by_loader = getauxval(AT_BASE) == 0;
    path = by_loader && ht_mapping_path((uintptr_t)info->dlpi_phdr, loaded_path, sizeof loaded_path)
               ? loaded_path
               : "/proc/self/exe";
  } else if (*path == 0 || is_passed_over(path)) {
    return 0;
  }
  ht_static_image image = {.bias = info->dlpi_addr,
                           .low = UINTPTR_MAX,
                           .phdr = info->dlpi_phdr,
                           .phnum = info->dlpi_phnum,
                           .is_program = first,
                           .path = path};
  for (unsigned i = 0; i < image.phnum; i++) {
    const ElfW(Phdr) *p = &image.phdr[i];
    if (p->p_type != PT_LOAD) continue;
    if (image.bias + p->p_vaddr < image.low) image.low = image.bias + p->p_vaddr;
    if (image.bias + p->p_vaddr + p->p_memsz > image.high)
      image.high = image.bias + p->p_vaddr + p->p_memsz;
  }
  if (image.low < image.high) look_at(s->ctx, &image, s->plan);
  return 0;
}

static void look(ht_ctx *ctx) {
  search s = {ctx, ht_os_map(sizeof(ht_static_plan)), 0};
  if (s.plan == NULL) return;
  for (unsigned i = 0; i < seen_used; i++) seen[i].here = false;
  // The loader's list stays as it is meanwhile, and so does what is on it.
  dl_iterate_phdr(visit, &s);
  unsigned kept = 0;
  for (unsigned i = 0; i < seen_used; i++) {
    if (seen[i].here) seen[kept++] = seen[i];
  }
  seen_used = kept;
  ht_os_unmap(s.plan, sizeof(ht_static_plan));
}

void ht_static_look(ht_ctx *ctx) {
  uint32_t state = 0;
  if (ht.process == NULL || atomic_load(&ht.off)) return;
  if (!atomic_compare_exchange_strong(&looking, &state, 1)) {
    atomic_store(&looking, 2); // for the thread that looks: this one may hold a lock it waits for
    return;
  }
  do {
    atomic_store(&looking, 1);
    look(ctx);
    state = 1;
  } while (!atomic_compare_exchange_strong(&looking, &state, 0));
}

void ht_static_after_fork(void) { atomic_store(&looking, 0); }
