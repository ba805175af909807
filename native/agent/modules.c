// Loaded images and the module table.
//
// The loader's own lock-free directory (_dl_find_object, glibc 2.35) answers what lies at an
// address. Where it is missing, a snapshot of the loaded images does; it is taken by
// dl_iterate_phdr, which locks the loader, so only ht_native_start and ht_native_modules_changed
// refresh it: a hook may run with that lock held by another thread that waits for this one.
#define _GNU_SOURCE
#include "modules.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "stacks.h"

#define PAGE 4096u

// ------------------------------------------------------------------------------ images by address

// Layout of glibc's struct dl_find_object; declared here because older headers lack it.
typedef struct found_object {
  unsigned long long flags;
  void *map_start, *map_end;
  struct link_map *link_map;
  void *eh_frame;
  unsigned long long reserved[8];
} found_object;

extern int find_object(void *pc, found_object *result) __asm__("_dl_find_object")
    __attribute__((weak));

#ifdef HT_NO_DL_FIND_OBJECT // for tests of the snapshot
#define HAVE_FIND_OBJECT false
#else
#define HAVE_FIND_OBJECT (find_object != NULL)
#endif

// Takes the image's extent from its program headers.
static void measure(ht_image *image) {
  image->start = UINTPTR_MAX;
  image->end = 0;
  for (unsigned i = 0; i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    uintptr_t at = image->bias + p->p_vaddr, page = at & -(uintptr_t)PAGE;
    if (p->p_type == PT_GNU_EH_FRAME) image->eh_hdr = at;
    if (p->p_type != PT_LOAD) continue;
    if (page < image->start) image->start = page;
    if (at + p->p_memsz > image->end) image->end = at + p->p_memsz;
  }
}

// The program itself may be mapped with gaps. The loader's directory then answers with a segment
// only, so its headers are taken from where the kernel says that they are.
static bool find_program_phdr(ht_image *image, uintptr_t pc) {
  ht_image program = *image;
  program.phdr = (const ElfW(Phdr) *)getauxval(AT_PHDR);
  program.phnum = program.phdr ? (unsigned)getauxval(AT_PHNUM) : 0;
  measure(&program);
  if (program.start >= program.end || pc - program.start >= program.end - program.start)
    return false;
  if (program.eh_hdr != image->eh_hdr) return false;
  *image = program;
  return true;
}

// Finds the program headers through the ELF header at the image's start. They nearly always follow
// it at once; a table elsewhere is used if that address proves to be mapped.
static void find_phdr(ht_image *image) {
  const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)image->start;
  if (image->end - image->start < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phoff % sizeof(void *) != 0)
    return;
  uintptr_t bytes = (uintptr_t)header->e_phnum * sizeof(ElfW(Phdr));
  uintptr_t room = image->end - image->start;
  if (header->e_phoff > room || bytes > room - header->e_phoff) return;
  if (header->e_phoff + bytes > PAGE) {
    uintptr_t at = image->start + header->e_phoff;
    ht_mapping mapping;
    if (!ht_mapping_find(at, &mapping)) return;
    if (!(mapping.flags & HT_MAPPING_READ) || mapping.high - at < bytes) return;
  }
  image->phdr = (const ElfW(Phdr) *)(image->start + header->e_phoff);
  image->phnum = header->e_phnum;
}

typedef struct snapshot {
  size_t bytes;
  uint32_t count, room;
  ht_image images[];
} snapshot;

static _Atomic(snapshot *) current_snapshot;
static _Atomic uint32_t snapshot_readers;
static ht_lock snapshot_lock;

static bool snapshot_find(uintptr_t pc, ht_image *image) {
  bool found = false;
  atomic_fetch_add(&snapshot_readers, 1);
  const snapshot *s = atomic_load(&current_snapshot);
  for (uint32_t i = 0; s && i < s->count && !found; i++) {
    if (pc - s->images[i].start < s->images[i].end - s->images[i].start) {
      *image = s->images[i];
      found = true;
    }
  }
  atomic_fetch_sub(&snapshot_readers, 1);
  return found;
}

static int snapshot_add(struct dl_phdr_info *info, size_t size, void *closure) {
  (void)size;
  snapshot *s = closure;
  if (s->count == s->room) return 1;
  ht_image image = {.bias = info->dlpi_addr,
                    .map = info->dlpi_phdr,
                    .name = info->dlpi_name ? info->dlpi_name : "",
                    .phdr = info->dlpi_phdr,
                    .phnum = info->dlpi_phnum};
  measure(&image);
  if (image.start < image.end) s->images[s->count++] = image;
  return 0;
}

static void snapshot_refresh(void) {
  static uint32_t room = 512;
  ht_lock_take(&snapshot_lock);
  uint32_t want = room;
  ht_lock_drop(&snapshot_lock); // not held while the loader's lock is
  snapshot *s;
  for (;;) {
    size_t bytes = sizeof *s + want * sizeof(ht_image);
    s = ht_os_map(bytes);
    if (!s) return;
    s->bytes = bytes;
    s->room = want;
    dl_iterate_phdr(snapshot_add, s);
    if (s->count < s->room) break;
    ht_os_unmap(s, bytes);
    want *= 2;
  }
  ht_lock_take(&snapshot_lock);
  room = want;
  snapshot *old = atomic_exchange(&current_snapshot, s);
  // A reader that comes now sees the new one. One that is inside keeps the old one alive for good:
  // rare, and 30 KiB.
  if (old && atomic_load(&snapshot_readers) == 0) ht_os_unmap(old, old->bytes);
  ht_lock_drop(&snapshot_lock);
}

bool ht_image_find(uintptr_t pc, ht_image *image) {
  if (!HAVE_FIND_OBJECT) return snapshot_find(pc, image);
  found_object found;
  if (find_object((void *)pc, &found) != 0) return false;
  *image = (ht_image){.start = (uintptr_t)found.map_start,
                      .end = (uintptr_t)found.map_end,
                      .bias = found.link_map->l_addr,
                      .eh_hdr = (uintptr_t)found.eh_frame,
                      .map = found.link_map,
                      .name = found.link_map->l_name ? found.link_map->l_name : ""};
  if (image->name[0] != '\0' || !find_program_phdr(image, pc)) find_phdr(image);
  return true;
}

bool ht_image_window(const ht_image *image, uintptr_t at, uintptr_t *low, uintptr_t *high) {
  for (unsigned i = 0; image->phdr && i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    uintptr_t start = image->bias + p->p_vaddr;
    if (p->p_type == PT_LOAD && (p->p_flags & PF_R) && at - start < p->p_filesz) {
      *low = start;
      *high = start + p->p_filesz;
      return *low >= image->start && *high <= image->end && *low < *high;
    }
  }
  return false;
}

bool ht_image_is_loader(const ht_image *image) {
  uintptr_t base = getauxval(AT_BASE);
  return base != 0 && image->bias == base;
}

bool ht_image_executes(const ht_image *image, uintptr_t pc) {
  for (unsigned i = 0; image->phdr && i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && pc - (image->bias + p->p_vaddr) < p->p_memsz)
      return true;
  }
  return false;
}

// ---------------------------------------------------------------------------------- module table

// Append-only, so that readers need no lock; ids are positions counted from 1.
typedef struct module {
  uintptr_t start, end, bias;
  const void *map;
  uint64_t identity; // hash of path and build id; 0: not told apart from others by it
  uint32_t generation;
  _Atomic uint32_t alive;
} module;

#define CHUNK 256u
#define CHUNKS 4096u // 2^20 modules: what a row holds
#define HINTS 256u

static module *_Atomic chunks[CHUNKS];
static _Atomic uint32_t modules;
static _Atomic uint32_t hints[HINTS]; // by start address: the id that was right last time
static ht_lock modules_lock;

static module *module_by_id(uint32_t id) {
  return &atomic_load_explicit(&chunks[(id - 1) / CHUNK], memory_order_acquire)[(id - 1) % CHUNK];
}

uint32_t ht_modules_count(void) { return atomic_load_explicit(&modules, memory_order_acquire); }

_Atomic bool ht_modules_salted;

uint64_t ht_module_salt_of(uint32_t id) {
  return id ? (uint64_t)module_by_id(id)->generation << 48 : 0;
}

static bool is_image(const module *m, const ht_image *image) {
  return atomic_load_explicit(&m->alive, memory_order_relaxed) && m->start == image->start &&
         m->end == image->end && m->map == image->map && m->bias == image->bias;
}

static uint32_t known_module(const ht_image *image) {
  _Atomic uint32_t *hint = &hints[(image->start >> 12) * 0x9e3779b1u % HINTS];
  uint32_t id = atomic_load_explicit(hint, memory_order_acquire);
  if (id && is_image(module_by_id(id), image)) return id;
  for (id = ht_modules_count(); id; id--) {
    if (is_image(module_by_id(id), image)) {
      atomic_store_explicit(hint, id, memory_order_release);
      return id;
    }
  }
  return 0;
}

static const uint8_t *build_id(const ht_image *image, uint32_t *length) {
  for (unsigned i = 0; image->phdr && i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    uintptr_t at = image->bias + p->p_vaddr, low, high;
    if (p->p_type != PT_NOTE || at % 4 || !ht_image_window(image, at, &low, &high)) continue;
    uintptr_t align = p->p_align == 8 ? 8 : 4;
    if (high - at > p->p_filesz) high = at + p->p_filesz;
    while (high > at && high - at > sizeof(ElfW(Nhdr))) {
      const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
      uintptr_t name = at + sizeof *note;
      uintptr_t desc = (name + note->n_namesz + align - 1) & -align;
      uintptr_t next = (desc + note->n_descsz + align - 1) & -align;
      if (note->n_namesz > high - name || desc > high || note->n_descsz > high - desc) break;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
          memcmp((void *)name, "GNU", 4) == 0 && note->n_descsz <= 64) {
        *length = note->n_descsz;
        return (const uint8_t *)desc;
      }
      at = next;
    }
  }
  *length = 0;
  return NULL;
}

// Absolute path of the image's file, in a buffer that modules_lock guards.
static const char *image_path(const ht_image *image) {
  static char path[8192];
  const size_t half = sizeof path / 2;
  if (image->start == getauxval(AT_SYSINFO_EHDR)) return "[vdso]";
  long length = 0;
  if (image->name[0] == '/') return image->name;
  if (image->name[0] == '\0') {
    // Started as `ld.so program`, the process's own executable is the loader.
    if (getauxval(AT_BASE) == 0) {
      if (ht_mapping_path(image->start, path, sizeof path)) return path;
    }
    length = ht_syscall(SYS_readlinkat, -100 /* AT_FDCWD */, (long)"/proc/self/exe", (long)path,
                        (long)half, 0, 0);
    path[length > 0 ? length : 0] = '\0';
    return path;
  }
  // Given relative to the directory that was current at its dlopen, mostly still the same.
  length = ht_syscall(SYS_getcwd, (long)path, (long)half, 0, 0, 0, 0); // counts the final zero
  size_t used = length > 1 && path[0] == '/' ? (size_t)length - 1 : 0;
  if (used) path[used++] = '/';
  size_t name = strnlen(image->name, half - 1);
  memcpy(path + used, image->name, name);
  path[used + name] = '\0';
  return path;
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t length) { // FNV-1a
  for (size_t i = 0; i < length; i++) h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3ull;
  return h;
}

static bool announce(ht_ctx *ctx, uint32_t id, const ht_image *image, const char *path,
                     const uint8_t *build, uint32_t build_length) {
  ht_meta meta;
  ht_meta_begin(&meta, ctx, HT_META_MODULE);
  ht_meta_u32(&meta, id);
  ht_meta_u64(&meta, image->bias);
  ht_meta_u64(&meta, image->start);
  ht_meta_u64(&meta, image->end);
  ht_meta_bytes(&meta, path, (uint32_t)strlen(path));
  ht_meta_bytes(&meta, build, build_length);
  ht_meta_end(&meta);
  return ht_has_sent(meta.ctx);
}

static bool in_module(uint64_t key, void *closure) {
  const module *m = closure;
  return (key & 0xffffffffffffull) - m->start < m->end - m->start;
}

// Holds modules_lock.
static HT_COLD uint32_t add_module(ht_ctx *ctx, const ht_image *image) {
  uint32_t count = ht_modules_count();
  uint32_t build_length;
  const uint8_t *build = build_id(image, &build_length);
  const char *path = image_path(image);
  uint64_t identity = 0;
  if (build) {
    identity = hash_bytes(0xcbf29ce484222325ull, path, strlen(path));
    identity = hash_bytes(identity, build, build_length);
  }
  // Images at these addresses before: one still marked alive went away unseen (the C library closes
  // its own plug-ins without our hook); the same file at the same place is the same module again.
  uint32_t generation = 0;
  for (uint32_t id = 1; id <= count; id++) {
    module *m = module_by_id(id);
    if (m->start >= image->end || image->start >= m->end) continue;
    if (atomic_load(&m->alive)) {
      atomic_store(&m->alive, 0);
      atomic_fetch_add(&ht.module_epoch, 1);
    }
    if (identity && m->identity == identity && m->start == image->start && m->end == image->end &&
        m->bias == image->bias) {
      m->map = image->map;
      atomic_store(&m->alive, 1);
      return id;
    }
    if (m->generation >= generation) generation = m->generation + 1;
  }
  if (count == CHUNKS * CHUNK - 1) return 0;
  if (count % CHUNK == 0 && !atomic_load(&chunks[count / CHUNK])) {
    module *chunk = ht_os_map(CHUNK * sizeof(module));
    if (!chunk) return 0;
    atomic_store_explicit(&chunks[count / CHUNK], chunk, memory_order_release);
  }
  module *m = module_by_id(count + 1);
  m->start = image->start;
  m->end = image->end;
  m->bias = image->bias;
  m->map = image->map;
  m->identity = identity;
  m->generation = generation & 0xffff;
  atomic_store(&m->alive, 1);
  if (m->generation) atomic_store(&ht_modules_salted, true);
  if (generation > 0xffff) ht_trie_forget(in_module, m); // salts start again
  if (!announce(ctx, count + 1, image, path, build, build_length)) {
    atomic_store(&m->alive, 0);
    return 0;
  }
  atomic_store_explicit(&modules, count + 1, memory_order_release);
  return count + 1;
}

uint32_t ht_module_id(ht_ctx *ctx, const ht_image *image) {
  uint32_t id = known_module(image);
  if (HT_LIKELY(id)) return id;
  ht_lock_take(&modules_lock);
  id = known_module(image);
  if (!id && ht_is_current(ctx)) id = add_module(ctx, image);
  ht_lock_drop(&modules_lock);
  return id;
}

void ht_modules_reset(void) {
  ht_lock_take(&modules_lock);
  for (uint32_t i = 0; i < HINTS; i++) atomic_store(&hints[i], 0);
  for (uint32_t id = ht_modules_count(); id; id--) atomic_store(&module_by_id(id)->alive, 0);
  atomic_store(&modules, 0);
  atomic_fetch_add(&ht.module_epoch, 1);
  ht_lock_drop(&modules_lock);
}

// -------------------------------------------------------------------------------- loads, unloads

void ht_native_start(void) {
  if (!HAVE_FIND_OBJECT) snapshot_refresh();
}

void ht_native_modules_changed(ht_ctx *ctx) {
  (void)ctx;
  if (!HAVE_FIND_OBJECT) snapshot_refresh();
  bool gone = false;
  for (uint32_t id = ht_modules_count(); id; id--) {
    module *m = module_by_id(id);
    ht_image image;
    if (!atomic_load(&m->alive)) continue;
    if (ht_image_find(m->start, &image) && is_image(m, &image)) continue;
    // Its nodes stay in the trie: should the same file return to this place they are right again,
    // and another image there gets another salt.
    atomic_store(&m->alive, 0);
    gone = true;
  }
  if (gone) atomic_fetch_add(&ht.module_epoch, 1); // rows and cached stacks of old are void
}

void ht_native_after_fork(void) {
  atomic_store(&modules_lock.word, 0);
  atomic_store(&snapshot_lock.word, 0);
  atomic_store(&snapshot_readers, 0);
}
