// dlopen, dlclose, dlsym.
//
// The loader looks at who calls it: dlopen for the caller's RUNPATH, dlsym for RTLD_NEXT. Where that
// matters the hooks jump to the real function, so that it still sees the program.
#define _GNU_SOURCE
#include <dlfcn.h>

#include "hooks.h"
#include "record.h"
#include "statics.h"

static _Atomic uint32_t look_again; // a dlopen whose end we did not see

static void after_dlopen(void) {
  atomic_store(&look_again, 0);
  if (ht.late && !atomic_load(&ht.off)) ht_got_patch();
  ht_ctx *ctx = ht_tls;
  if (!ht_recording(ctx)) ctx = ht_ready(ctx);
  ht_static_look(ctx);
  if (!ht_recording(ctx) || ctx->busy) return;
  ht_native_modules_changed(ctx);
  if (!ht_python_present) ht_python_look(ctx);
}

static bool depends_on_caller(const char *name) {
  if (name == NULL) return false;
  bool slash = false;
  for (; *name != 0; name++) {
    if (*name == '$') return true; // $ORIGIN is the caller's
    slash |= *name == '/';
  }
  return !slash;
}

HT_EXPORT void *dlopen(const char *name, int flags) {
  if (flags & RTLD_DEEPBIND) ht_got_binds_deep();
  if (depends_on_caller(name)) {
    atomic_store(&look_again, 1);
    return ht_real.dlopen(name, flags); // in tail position: the caller stays the caller
  }
  void *handle = ht_real.dlopen(name, flags);
  if (handle != NULL && name != NULL) after_dlopen();
  return handle;
}

HT_EXPORT int dlclose(void *handle) {
  int result = ht_real.dlclose(handle);
  ht_ctx *ctx = ht_tls;
  ht_static_look(ctx);
  if (ht_recording(ctx) && !ctx->busy) ht_native_modules_changed(ctx);
  return result;
}

HT_EXPORT void *dlsym(void *restrict handle, const char *restrict name) {
  if (HT_UNLIKELY(ht_real_dlsym == NULL)) ht_hooks_resolve();
  // Only what we hook is of interest, and RTLD_NEXT asks for what comes behind somebody.
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT || !ht_hooked_name(name)) {
    if (HT_UNLIKELY(atomic_load_explicit(&look_again, memory_order_relaxed)) &&
        handle != RTLD_NEXT) {
      after_dlopen();
    }
    return ht_real_dlsym(handle, name);
  }
  return ht_hooked_symbol(name, ht_real_dlsym(handle, name));
}
