// The functions of allocators by name, in the words of their headers.
#include <string.h>

#include "statics.h"

#define C (1u << HT_FAMILY_C | 1u << HT_FAMILY_JEMALLOC)
#define JE (1u << HT_FAMILY_C | 1u << HT_FAMILY_JEMALLOC) // mallocx and its kin may have no prefix
#define TC (1u << HT_FAMILY_TCMALLOC)
#define MI (1u << HT_FAMILY_MIMALLOC)
#define RP (1u << HT_FAMILY_RPMALLOC)
#define OP (1u << HT_FAMILY_OPERATORS)
#define ALL (C | TC | MI | RP)

#define MALLOC(families, text, shape) {text, NULL, families, HT_SHAPE_##shape, HT_KIND_MALLOC}
#define NEW(families, text, shape, companion) \
  {text, companion, families, HT_SHAPE_##shape, HT_KIND_NEW}

const ht_static_name ht_static_names[] = {
    MALLOC(ALL, "malloc", FIRST),
    MALLOC(ALL, "calloc", COUNT),
    MALLOC(ALL, "realloc", REALLOC),
    MALLOC(ALL, "free", FREE),
    MALLOC(ALL, "cfree", FREE),
    MALLOC(ALL, "memalign", SECOND),
    MALLOC(C | TC | MI, "aligned_alloc", SECOND),
    MALLOC(ALL, "posix_memalign", POSIX),
    MALLOC(C | TC | MI, "valloc", FIRST),
    MALLOC(C | TC | MI, "pvalloc", FIRST),
    MALLOC(C | MI, "reallocarray", REALLOC_COUNT),
    MALLOC(C | MI, "reallocf", REALLOC_FREE),
    MALLOC(C | TC, "free_sized", FREE),
    MALLOC(C, "free_aligned_sized", FREE),
    MALLOC(ALL, "malloc_usable_size", USABLE),
    // jemalloc
    MALLOC(JE, "mallocx", FIRST),
    MALLOC(JE, "rallocx", REALLOC),
    MALLOC(JE, "xallocx", RESIZE),
    MALLOC(JE, "dallocx", FREE),
    MALLOC(JE, "sdallocx", FREE),
    // tcmalloc
    MALLOC(TC, "malloc_skip_new_handler", FIRST),
    MALLOC(TC, "malloc_size", USABLE),
    NEW(TC, "new", NEW, "new_nothrow"),
    NEW(TC, "newarray", NEW, "newarray_nothrow"),
    NEW(TC, "new_nothrow", FIRST, NULL),
    NEW(TC, "newarray_nothrow", FIRST, NULL),
    NEW(TC, "new_aligned", NEW_ALIGNED, "new_aligned_nothrow"),
    NEW(TC, "newarray_aligned", NEW_ALIGNED, "newarray_aligned_nothrow"),
    NEW(TC, "new_aligned_nothrow", FIRST, NULL),
    NEW(TC, "newarray_aligned_nothrow", FIRST, NULL),
    NEW(TC, "delete", FREE, NULL),
    NEW(TC, "deletearray", FREE, NULL),
    NEW(TC, "delete_nothrow", FREE, NULL),
    NEW(TC, "deletearray_nothrow", FREE, NULL),
    NEW(TC, "delete_sized", FREE, NULL),
    NEW(TC, "deletearray_sized", FREE, NULL),
    NEW(TC, "delete_aligned", FREE, NULL),
    NEW(TC, "deletearray_aligned", FREE, NULL),
    NEW(TC, "delete_sized_aligned", FREE, NULL),
    NEW(TC, "deletearray_sized_aligned", FREE, NULL),
    NEW(TC, "delete_aligned_nothrow", FREE, NULL),
    NEW(TC, "deletearray_aligned_nothrow", FREE, NULL),
    // mimalloc
    MALLOC(MI, "zalloc", FIRST),
    MALLOC(MI, "malloc_small", FIRST),
    MALLOC(MI, "zalloc_small", FIRST),
    MALLOC(MI, "malloc_aligned", FIRST),
    MALLOC(MI, "malloc_aligned_at", FIRST),
    MALLOC(MI, "zalloc_aligned", FIRST),
    MALLOC(MI, "zalloc_aligned_at", FIRST),
    MALLOC(MI, "mallocn", COUNT),
    MALLOC(MI, "calloc_aligned", COUNT),
    MALLOC(MI, "calloc_aligned_at", COUNT),
    MALLOC(MI, "expand", REALLOC),
    MALLOC(MI, "rezalloc", REALLOC),
    MALLOC(MI, "reallocn", REALLOC_COUNT),
    MALLOC(MI, "recalloc", REALLOC_COUNT),
    MALLOC(MI, "realloc_aligned", REALLOC),
    MALLOC(MI, "realloc_aligned_at", REALLOC),
    MALLOC(MI, "rezalloc_aligned", REALLOC),
    MALLOC(MI, "rezalloc_aligned_at", REALLOC),
    MALLOC(MI, "recalloc_aligned", REALLOC_COUNT),
    MALLOC(MI, "recalloc_aligned_at", REALLOC_COUNT),
    MALLOC(MI, "free_size", FREE),
    MALLOC(MI, "free_aligned", FREE),
    MALLOC(MI, "free_size_aligned", FREE),
    MALLOC(MI, "strdup", TEXT),
    MALLOC(MI, "strndup", TEXT),
    MALLOC(MI, "realpath", TEXT),
    MALLOC(MI, "heap_malloc", SECOND),
    MALLOC(MI, "heap_malloc_small", SECOND),
    MALLOC(MI, "heap_zalloc", SECOND),
    MALLOC(MI, "heap_malloc_aligned", SECOND),
    MALLOC(MI, "heap_malloc_aligned_at", SECOND),
    MALLOC(MI, "heap_zalloc_aligned", SECOND),
    MALLOC(MI, "heap_zalloc_aligned_at", SECOND),
    MALLOC(MI, "heap_mallocn", COUNT_SECOND),
    MALLOC(MI, "heap_calloc", COUNT_SECOND),
    MALLOC(MI, "heap_calloc_aligned", COUNT_SECOND),
    MALLOC(MI, "heap_calloc_aligned_at", COUNT_SECOND),
    MALLOC(MI, "heap_realloc", HEAP_REALLOC),
    MALLOC(MI, "heap_reallocf", HEAP_REALLOC_FREE),
    MALLOC(MI, "heap_rezalloc", HEAP_REALLOC),
    MALLOC(MI, "heap_reallocn", HEAP_REALLOC_COUNT),
    MALLOC(MI, "heap_recalloc", HEAP_REALLOC_COUNT),
    MALLOC(MI, "heap_realloc_aligned", HEAP_REALLOC),
    MALLOC(MI, "heap_realloc_aligned_at", HEAP_REALLOC),
    MALLOC(MI, "heap_rezalloc_aligned", HEAP_REALLOC),
    MALLOC(MI, "heap_rezalloc_aligned_at", HEAP_REALLOC),
    MALLOC(MI, "heap_recalloc_aligned", HEAP_REALLOC_COUNT),
    MALLOC(MI, "heap_strdup", TEXT),
    MALLOC(MI, "heap_strndup", TEXT),
    MALLOC(MI, "heap_realpath", TEXT),
    MALLOC(MI, "usable_size", USABLE),
    NEW(MI, "new", NEW, "new_nothrow"),
    NEW(MI, "new_nothrow", FIRST, NULL),
    NEW(MI, "new_aligned", NEW_ALIGNED, "new_aligned_nothrow"),
    NEW(MI, "new_aligned_nothrow", FIRST, NULL),
    NEW(MI, "new_n", NEW_COUNT, "new_nothrow"),
    NEW(MI, "new_realloc", NEW_REALLOC, "realloc"),
    NEW(MI, "new_reallocn", NEW_REALLOC_COUNT, "realloc"),
    // rpmalloc
    MALLOC(RP, "zalloc", FIRST),
    MALLOC(RP, "aligned_alloc", SECOND),
    MALLOC(RP, "aligned_zalloc", SECOND),
    MALLOC(RP, "aligned_calloc", COUNT_SECOND),
    MALLOC(RP, "aligned_realloc", REALLOC_THIRD),
    // C++
    NEW(OP, "_Znwm", NEW, "_ZnwmRKSt9nothrow_t"),
    NEW(OP, "_Znam", NEW, "_ZnamRKSt9nothrow_t"),
    NEW(OP, "_ZnwmRKSt9nothrow_t", FIRST, NULL),
    NEW(OP, "_ZnamRKSt9nothrow_t", FIRST, NULL),
    NEW(OP, "_ZnwmSt11align_val_t", NEW_ALIGNED, "_ZnwmSt11align_val_tRKSt9nothrow_t"),
    NEW(OP, "_ZnamSt11align_val_t", NEW_ALIGNED, "_ZnamSt11align_val_tRKSt9nothrow_t"),
    NEW(OP, "_ZnwmSt11align_val_tRKSt9nothrow_t", FIRST, NULL),
    NEW(OP, "_ZnamSt11align_val_tRKSt9nothrow_t", FIRST, NULL),
    NEW(OP, "_ZdlPv", FREE, NULL),
    NEW(OP, "_ZdaPv", FREE, NULL),
    NEW(OP, "_ZdlPvm", FREE, NULL),
    NEW(OP, "_ZdaPvm", FREE, NULL),
    NEW(OP, "_ZdlPvRKSt9nothrow_t", FREE, NULL),
    NEW(OP, "_ZdaPvRKSt9nothrow_t", FREE, NULL),
    NEW(OP, "_ZdlPvSt11align_val_t", FREE, NULL),
    NEW(OP, "_ZdaPvSt11align_val_t", FREE, NULL),
    NEW(OP, "_ZdlPvmSt11align_val_t", FREE, NULL),
    NEW(OP, "_ZdaPvmSt11align_val_t", FREE, NULL),
    NEW(OP, "_ZdlPvSt11align_val_tRKSt9nothrow_t", FREE, NULL),
    NEW(OP, "_ZdaPvSt11align_val_tRKSt9nothrow_t", FREE, NULL),
    // Their ways to the kernel, which are no interface: some calls come from no function above.
    MALLOC(OP, "os_pages_map", MAPPER),
    MALLOC(OP, "os_pages_map.constprop.0", MAPPER),
    MALLOC(OP, "os_pages_unmap", MAPPER),
    MALLOC(C, "pages_map", MAPPER),
    MALLOC(C, "pages_unmap", MAPPER),
    MALLOC(OP, "unix_mmap", MAPPER),
    MALLOC(OP, "unix_mmap.constprop.0", MAPPER),
    MALLOC(OP, "unix_mmap_prim.constprop.0", MAPPER),
    MALLOC(OP, "unix_mmap_prim_aligned", MAPPER),
    MALLOC(OP, "unix_mmap_prim_aligned.constprop.0", MAPPER),
    MALLOC(OP, "mi_os_prim_free", MAPPER),
    MALLOC(OP, "mi_os_prim_free.part.0", MAPPER),
    MALLOC(C, "pages_commit", MAPPER),
    MALLOC(C, "pages_decommit", MAPPER),
    MALLOC(C, "pages_boot", MAPPER),
    MALLOC(C, "extent_alloc_dss", MAPPER),
    MALLOC(C, "extent_dss_boot", MAPPER),
    MALLOC(OP, "unix_mmap_prim", MAPPER),
    MALLOC(OP, "_mi_prim_alloc", MAPPER),
    MALLOC(OP, "_mi_prim_free", MAPPER),
    MALLOC(OP, "mi_unix_mmap", MAPPER),
    MALLOC(OP, "mi_os_mem_free", MAPPER),
    MALLOC(OP, "_ZN16MmapSysAllocator5AllocEmPmm", MAPPER),
    MALLOC(OP, "_ZN16SbrkSysAllocator5AllocEmPmm", MAPPER),
};

const unsigned ht_static_names_count = sizeof ht_static_names / sizeof *ht_static_names;

static const struct {
  const char *text;
  uint8_t family;
} prefixes[] = {
    {"_rjem_je_", HT_FAMILY_JEMALLOC}, {"_rjem_", HT_FAMILY_JEMALLOC},
    {"je_arrow_", HT_FAMILY_JEMALLOC}, {"je_", HT_FAMILY_JEMALLOC},
    {"mi_", HT_FAMILY_MIMALLOC},       {"tc_", HT_FAMILY_TCMALLOC},
    {"rp", HT_FAMILY_RPMALLOC},        {"", HT_FAMILY_C},
    {"", HT_FAMILY_OPERATORS},
};

bool ht_static_lookup(const char *text, size_t length, ht_static_symbol *to) {
  for (unsigned p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
    size_t skip = strlen(prefixes[p].text);
    if (length < skip || memcmp(text, prefixes[p].text, skip) != 0) continue;
    for (unsigned i = 0; i < ht_static_names_count; i++) {
      const ht_static_name *name = &ht_static_names[i];
      if (!(name->families >> prefixes[p].family & 1)) continue;
      if (strlen(name->text) != length - skip) continue;
      if (memcmp(name->text, text + skip, length - skip) != 0) continue;
      to->name = (uint16_t)i;
      to->family = prefixes[p].family;
      to->prefix = (uint8_t)p;
      return true;
    }
  }
  return false;
}

uint32_t ht_static_known[HT_STATIC_HASHES / 32];

void ht_static_prepare(void) {
  for (unsigned p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
    for (unsigned i = 0; i < ht_static_names_count; i++) {
      if (!(ht_static_names[i].families >> prefixes[p].family & 1)) continue;
      uint32_t hash = 0;
      const char *parts[] = {ht_static_names[i].text, prefixes[p].text};
      for (unsigned k = 0; k < 2; k++) {
        for (size_t at = strlen(parts[k]); at > 0; at--)
          hash = ht_static_hash(hash, parts[k][at - 1]);
      }
      uint32_t bit = hash % HT_STATIC_HASHES;
      ht_static_known[bit / 32] |= 1u << (bit % 32);
    }
  }
}

void ht_static_write_name(const ht_static_symbol *s, char *to, size_t room) {
  const char *parts[] = {prefixes[s->prefix].text, ht_static_names[s->name].text};
  size_t length = 0;
  for (unsigned k = 0; k < 2; k++) {
    for (const char *c = parts[k]; *c != 0 && length + 1 < room; c++) to[length++] = *c;
  }
  to[length] = 0;
}

const char *ht_static_family_name(enum ht_static_family family) {
  static const char *const names[HT_FAMILIES] = {
      [HT_FAMILY_JEMALLOC] = "jemalloc",
      [HT_FAMILY_MIMALLOC] = "mimalloc",
      [HT_FAMILY_TCMALLOC] = "tcmalloc",
      [HT_FAMILY_RPMALLOC] = "rpmalloc",
  };
  return names[family] != NULL ? names[family] : "an allocator";
}
