// Symbols of a loaded image, from its file by raw reads in small pieces: a program's symbol table is not
// in memory, and a mapped file would count as memory of the program, or break under it.
#define _GNU_SOURCE // memmem
#include "statics.h"

#include <emmintrin.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define LONGEST 64u // characters of the longest name looked for, and some
#define PIECE 65536u
#define LARGE_NAMES (8u << 20)  // symbol names that are not read without need
#define MOST_NAMES (256u << 20) // likewise, whatever the need
#define MOST_CONSTANTS (64u << 20)
#define CANDIDATES 512u

static long read_at(int fd, void *to, size_t bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes) {
    long n = ht_syscall(SYS_pread64, fd, (long)((char *)to + done), (long)(bytes - done),
                        (long)(offset + done), 0, 0);
    if (n == -4 /* EINTR */) continue;
    if (n <= 0) break;
    done += (size_t)n;
  }
  return (long)done;
}

// ------------------------------------------------------------------------- exported and imported

// What the loader itself looks names up by, in memory.
typedef struct exports {
  const ElfW(Sym) * symbols;
  const char *strings;
  const uint32_t *hash; // DT_GNU_HASH: buckets, first hashed symbol, bloom words, shift, ...
  size_t strings_size;
} exports;

static bool find_exports(const ht_static_image *image, exports *e) {
  *e = (exports){0};
  const ElfW(Dyn) *d = NULL;
  for (unsigned i = 0; i < image->phnum; i++) {
    if (image->phdr[i].p_type == PT_DYNAMIC)
      d = (const ElfW(Dyn) *)(image->bias + image->phdr[i].p_vaddr);
  }
  for (; d != NULL && d->d_tag != DT_NULL; d++) {
    uintptr_t value = d->d_un.d_ptr;
    uintptr_t at = value < image->low || value >= image->high ? value + image->bias : value;
    if (d->d_tag == DT_STRSZ) e->strings_size = value;
    if (at < image->low || at >= image->high) continue;
    if (d->d_tag == DT_SYMTAB) e->symbols = (const ElfW(Sym) *)at;
    if (d->d_tag == DT_STRTAB) e->strings = (const char *)at;
    if (d->d_tag == DT_GNU_HASH) e->hash = (const uint32_t *)at;
  }
  return e->symbols != NULL && e->strings != NULL && e->hash != NULL && e->hash[0] != 0;
}

static bool exported(const exports *e, const char *name) {
  uint32_t hash = 5381;
  for (const char *c = name; *c != 0; c++) hash = hash * 33 + (uint8_t)*c;
  uint32_t buckets = e->hash[0], first = e->hash[1], words = e->hash[2], shift = e->hash[3];
  const uint64_t *bloom = (const uint64_t *)(e->hash + 4);
  uint64_t word = bloom[hash / 64 % words];
  if (!(word >> (hash % 64) & word >> ((hash >> shift) % 64) & 1)) return false;
  const uint32_t *bucket = (const uint32_t *)(bloom + words), *chain = bucket + buckets;
  uint32_t i = bucket[hash % buckets];
  if (i < first) return false;
  for (;; i++) {
    uint32_t other = chain[i - first];
    if ((other | 1) == (hash | 1) && strcmp(e->strings + e->symbols[i].st_name, name) == 0)
      return e->symbols[i].st_shndx != SHN_UNDEF;
    if (other & 1) return false;
  }
}

// Whether the image asks the C library for memory by the page; every allocator that is known by name also
// gives advice about it (`advises`), which few other programs do. Imported symbols come before those
// that are hashed.
static bool imports_mappings(const exports *e, bool advises) {
  static const char *const names[] = {"madvise", "mmap", "mmap64", "sbrk", "brk", "syscall"};
  for (uint32_t i = 1; i < e->hash[1]; i++) {
    for (unsigned k = 0; k < (advises ? 1 : sizeof names / sizeof *names); k++) {
      if (strcmp(e->strings + e->symbols[i].st_name, names[k]) == 0) return true;
    }
  }
  return false;
}

static uint32_t exports_end(const exports *e) {
  uint32_t buckets = e->hash[0], first = e->hash[1], last = 0;
  const uint32_t *bucket = e->hash + 4 + 2 * (size_t)e->hash[2], *chain = bucket + buckets;
  for (uint32_t i = 0; i < buckets; i++) {
    if (bucket[i] > last) last = bucket[i];
  }
  if (last < first) return first;
  while (!(chain[last - first] & 1)) last++;
  return last + 1;
}

// ------------------------------------------------------------------------------- taking symbols

static bool executes(const ht_static_image *image, uintptr_t at, uint64_t size) {
  for (unsigned i = 0; i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    uintptr_t start = image->bias + p->p_vaddr;
    if (p->p_type == PT_LOAD && (p->p_flags & (PF_X | PF_R)) == (PF_X | PF_R) && at >= start &&
        at - start < p->p_filesz && size <= p->p_filesz - (at - start))
      return true;
  }
  return false;
}

static void take(const ht_static_image *image, ht_static_found *found, const ElfW(Sym) * symbol,
                 const ht_static_symbol *named) {
  if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC) return;
  ht_static_symbol s = *named;
  s.address = image->bias + symbol->st_value;
  s.size = symbol->st_size;
  if (!executes(image, s.address, s.size)) return;
  for (unsigned i = 0; i < found->count; i++) {
    const ht_static_symbol *other = &found->symbols[i];
    if (other->address == s.address && other->name == s.name && other->prefix == s.prefix) return;
  }
  if (found->count < HT_STATIC_SYMBOLS) found->symbols[found->count++] = s;
}

static void take_exports(const ht_static_image *image, const exports *e, ht_static_found *found) {
  for (uint32_t i = e->hash[1], end = exports_end(e); i < end; i++) {
    const char *name = e->strings + e->symbols[i].st_name;
    size_t length = strnlen(name, LONGEST);
    uint32_t hash = 0;
    for (size_t at = length; at > 0; at--) hash = ht_static_hash(hash, name[at - 1]);
    ht_static_symbol named;
    if (ht_static_maybe(hash) && ht_static_lookup(name, length, &named))
      take(image, found, &e->symbols[i], &named);
  }
}

// --------------------------------------------------------------------------------- symbol table

typedef struct table {
  uint64_t symbols, symbols_bytes, names, names_bytes; // offsets and sizes in the file
} table;

typedef struct candidate {
  uint32_t offset; // in the names
  ht_static_symbol named;
} candidate;

typedef struct work {
  char buffer[LONGEST + PIECE + 16]; // the end of the piece before, then a piece
  uint64_t bloom[4096 / 64];         // of the candidates' offsets
  unsigned count;
  candidate candidates[CANDIDATES];
} work;

static uint32_t bloom_bit(uint32_t offset) { return offset * 0x9e3779b1u >> 20; }

static bool find_table(int fd, table *t) {
  ElfW(Ehdr) header;
  if (read_at(fd, &header, sizeof header, 0) != sizeof header ||
      memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shentsize != sizeof(ElfW(Shdr)))
    return false;
  // Mostly the last ones but one.
  ElfW(Shdr) some[32];
  for (unsigned end = header.e_shnum; end > 0;) {
    unsigned n = end < 32 ? end : 32;
    end -= n;
    long bytes = (long)(n * sizeof *some);
    if (read_at(fd, some, (size_t)bytes, header.e_shoff + end * sizeof *some) != bytes)
      return false;
    for (unsigned i = 0; i < n; i++) {
      ElfW(Shdr) names;
      if (some[i].sh_type != SHT_SYMTAB || some[i].sh_entsize != sizeof(ElfW(Sym))) continue;
      if (some[i].sh_link >= header.e_shnum) return false;
      uint64_t at = header.e_shoff + (uint64_t)some[i].sh_link * sizeof names;
      if (read_at(fd, &names, sizeof names, at) != sizeof names) return false;
      *t = (table){some[i].sh_offset, some[i].sh_size, names.sh_offset, names.sh_size};
      return true;
    }
  }
  return false;
}

// Reads the names piece by piece; `see` gets each with the LONGEST bytes before it. True: it did once.
static bool over_names(int fd, const table *t, work *w, bool (*see)(work *, size_t, uint64_t)) {
  memset(w->buffer, 0, LONGEST);
  bool seen = false;
  for (uint64_t at = 0; at < t->names_bytes; at += PIECE) {
    uint64_t left = t->names_bytes - at;
    size_t bytes = left < PIECE ? (size_t)left : PIECE;
    if (read_at(fd, w->buffer + LONGEST, bytes, t->names + at) != (long)bytes) return false;
    memset(w->buffer + LONGEST + bytes, 1, 16);
    seen |= see(w, bytes, at);
    memmove(w->buffer, w->buffer + bytes, LONGEST);
  }
  return seen;
}

// Whether a name that every such allocator has ends in this piece. 16 characters at a time: few
// instructions tell where a name ends in two of the right letters.
static bool see_any(work *w, size_t bytes, uint64_t at) {
  (void)at;
  const __m128i zero = _mm_setzero_si128(), c = _mm_set1_epi8('c'), x = _mm_set1_epi8('x'),
                e = _mm_set1_epi8('e'), o = _mm_set1_epi8('o');
  // From the last character before the piece: its zero may be the first one in it.
  const char *text = w->buffer + LONGEST - 1;
  for (size_t i = 0; i < bytes; i += 16) {
    __m128i here = _mm_loadu_si128((const __m128i *)(text + i));
    __m128i after = _mm_loadu_si128((const __m128i *)(text + i + 1));
    __m128i before = _mm_loadu_si128((const __m128i *)(text + i - 1));
    __m128i letter = _mm_or_si128(
        _mm_or_si128(_mm_and_si128(_mm_cmpeq_epi8(before, o), _mm_cmpeq_epi8(here, c)),
                     _mm_and_si128(_mm_cmpeq_epi8(before, c), _mm_cmpeq_epi8(here, x))),
        _mm_and_si128(_mm_cmpeq_epi8(before, e), _mm_cmpeq_epi8(here, e)));
    unsigned hits = (unsigned)_mm_movemask_epi8(_mm_and_si128(letter, _mm_cmpeq_epi8(after, zero)));
    for (; hits != 0; hits &= hits - 1) {
      const char *end = text + i + __builtin_ctz(hits) + 1;
      if (memcmp(end - 6, "malloc", 6) == 0 || memcmp(end - 6, "allocx", 6) == 0 ||
          memcmp(end - 7, "mi_free", 7) == 0 || memcmp(end - 6, "rpfree", 6) == 0)
        return true;
    }
  }
  return false;
}

// Collects where in the names the known ones begin. Names share their ends: "malloc" may be found in
// "xmalloc". About 25 ns a name.
static bool see_all(work *w, size_t bytes, uint64_t at) {
  const char *first = w->buffer + LONGEST, *limit = first + bytes;
  for (const char *from = first; from < limit; from++) {
    const char *end = memchr(from, 0, (size_t)(limit - from));
    if (end == NULL) break;
    from = end;
    uint32_t hash = 0;
    for (const char *name = end - 1; name > end - LONGEST && *name != 0; name--) {
      candidate k;
      hash = ht_static_hash(hash, *name);
      if (!ht_static_maybe(hash) || !ht_static_lookup(name, (size_t)(end - name), &k.named))
        continue;
      k.offset = (uint32_t)(at + (uint64_t)(name - first));
      if (w->count == CANDIDATES) return true;
      w->candidates[w->count++] = k;
      w->bloom[bloom_bit(k.offset) / 64] |= 1ull << (bloom_bit(k.offset) % 64);
    }
  }
  return w->count > 0;
}

static void take_symbols(const ht_static_image *image, const table *t, work *w,
                         ht_static_found *found) {
  const size_t piece = PIECE / sizeof(ElfW(Sym)) * sizeof(ElfW(Sym));
  for (uint64_t at = 0; at < t->symbols_bytes; at += piece) {
    uint64_t left = t->symbols_bytes - at;
    size_t bytes = left < piece ? (size_t)left : piece;
    if (read_at(found->fd, w->buffer, bytes, t->symbols + at) != (long)bytes) return;
    for (size_t i = 0; i + sizeof(ElfW(Sym)) <= bytes; i += sizeof(ElfW(Sym))) {
      ElfW(Sym) symbol;
      memcpy(&symbol, w->buffer + i, sizeof symbol);
      uint32_t bit = bloom_bit(symbol.st_name);
      if (!(w->bloom[bit / 64] >> (bit % 64) & 1)) continue;
      for (unsigned k = 0; k < w->count; k++) {
        if (w->candidates[k].offset == symbol.st_name)
          take(image, found, &symbol, &w->candidates[k].named);
      }
    }
  }
}

// ------------------------------------------------------------------------------------- the whole

void ht_static_read(const ht_static_image *image, ht_static_found *found) {
  static const char *const gates[] = {
      "malloc",    "mallocx",           "je_malloc", "_rjem_malloc", "_rjem_mallocx",
      "mi_malloc", "mi_malloc_aligned", "tc_malloc", "rpmalloc",     "je_arrow_mallocx"};
  exports e;
  bool dynamic = find_exports(image, &e), gate = false;
  found->count = 0;
  found->has_table = found->interposed = found->is_python = false;
  found->fd = ht_os_open(image->path, O_RDONLY);
  if (dynamic) {
    found->is_python = exported(&e, "_PyRuntime") || exported(&e, "Py_GetVersion");
    if (found->is_python) return;
    for (unsigned i = 0; i < sizeof gates / sizeof *gates; i++) gate |= exported(&e, gates[i]);
    found->interposed =
        !image->is_program &&
        (exported(&e, "malloc") || exported(&e, "mi_malloc") || exported(&e, "mallocx"));
  }
  table t;
  if (found->fd >= 0 && find_table(found->fd, &t)) {
    found->has_table = true;
    if (t.names_bytes > LARGE_NAMES && dynamic && !gate && !imports_mappings(&e, true)) return;
    if (t.names_bytes > MOST_NAMES && !gate) return;
    work *w = ht_os_map(sizeof *w);
    if (w == NULL) return;
    if (over_names(found->fd, &t, w, see_any)) {
      ht_static_prepare();
      if (over_names(found->fd, &t, w, see_all)) take_symbols(image, &t, w, found);
    }
    ht_os_unmap(w, sizeof *w);
  } else if (dynamic && gate) {
    ht_static_prepare();
    take_exports(image, &e, found);
  }
  // Without a way to the kernel no allocator hides in it.
  if (dynamic && !imports_mappings(&e, false)) found->has_table = true;
}

const char *ht_static_messages(const ht_static_image *image, int fd) {
  static const char *const texts[][2] = {
      {"<jemalloc>: ", "jemalloc"}, {"mimalloc: ", "mimalloc"}, {"tcmalloc: ", "tcmalloc"}};
  char *buffer = fd < 0 ? NULL : ht_os_map(LONGEST + PIECE);
  const char *found = NULL;
  uint64_t left = MOST_CONSTANTS;
  for (unsigned i = 0; buffer != NULL && found == NULL && i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    // Older linkers put constants and code into one segment, the first.
    if (p->p_type != PT_LOAD || (p->p_flags & PF_W)) continue;
    if ((p->p_flags & PF_X) && p->p_offset != 0) continue;
    memset(buffer, 0, LONGEST);
    for (uint64_t at = 0; at < p->p_filesz && left > PIECE && found == NULL; at += PIECE) {
      uint64_t rest = p->p_filesz - at;
      size_t bytes = rest < PIECE ? (size_t)rest : PIECE;
      if (read_at(fd, buffer + LONGEST, bytes, p->p_offset + at) != (long)bytes) break;
      for (unsigned k = 0; k < 3 && found == NULL; k++) {
        if (memmem(buffer, LONGEST + bytes, texts[k][0], strlen(texts[k][0])) != NULL)
          found = texts[k][1];
      }
      memmove(buffer, buffer + bytes, LONGEST);
      left -= bytes;
    }
  }
  if (buffer != NULL) ht_os_unmap(buffer, LONGEST + PIECE);
  return found;
}

bool ht_static_same(const ht_static_image *image, int fd, uintptr_t address, uint64_t *offset) {
  for (unsigned i = 0; i < image->phnum; i++) {
    const ElfW(Phdr) *p = &image->phdr[i];
    uintptr_t start = image->bias + p->p_vaddr;
    if (p->p_type != PT_LOAD || address - start >= p->p_filesz) continue;
    char bytes[16];
    *offset = p->p_offset + (address - start);
    size_t n = p->p_filesz - (address - start) < 16 ? p->p_filesz - (address - start) : 16;
    return read_at(fd, bytes, n, *offset) == (long)n &&
           memcmp(bytes, (const void *)address, n) == 0;
  }
  return false;
}
