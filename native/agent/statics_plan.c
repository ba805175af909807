// What of an image's functions belongs to an allocator, and hooking all of it or nothing.
#include <string.h>
#include <sys/mman.h>

#include "statics.h"

static bool is_named(const ht_static_symbol *s, unsigned family, const char *text) {
  return s->family == family && strcmp(ht_static_names[s->name].text, text) == 0;
}

static bool has(const ht_static_found *found, unsigned family, const char *text) {
  for (unsigned i = 0; i < found->count; i++) {
    if (is_named(&found->symbols[i], family, text)) return true;
  }
  return false;
}

// A family is there when what no allocator of it lacks is there; other programs have a mi_new, too.
static bool is_there(const ht_static_found *found, unsigned family) {
  if (family == HT_FAMILY_OPERATORS) family = HT_FAMILY_C;
  if (found->interposed && (family == HT_FAMILY_C || family == HT_FAMILY_MIMALLOC)) return false;
  bool makes = has(found, family, "malloc") || has(found, family, "mallocx") ||
               has(found, family, "malloc_aligned");
  bool frees =
      has(found, family, "free") || has(found, family, "sdallocx") || has(found, family, "dallocx");
  return makes && frees;
}

static void identify(ht_static_plan *p) {
  static const struct {
    uint8_t family, provider;
  } known[] = {{HT_FAMILY_JEMALLOC, HT_PROVIDER_JEMALLOC},
               {HT_FAMILY_TCMALLOC, HT_PROVIDER_TCMALLOC},
               {HT_FAMILY_MIMALLOC, HT_PROVIDER_MIMALLOC},
               {HT_FAMILY_RPMALLOC, HT_PROVIDER_OTHER}};
  unsigned family = HT_FAMILY_C;
  p->provider = HT_PROVIDER_OTHER;
  for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
    if (!is_there(&p->found, known[i].family)) continue;
    family = known[i].family;
    p->provider = known[i].provider;
    break;
  }
  if (family == HT_FAMILY_C && has(&p->found, HT_FAMILY_C, "mallocx")) {
    family = HT_FAMILY_JEMALLOC;
    p->provider = HT_PROVIDER_JEMALLOC;
  }
  p->allocator = ht_static_family_name(family);
}

static const ht_static_symbol *beside(const ht_static_found *found, const ht_static_symbol *s,
                                      const char *text) {
  for (unsigned i = 0; i < found->count; i++) {
    const ht_static_symbol *other = &found->symbols[i];
    if (other->prefix == s->prefix && is_named(other, s->family, text)) return other;
  }
  return NULL;
}

static const ht_static_symbol *usable_of(const ht_static_found *found, const ht_static_symbol *s) {
  for (unsigned i = 0; i < found->count; i++) {
    const ht_static_symbol *other = &found->symbols[i];
    unsigned family = s->family == HT_FAMILY_OPERATORS ? HT_FAMILY_C : s->family;
    if (ht_static_names[other->name].shape != HT_SHAPE_USABLE || other->family != family) continue;
    if (family == HT_FAMILY_C || other->prefix == s->prefix) return other;
  }
  return NULL;
}

// ------------------------------------------------------------------------------------- patching

static ht_patch *patch_at(ht_static_plan *p, uintptr_t address) {
  for (unsigned i = 0; i < p->count; i++) {
    if ((uintptr_t)p->patches[i].entry == address) return &p->patches[i];
  }
  return NULL;
}

static unsigned shape_of(const ht_static_plan *p, const ht_patch *patch) {
  return ht_static_names[p->symbols[patch - p->patches]->name].shape;
}

// One patch for each function, whatever names it has.
static void add_patch(ht_static_plan *p, const ht_static_symbol *s) {
  const ht_static_name *name = &ht_static_names[s->name];
  ht_patch *same = patch_at(p, s->address);
  if (same != NULL) {
    unsigned other = shape_of(p, same);
    if (other == name->shape) return;
    if (name->shape == HT_SHAPE_NEW && other == HT_SHAPE_FIRST) return; // it does not throw
    if (!(name->shape == HT_SHAPE_FIRST && other == HT_SHAPE_NEW)) {
      same->unfit = "two functions are one";
      return;
    }
  } else {
    same = &p->patches[p->count++];
    *same = (ht_patch){.entry = (const uint8_t *)s->address, .size = s->size};
    ht_patch_plan(same);
  }
  p->symbols[same - p->patches] = s;
  const ht_static_symbol *usable = usable_of(&p->found, s);
  same->hook = ht_static_hooks[name->shape];
  same->slot = (ht_slot){.kind = name->kind};
  if (usable != NULL) same->slot.usable = (size_t (*)(const void *))(uintptr_t)usable->address;
}

static ht_patch *follow(ht_static_plan *p, ht_patch *patch) {
  for (unsigned steps = 0; patch != NULL && patch->forwards != NULL && steps < 8; steps++) {
    ht_patch *to = patch_at(p, (uintptr_t)patch->forwards);
    if (to == NULL) break;
    patch = to;
  }
  return patch;
}

static void find_companions(ht_static_plan *p) {
  for (unsigned i = 0; i < p->count; i++) {
    const ht_static_symbol *s = p->symbols[i];
    const char *text = ht_static_names[s->name].companion;
    if (text == NULL || p->patches[i].unfit != NULL) continue;
    const ht_static_symbol *other = beside(&p->found, s, text);
    ht_patch *companion = other == NULL ? NULL : follow(p, patch_at(p, other->address));
    if (companion != NULL) p->patches[i].slot.companion = &companion->slot;
    if (companion == NULL && follow(p, &p->patches[i]) == &p->patches[i])
      p->patches[i].unfit = "the function that does the same without throwing is missing";
  }
}

// Functions that only jump on to another one that is hooked need no hook.
static unsigned without_forwarders(ht_static_plan *p) {
  bool drop[HT_STATIC_SYMBOLS];
  unsigned kept = 0;
  for (unsigned i = 0; i < p->count; i++) drop[i] = follow(p, &p->patches[i]) != &p->patches[i];
  for (unsigned i = 0; i < p->count; i++) {
    if (drop[i]) continue;
    for (unsigned k = 0; k < p->count && kept != i; k++) { // moves: so do those that point to it
      if (p->patches[k].slot.companion == &p->patches[i].slot)
        p->patches[k].slot.companion = &p->patches[kept].slot;
    }
    p->patches[kept] = p->patches[i];
    p->symbols[kept++] = p->symbols[i];
  }
  return kept;
}

static int access_of(const ht_static_image *image, uintptr_t at) {
  for (unsigned i = 0; i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    if (p->p_type == PT_LOAD && at - (image->bias + p->p_vaddr) < p->p_filesz)
      return PROT_READ | (p->p_flags & PF_W ? PROT_WRITE : 0) | (p->p_flags & PF_X ? PROT_EXEC : 0);
  }
  return 0;
}

// Of this process; 0 when it cannot be had.
static unsigned threads(void) {
  char stat[512];
  int fd = ht_os_open("/proc/self/stat", 0);
  long got = fd < 0 ? 0 : ht_os_read(fd, stat, sizeof stat - 1);
  if (fd >= 0) ht_os_close(fd);
  if (got <= 0) return 0;
  stat[got] = 0;
  const char *at = strrchr(stat, ')'); // the name may hold anything
  for (unsigned field = 2; at != NULL && field < 20; field++) {
    at = strchr(at + 1, ' ');
  }
  unsigned count = 0;
  while (at != NULL && at[1] >= '0' && at[1] <= '9') count = count * 10 + (unsigned)(*++at - '0');
  return count;
}

bool ht_static_any(const ht_static_found *found) {
  for (unsigned family = 0; family < HT_FAMILIES; family++) {
    if (is_there(found, family)) return true;
  }
  return false;
}

bool ht_static_hook(const ht_static_image *image, ht_static_plan *p) {
  uint64_t offset = 0, first = 0;
  p->count = 0;
  p->function[0] = 0;
  p->why = NULL;
  identify(p);
  for (unsigned i = 0; i < p->found.count; i++) {
    const ht_static_symbol *s = &p->found.symbols[i];
    if (ht_static_names[s->name].shape < HT_SHAPES && is_there(&p->found, s->family))
      add_patch(p, s);
  }
  find_companions(p);
  p->count = without_forwarders(p);
  for (unsigned i = 0; i < p->count && p->why == NULL; i++) {
    ht_patch *patch = &p->patches[i];
    ht_static_write_name(p->symbols[i], p->function, sizeof p->function);
    if (!ht_static_same(image, p->found.fd, (uintptr_t)patch->entry, &offset))
      p->why = "its file is not what is loaded";
    if (i == 0) first = offset;
    if (patch->unfit != NULL) p->why = patch->unfit;
  }
  if (p->why != NULL) return false;
  p->function[0] = 0;
  if (threads() == 1) {
    p->why = ht_patch_apply(p->patches, p->count, image->low, image->high, p->found.fd, first,
                            access_of(image, (uintptr_t)p->patches[0].entry));
  } else {
    p->why = "threads were running already when it was loaded";
  }
  return p->why == NULL;
}
