// Finding the interpreter among the loaded modules, and the machine code that runs Python frames.
//
// Own look-ups in the modules' symbol tables: dlsym would leave an error for dlerror and allocate it,
// and does not see what was loaded with RTLD_LOCAL.
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "py.h"

#define RANGES 256u

typedef struct range {
  uint64_t start, end;
} range;

static range ranges[RANGES];
static uint32_t ranges_used;
static _Atomic uint32_t ranges_sent;

static bool equal(const char *a, const char *b) {
  while (*a != 0 && *a == *b) a++, b++;
  return *a == *b;
}

static bool starts_with(const char *text, const char *prefix) {
  while (*prefix != 0 && *text == *prefix) text++, prefix++;
  return *prefix == 0;
}

// ----------------------------------------------------------------------------- dynamic symbols

typedef struct image {
  uintptr_t base;
  const ElfW(Sym) * symbols;
  const char *strings;
  const uint32_t *gnu_hash;
  const uint32_t *sysv_hash;
} image;

static bool open_image(image *m, const struct dl_phdr_info *info) {
  const ElfW(Dyn) *dynamic = NULL;
  *m = (image){.base = info->dlpi_addr};
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) {
      dynamic = (const ElfW(Dyn) *)(m->base + info->dlpi_phdr[i].p_vaddr);
    }
  }
  for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++) {
    // glibc has relocated these addresses in place, except in the vDSO; musl has not.
    uintptr_t at = dynamic->d_un.d_ptr;
    if (at < m->base) at += m->base;
    if (dynamic->d_tag == DT_SYMTAB) m->symbols = (const void *)at;
    if (dynamic->d_tag == DT_STRTAB) m->strings = (const void *)at;
    if (dynamic->d_tag == DT_GNU_HASH) m->gnu_hash = (const void *)at;
    if (dynamic->d_tag == DT_HASH) m->sysv_hash = (const void *)at;
  }
  return m->symbols != NULL && m->strings != NULL && (m->gnu_hash != NULL || m->sysv_hash != NULL);
}

static bool is_symbol(const image *m, uint32_t index, const char *name) {
  const ElfW(Sym) *s = &m->symbols[index];
  return s->st_shndx != SHN_UNDEF && equal(m->strings + s->st_name, name);
}

static const ElfW(Sym) * find_gnu(const image *m, const char *name) {
  const uint32_t *h = m->gnu_hash;
  uint32_t buckets = h[0], first = h[1], bloom_words = h[2], shift = h[3], hash = 5381;
  for (const char *c = name; *c != 0; c++) hash = hash * 33 + (uint8_t)*c;
  const ElfW(Addr) *bloom = (const ElfW(Addr) *)(h + 4);
  uint64_t word = bloom[hash / 64 % bloom_words];
  if ((word >> (hash % 64) & word >> ((hash >> shift) % 64) & 1) == 0 || buckets == 0) return NULL;
  const uint32_t *bucket = (const uint32_t *)(bloom + bloom_words), *chain = bucket + buckets;
  uint32_t index = bucket[hash % buckets];
  for (; index >= first; index++) {
    uint32_t other = chain[index - first];
    if ((other | 1) == (hash | 1) && is_symbol(m, index, name)) return &m->symbols[index];
    if (other & 1) break;
  }
  return NULL;
}

static const ElfW(Sym) * find_symbol(const image *m, const char *name) {
  if (m->gnu_hash != NULL) return find_gnu(m, name);
  for (uint32_t i = 1; i < m->sysv_hash[1]; i++) {
    if (is_symbol(m, i, name)) return &m->symbols[i];
  }
  return NULL;
}

static uintptr_t address_of(const image *m, const char *name) {
  const ElfW(Sym) *s = find_symbol(m, name);
  return s == NULL ? 0 : m->base + s->st_value;
}

// -------------------------------------------------------------------------------- static symbols

static void add_range(uint64_t start, uint64_t size) {
  if (size == 0) return;
  range *last = ranges_used == 0 ? NULL : &ranges[ranges_used - 1];
  // Neighbours, as the 3.14 tail-calling interpreter's many functions are, make one range.
  if (last != NULL && start >= last->end && (start - last->end < 64 || ranges_used == RANGES)) {
    last->end = start + size;
  } else if (ranges_used < RANGES) {
    ranges[ranges_used++] = (range){start, start + size};
  }
}

static bool in_file(uint64_t bytes, uint64_t offset, uint64_t length) {
  return offset <= bytes && length <= bytes - offset;
}

// The parts of the evaluation loop that only .symtab knows: what the compiler split off as cold, and
// tail-calling instruction handlers. About a millisecond for a libpython; nothing for a stripped one.
static void scan_symbols(const uint8_t *file, uint64_t bytes, uintptr_t base) {
  const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)file;
  if (bytes < sizeof *header || header->e_shentsize != sizeof(ElfW(Shdr)) ||
      header->e_shoff % 8 != 0 ||
      !in_file(bytes, header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr)))) {
    return;
  }
  const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(file + header->e_shoff);
  for (unsigned i = 0; i < header->e_shnum; i++) {
    const ElfW(Shdr) *table = &sections[i];
    if (table->sh_type != SHT_SYMTAB || table->sh_link >= header->e_shnum) continue;
    const ElfW(Shdr) *strings = &sections[table->sh_link];
    if (!in_file(bytes, table->sh_offset, table->sh_size) || table->sh_offset % 8 != 0 ||
        !in_file(bytes, strings->sh_offset, strings->sh_size) || strings->sh_size == 0) {
      continue;
    }
    const char *text = (const char *)file + strings->sh_offset;
    if (text[strings->sh_size - 1] != 0) continue;
    const ElfW(Sym) *symbols = (const ElfW(Sym) *)(file + table->sh_offset);
    for (uint64_t j = 0; j < table->sh_size / sizeof *symbols; j++) {
      const ElfW(Sym) *s = &symbols[j];
      if ((s->st_info & 0xf) != STT_FUNC || s->st_name >= strings->sh_size) continue;
      const char *name = text + s->st_name;
      if (name[0] != '_' || (name[1] != 'P' && name[1] != 'T')) continue;
      if (starts_with(name, "_PyEval_EvalFrameDefault.") || starts_with(name, "_TAIL_CALL_")) {
        add_range(base + s->st_value, s->st_size);
      }
    }
  }
}

static void scan_file(const char *path, uintptr_t base) {
  int fd = ht_os_open(path, O_RDONLY);
  if (fd < 0) return;
  long bytes = ht_syscall(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0);
  long map = bytes <= 0 ? -1 : ht_syscall(SYS_mmap, 0, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  ht_os_close(fd);
  if (bytes <= 0 || (map < 0 && map > -4096)) return;
  const uint8_t *file = (const uint8_t *)map;
  if (file[0] == 0x7f && file[1] == 'E' && file[2] == 'L' && file[3] == 'F') {
    scan_symbols(file, (uint64_t)bytes, base);
  }
  ht_os_unmap((void *)map, (size_t)bytes);
}

// --------------------------------------------------------------------------------------- modules

typedef struct search {
  ht_py_symbols *symbols;
  uintptr_t code_type;
  char path[4096];
  uintptr_t base;
} search;

static int look_at(struct dl_phdr_info *info, size_t size, void *closure) {
  search *found = closure;
  image m;
  if (!open_image(&m, info)) return 0;
  // A program that uses the type directly may hold the one copy of it that counts (COPY relocation).
  if (found->code_type == 0) found->code_type = address_of(&m, "PyCode_Type");
  const ElfW(Sym) *eval = find_symbol(&m, "_PyEval_EvalFrameDefault");
  if (eval == NULL) eval = find_symbol(&m, "PyEval_EvalFrameEx"); // before 3.6
  if (eval == NULL) return 0;
  ht_py_symbols *s = found->symbols;
  *s = (ht_py_symbols){
      .runtime = address_of(&m, "_PyRuntime"),
      .version = address_of(&m, "Py_Version"),
      .get_version = address_of(&m, "Py_GetVersion"),
      .code_type = found->code_type,
      .unicode_type = address_of(&m, "PyUnicode_Type"),
      .bytes_type = address_of(&m, "PyBytes_Type"),
      .this_thread = address_of(&m, "PyGILState_GetThisThreadState"),
      .attached_thread = address_of(&m, "PyThreadState_GetUnchecked"),
      .set_allocator = address_of(&m, "PyMem_SetAllocator"),
      .get_allocator = address_of(&m, "PyMem_GetAllocator"),
      .set_arena = address_of(&m, "PyObject_SetArenaAllocator"),
      .get_arena = address_of(&m, "PyObject_GetArenaAllocator"),
      .eval = m.base + eval->st_value,
      .eval_end = m.base + eval->st_value + eval->st_size,
      .image = UINTPTR_MAX,
  };
  if (s->attached_thread == 0) s->attached_thread = address_of(&m, "_PyThreadState_UncheckedGet");
  bool has_tls = size > offsetof(struct dl_phdr_info, dlpi_tls_data);
  for (unsigned i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    uintptr_t start = m.base + p->p_vaddr;
    if (p->p_type == PT_LOAD) {
      if (start < s->image) s->image = start;
      if (start + p->p_memsz > s->image_end) s->image_end = start + p->p_memsz;
    } else if (p->p_type == PT_TLS && has_tls && info->dlpi_tls_data != NULL) {
      s->tls = (intptr_t)((uintptr_t)info->dlpi_tls_data - ht_thread_pointer());
      s->tls_end = s->tls + (intptr_t)p->p_memsz;
    }
  }
  found->base = m.base;
  const char *path =
      info->dlpi_name != NULL && info->dlpi_name[0] != 0 ? info->dlpi_name : "/proc/self/exe";
  unsigned i = 0;
  for (; path[i] != 0 && i + 1 < sizeof found->path; i++) found->path[i] = path[i];
  found->path[i] = 0;
  return 1;
}

bool ht_py_find(ht_py_symbols *symbols) {
  static search found; // too big for a small stack; look-ups happen one at a time
  found.symbols = symbols;
  found.code_type = 0;
  if (dl_iterate_phdr(look_at, &found) == 0) return false;
  ranges_used = 0;
  add_range(symbols->eval, symbols->eval_end - symbols->eval);
  scan_file(found.path, found.base);
  return true;
}

void ht_py_ranges_reset(void) { atomic_store(&ranges_sent, 0); }

void ht_py_send_ranges(ht_ctx *ctx) {
  if (!ht_recording(ctx) || atomic_exchange(&ranges_sent, 1) != 0) return;
  for (uint32_t i = 0; i < ranges_used; i++) {
    ht_meta m;
    ht_meta_begin(&m, ctx, HT_META_EVAL_RANGE);
    ht_meta_u64(&m, ranges[i].start);
    ht_meta_u64(&m, ranges[i].end);
    ht_meta_end(&m);
  }
}
