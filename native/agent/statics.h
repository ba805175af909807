// Allocators that are linked into a program or into a library of it: their calls pass no hook of the
// dynamic linker's, so they are found by the names of their functions (statics_names.c) in the symbol
// tables of what is loaded (statics_elf.c), and hooked at the entries of these (patch.c) by
// statics_hooks.c. statics.c has the whole of it.
#ifndef HEAPTIDE_STATICS_H
#define HEAPTIDE_STATICS_H

#include <link.h>

#include "agent.h"
#include "patch.h"

// Which arguments and result a function has, and so which hook is its.
enum ht_static_shape {
  HT_SHAPE_FIRST,         // void *f(size, ...)
  HT_SHAPE_SECOND,        // void *f(x, size, ...)
  HT_SHAPE_COUNT,         // void *f(count, size, ...)
  HT_SHAPE_COUNT_SECOND,  // void *f(x, count, size, ...)
  HT_SHAPE_POSIX,         // int f(void **, alignment, size)
  HT_SHAPE_TEXT,          // char *f(...): a string
  HT_SHAPE_REALLOC,       // void *f(old, size, ...)
  HT_SHAPE_REALLOC_FREE,  // the same; frees the block on failure
  HT_SHAPE_REALLOC_COUNT, // void *f(old, count, size, ...)
  HT_SHAPE_REALLOC_THIRD, // void *f(old, x, size, ...)
  HT_SHAPE_HEAP_REALLOC,  // void *f(x, old, size, ...)
  HT_SHAPE_HEAP_REALLOC_FREE,
  HT_SHAPE_HEAP_REALLOC_COUNT,
  HT_SHAPE_RESIZE, // size_t f(old, size, extra, flags): jemalloc's xallocx
  HT_SHAPE_FREE,   // void f(old, ...)
  // These throw. Their companion is the same without; they are called only to throw.
  HT_SHAPE_NEW,         // void *f(size); companion f(size, nothrow)
  HT_SHAPE_NEW_ALIGNED, // void *f(size, alignment); companion f(size, alignment, nothrow)
  HT_SHAPE_NEW_COUNT,   // void *f(count, size); companion f(bytes)
  HT_SHAPE_NEW_REALLOC, // void *f(old, size); companion f(old, size)
  HT_SHAPE_NEW_REALLOC_COUNT,
  HT_SHAPES,
  HT_SHAPE_USABLE = HT_SHAPES, // size_t f(p): not hooked
  HT_SHAPE_MAPPER,             // where an allocator asks the kernel for memory: not hooked
};

enum ht_static_family {
  HT_FAMILY_C,         // the C library's names
  HT_FAMILY_OPERATORS, // C++ operators: an allocator's if the C library's names are defined beside
  HT_FAMILY_JEMALLOC,  // je_, _rjem_ and the like
  HT_FAMILY_MIMALLOC,
  HT_FAMILY_TCMALLOC,
  HT_FAMILY_RPMALLOC,
  HT_FAMILIES,
};

typedef struct ht_static_name {
  const char *text; // behind the family's prefix
  const char *companion;
  uint8_t families; // bits
  uint8_t shape;
  uint8_t kind; // ht_kind
} ht_static_name;

extern const ht_static_name ht_static_names[];
extern const unsigned ht_static_names_count;

// One that a symbol table has.
typedef struct ht_static_symbol {
  uintptr_t address; // in this process
  uint64_t size;
  uint16_t name; // index in ht_static_names
  uint8_t family;
  uint8_t prefix; // of the family; companions have the same
} ht_static_symbol;

// Looks a name up; sets name, family and prefix.
bool ht_static_lookup(const char *text, size_t length, ht_static_symbol *to);

// Whether the name with this hash, taken over its characters from the last to the first, may be one of
// them: so all names that a text ends in are found in one pass over it.
#define HT_STATIC_HASHES 16384u
extern uint32_t ht_static_known[HT_STATIC_HASHES / 32];
void ht_static_prepare(void); // fills it
HT_ALWAYS_INLINE uint32_t ht_static_hash(uint32_t hash, char c) {
  return hash * 0x01000193u + (uint8_t)c + (hash >> 13);
}
HT_ALWAYS_INLINE bool ht_static_maybe(uint32_t hash) {
  uint32_t bit = hash % HT_STATIC_HASHES;
  return ht_static_known[bit / 32] >> (bit % 32) & 1;
}

void ht_static_write_name(const ht_static_symbol *s, char *to, size_t room);
const char *ht_static_family_name(enum ht_static_family family);

// ------------------------------------------------------------------------------ statics_elf.c

typedef struct ht_static_image {
  uintptr_t bias, low, high;
  const ElfW(Phdr) * phdr;
  unsigned phnum;
  bool is_program;
  const char *path; // of its file
} ht_static_image;

#define HT_STATIC_SYMBOLS 320u

typedef struct ht_static_found {
  int fd;          // the image's file, or negative; the caller closes it
  bool has_table;  // there is a .symtab, or none is needed
  bool interposed; // the malloc family it defines is seen by the dynamic linker
  bool is_python;  // an interpreter, whose allocators have hooks of their own
  unsigned count;
  ht_static_symbol symbols[HT_STATIC_SYMBOLS];
} ht_static_found;

// Fills `found`. Costs some microseconds for an image that has no such symbols, a millisecond for each
// 5 MB of symbol names.
void ht_static_read(const ht_static_image *image, ht_static_found *found);

// Which allocator's messages the image's constants have, NULL: none's. Reads at most 64 MB.
const char *ht_static_messages(const ht_static_image *image, int fd);

// Whether the bytes of the image's file at this address are those in memory; *offset: where.
bool ht_static_same(const ht_static_image *image, int fd, uintptr_t address, uint64_t *offset);

// ---------------------------------------------------------------------------- statics_hooks.c

extern const void *const ht_static_hooks[HT_SHAPES];

// ----------------------------------------------------------------------------- statics_plan.c

typedef struct ht_static_plan {
  ht_static_found found;
  unsigned count;
  enum ht_allocator_provider provider;
  const char *allocator; // its name
  char function[64];     // the one that could not be hooked, "": all alike
  const char *why;       // could not
  ht_patch patches[HT_STATIC_SYMBOLS];
  const ht_static_symbol *symbols[HT_STATIC_SYMBOLS]; // of the patches
} ht_static_plan;

// Whether what was found are an allocator's functions, not somebody's of the same names.
bool ht_static_any(const ht_static_found *found);

// Hooks all functions of the allocators found, or none: then `why` is set.
bool ht_static_hook(const ht_static_image *image, ht_static_plan *plan);

// ---------------------------------------------------------------------------------- statics.c

// Looks at the images that are new: in the constructor, after dlopen and after dlclose.
void ht_static_look(ht_ctx *ctx);

// Whether `pc` lies in a function by which an allocator that is linked in maps memory.
bool ht_static_maps(uintptr_t pc);

void ht_static_after_fork(void);

#endif
