// The own interfaces of jemalloc and mimalloc, where a program links them as shared libraries.
#include "hooks.h"
#include "record.h"

#define NEXT(type, name) \
  static type *next;     \
  if (HT_UNLIKELY(next == NULL)) *(void **)&next = ht_next_symbol(#name)

#define RECORDED(call, bytes)                                                                 \
  ht_ctx *ctx = ht_tls;                                                                       \
  bool charged = ht_charge(ctx, bytes);                                                       \
  void *p = call;                                                                             \
  if (p == NULL) {                                                                            \
    ctx->left += HT_CHARGE(bytes);                                                            \
  } else if (charged) {                                                                       \
    ht_record_alloc(ctx, p, bytes, HT_KIND_MALLOC, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP); \
  }                                                                                           \
  return p

typedef void *alloc_flags(size_t, int);
typedef void *realloc_flags(void *, size_t, int);
typedef void free_flags(void *, int);
typedef void free_sized_flags(void *, size_t, int);
typedef size_t resize_flags(void *, size_t, size_t, int);
typedef void *alloc_one(size_t);
typedef void *alloc_two(size_t, size_t);
typedef void *realloc_one(void *, size_t);
typedef void free_one(void *);

// A realloc by `call`, which sees `old` and `size`.
#define REALLOCATED(call)                                                                       \
  ht_ctx *ctx = ht_tls;                                                                         \
  if (ctx->frees == HT_FREES_NONE) return call;                                                 \
  ht_ctx *recording = old == NULL ? NULL : ht_record_realloc_begin(ctx, old, HT_KIND_MALLOC);   \
  void *p = call;                                                                               \
  if (recording != NULL) {                                                                      \
    ht_record_realloc_end(recording, old, p, size, HT_KIND_MALLOC, HT_CALLER_PC, HT_CALLER_SP,  \
                          HT_CALLER_BP);                                                        \
  } else if (p != NULL && ht_charge(ht_tls, size)) {                                            \
    ht_record_alloc(ht_tls, p, size, HT_KIND_MALLOC, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP); \
  }                                                                                             \
  return p

HT_EXPORT alloc_flags mallocx;
HT_EXPORT void *mallocx(size_t size, int flags) {
  NEXT(alloc_flags, mallocx);
  RECORDED(next(size, flags), size);
}

HT_EXPORT realloc_flags rallocx;
HT_EXPORT void *rallocx(void *old, size_t size, int flags) {
  NEXT(realloc_flags, rallocx);
  REALLOCATED(next(old, size, flags));
}

// Resizes in place; the block's size is then what is returned, at least the one asked for.
HT_EXPORT resize_flags xallocx;
HT_EXPORT size_t xallocx(void *old, size_t size, size_t extra, int flags) {
  NEXT(resize_flags, xallocx);
  ht_ctx *ctx = ht_tls;
  if (ctx->frees == HT_FREES_NONE) return next(old, size, extra, flags);
  ht_ctx *recording = ht_record_realloc_begin(ctx, old, HT_KIND_MALLOC);
  size_t usable = next(old, size, extra, flags);
  if (recording != NULL) {
    bool done = usable >= size;
    ht_record_realloc_end(recording, old, done ? old : NULL, done ? size : 1, HT_KIND_MALLOC,
                          HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
  }
  return usable;
}

HT_EXPORT free_flags dallocx;
HT_EXPORT void dallocx(void *p, int flags) {
  NEXT(free_flags, dallocx);
  ht_record_free(ht_tls, p, HT_KIND_MALLOC);
  next(p, flags);
}

HT_EXPORT free_sized_flags sdallocx;
HT_EXPORT void sdallocx(void *p, size_t size, int flags) {
  NEXT(free_sized_flags, sdallocx);
  ht_record_free(ht_tls, p, HT_KIND_MALLOC);
  next(p, size, flags);
}

HT_EXPORT alloc_one mi_malloc, mi_zalloc;
HT_EXPORT void *mi_malloc(size_t size) {
  NEXT(alloc_one, mi_malloc);
  RECORDED(next(size), size);
}

HT_EXPORT void *mi_zalloc(size_t size) {
  NEXT(alloc_one, mi_zalloc);
  RECORDED(next(size), size);
}

HT_EXPORT alloc_two mi_calloc, mi_malloc_aligned;
HT_EXPORT void *mi_calloc(size_t count, size_t size) {
  NEXT(alloc_two, mi_calloc);
  RECORDED(next(count, size), count * size);
}

HT_EXPORT void *mi_malloc_aligned(size_t size, size_t alignment) {
  NEXT(alloc_two, mi_malloc_aligned);
  RECORDED(next(size, alignment), size);
}

HT_EXPORT realloc_one mi_realloc;
HT_EXPORT void *mi_realloc(void *old, size_t size) {
  NEXT(realloc_one, mi_realloc);
  REALLOCATED(next(old, size));
}

HT_EXPORT free_one mi_free;
HT_EXPORT void mi_free(void *p) {
  NEXT(free_one, mi_free);
  if (p != NULL) ht_record_free(ht_tls, p, HT_KIND_MALLOC);
  next(p);
}
