// Loaded images: which one an address lies in, what of it may be read, and the ids under which the
// recording knows them. Nothing here takes a lock of the loader, except where said.
#ifndef HEAPTIDE_MODULES_H
#define HEAPTIDE_MODULES_H

#include <link.h>

#include "agent.h"

// A loaded image as the loader describes it now.
typedef struct ht_image {
  uintptr_t start, end; // its whole mapping; holes between segments are not readable
  uintptr_t bias;
  uintptr_t eh_hdr;        // address of .eh_frame_hdr, 0: none
  const void *map;         // identity of the loader's record of it
  const char *name;        // "": the main program
  const ElfW(Phdr) * phdr; // NULL: not to be had, and then nothing of the image may be read
  unsigned phnum;
} ht_image;

// The image that contains `pc`. Lock-free; about 5 ns with glibc 2.35 or newer.
bool ht_image_find(uintptr_t pc, ht_image *image);

// The readable segment around `at`, as [*low, *high). False: not inside any.
bool ht_image_window(const ht_image *image, uintptr_t at, uintptr_t *low, uintptr_t *high);

// Whether the image is the dynamic loader.
bool ht_image_is_loader(const ht_image *image);

// Whether `pc` lies in an executable segment of the image.
bool ht_image_executes(const ht_image *image, uintptr_t pc);

// Id of the image's module, announced to the recording on first sight; 0 when the table is full.
uint32_t ht_module_id(ht_ctx *ctx, const ht_image *image);

// Number of different images that were at the module's addresses before it, shifted for a trie key.
uint64_t ht_module_salt_of(uint32_t id);
extern _Atomic bool ht_modules_salted; // any module has one

HT_ALWAYS_INLINE uint64_t ht_module_salt(uint32_t id) {
  if (HT_LIKELY(!atomic_load_explicit(&ht_modules_salted, memory_order_relaxed))) return 0;
  return ht_module_salt_of(id);
}

#endif
