// C++ operator new and delete, and the own interfaces of allocator libraries.
//
// libstdc++'s and libc++'s operators call malloc and free, which are hooked: ours then jump on. An
// allocator library defines them over its own heap, past any hook of malloc: those are recorded here.
//
// libstdc++ may be loaded privately (RTLD_LOCAL, under a Python extension module): the extension's
// calls still come here first, but "the next symbol" does not find it. Hence the search by name, and,
// for a C++ runtime linked statically into a plug-in, operators of our own.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include "hooks.h"
#include "record.h"

static int direct = -1; // operator new belongs to an allocator library

static bool is_direct(const void *real) {
  if (HT_UNLIKELY(direct < 0)) direct = ht_hooks_in_provider((uintptr_t)real);
  return direct;
}

static void *find_operator(const char *name) {
  static const char *const runtimes[] = {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"};
  void *found = ht_next_symbol(name);
  for (unsigned i = 0; found == NULL && i < sizeof runtimes / sizeof *runtimes; i++) {
    void *runtime = ht_real.dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
    if (runtime != NULL) found = ht_real_dlsym(runtime, name);
  }
  return found;
}

static void *own_new(size_t size, size_t align, bool throws) {
  void *p = align > 16 ? memalign(align, size) : malloc(size == 0 ? 1 : size);
  if (p == NULL && throws) {
    void (*throw_bad_alloc)(void) = (void (*)(void))find_operator("_ZSt17__throw_bad_allocv");
    if (throw_bad_alloc != NULL) throw_bad_alloc();
    abort();
  }
  return p;
}

#define NEXT(name)               \
  static void *next;             \
  static bool looked;            \
  if (HT_UNLIKELY(!looked)) {    \
    next = find_operator(#name); \
    looked = next != NULL;       \
  }

// Every form of new has the size first. A throwing form is called as its nothrow sibling, so that no
// exception passes through a hook; when that fails the program gets the real one to throw.
#define NEW(name, nothrow_name, align_, parameters, arguments, nothrow_arguments, nothrow_types) \
  HT_EXPORT void *name parameters;                                                               \
  HT_EXPORT void *name parameters {                                                              \
    NEXT(name)                                                                                   \
    if (HT_UNLIKELY(next == NULL))                                                               \
      return own_new(size, align_, sizeof #name != sizeof #nothrow_name);                        \
    if (!is_direct(next)) return ((void *(*)parameters)next)arguments;                           \
    static void *quiet;                                                                          \
    if (HT_UNLIKELY(quiet == NULL)) quiet = find_operator(#nothrow_name);                        \
    ht_ctx *ctx = ht_tls;                                                                        \
    if (!ht_charge(ctx, size) || quiet == NULL) return ((void *(*)parameters)next)arguments;     \
    void *p = ((void *(*)nothrow_types)quiet)nothrow_arguments;                                  \
    if (p == NULL) {                                                                             \
      ctx->left += HT_CHARGE(size);                                                              \
      return ((void *(*)parameters)next)arguments;                                               \
    }                                                                                            \
    ht_record_alloc(ctx, p, size, HT_KIND_NEW, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);        \
    return p;                                                                                    \
  }

static const char nothrow_tag;

NEW(_Znwm, _ZnwmRKSt9nothrow_t, 0, (size_t size), (size), (size, &nothrow_tag),
    (size_t, const void *))
NEW(_Znam, _ZnamRKSt9nothrow_t, 0, (size_t size), (size), (size, &nothrow_tag),
    (size_t, const void *))
NEW(_ZnwmRKSt9nothrow_t, _ZnwmRKSt9nothrow_t, 0, (size_t size, const void *tag), (size, tag),
    (size, tag), (size_t, const void *))
NEW(_ZnamRKSt9nothrow_t, _ZnamRKSt9nothrow_t, 0, (size_t size, const void *tag), (size, tag),
    (size, tag), (size_t, const void *))
NEW(_ZnwmSt11align_val_t, _ZnwmSt11align_val_tRKSt9nothrow_t, align, (size_t size, size_t align),
    (size, align), (size, align, &nothrow_tag), (size_t, size_t, const void *))
NEW(_ZnamSt11align_val_t, _ZnamSt11align_val_tRKSt9nothrow_t, align, (size_t size, size_t align),
    (size, align), (size, align, &nothrow_tag), (size_t, size_t, const void *))
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, _ZnwmSt11align_val_tRKSt9nothrow_t, align,
    (size_t size, size_t align, const void *tag), (size, align, tag), (size, align, tag),
    (size_t, size_t, const void *))
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, _ZnamSt11align_val_tRKSt9nothrow_t, align,
    (size_t size, size_t align, const void *tag), (size, align, tag), (size, align, tag),
    (size_t, size_t, const void *))

#define DELETE(name, parameters, arguments)                                   \
  HT_EXPORT void name parameters;                                             \
  HT_EXPORT void name parameters {                                            \
    NEXT(name)                                                                \
    if (HT_UNLIKELY(next == NULL)) {                                          \
      free(p);                                                                \
      return;                                                                 \
    }                                                                         \
    if (is_direct(next) && p != NULL) ht_record_free(ht_tls, p, HT_KIND_NEW); \
    ((void(*) parameters)next) arguments;                                     \
  }

DELETE(_ZdlPv, (void *p), (p))
DELETE(_ZdaPv, (void *p), (p))
DELETE(_ZdlPvm, (void *p, size_t size), (p, size))
DELETE(_ZdaPvm, (void *p, size_t size), (p, size))
DELETE(_ZdlPvRKSt9nothrow_t, (void *p, const void *tag), (p, tag))
DELETE(_ZdaPvRKSt9nothrow_t, (void *p, const void *tag), (p, tag))
DELETE(_ZdlPvSt11align_val_t, (void *p, size_t align), (p, align))
DELETE(_ZdaPvSt11align_val_t, (void *p, size_t align), (p, align))
DELETE(_ZdlPvmSt11align_val_t, (void *p, size_t size, size_t align), (p, size, align))
DELETE(_ZdaPvmSt11align_val_t, (void *p, size_t size, size_t align), (p, size, align))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *tag),
       (p, align, tag))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *tag),
       (p, align, tag))
