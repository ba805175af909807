// An allocator to be preloaded: its blocks begin 16 bytes into libc's, so that whoever frees one by
// libc's own function fails. Like tcmalloc it has the mapping functions too, which make their system calls by
// number.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BEFORE 16

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static void *begin(char *block, size_t before) {
  if (block == NULL) return NULL;
  ((size_t *)(block + before))[-1] = before;
  return block + before;
}

static size_t before(void *p) { return ((size_t *)p)[-1]; }

void *malloc(size_t size) { return begin(__libc_malloc(size + BEFORE), BEFORE); }

void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
  return begin(__libc_calloc(1, bytes + BEFORE), BEFORE);
}

void free(void *p) {
  if (p != NULL) __libc_free((char *)p - before(p));
}

size_t malloc_usable_size(void *p) {
  if (p == NULL) return 0;
  // libc's header is right before its block: the size, and flags in its lowest bits.
  size_t chunk = ((size_t *)((char *)p - before(p)))[-1] & ~(size_t)7;
  return chunk - 8 - before(p) - 8;
}

void *realloc(void *p, size_t size) {
  if (p == NULL) return malloc(size);
  if (before(p) == BEFORE) return begin(__libc_realloc((char *)p - BEFORE, size + BEFORE), BEFORE);
  void *to = malloc(size);
  size_t old = malloc_usable_size(p);
  if (to == NULL) return NULL;
  memcpy(to, p, old < size ? old : size);
  free(p);
  return to;
}

void *memalign(size_t alignment, size_t size) {
  if (alignment < BEFORE) alignment = BEFORE;
  return begin(__libc_memalign(alignment, size + alignment), alignment);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **to, size_t alignment, size_t size) {
  void *p = memalign(alignment, size);
  if (p != NULL) *to = p;
  return p == NULL ? ENOMEM : 0;
}

void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset) {
  return (void *)syscall(SYS_mmap, at, size, access, flags, fd, offset);
}

int munmap(void *at, size_t size) { return (int)syscall(SYS_munmap, at, size); }

void *mremap(void *old, size_t old_size, size_t size, int flags, ...) {
  va_list more;
  va_start(more, flags);
  void *at = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
  va_end(more);
  return (void *)syscall(SYS_mremap, old, old_size, size, flags, at);
}
