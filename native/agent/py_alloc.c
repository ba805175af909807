// Putting the hooks on CPython's three allocator domains (PyMem_Raw, PyMem, PyObject) and on the arenas
// below: before main, and again when the interpreter takes them off.
#include "py_alloc.h"
#include "py_walk.h"

typedef struct arena_allocator { // PyObjectArenaAllocator
  void *ctx;
  void *(*alloc)(void *ctx, size_t size);
  void (*free)(void *ctx, void *p, size_t size);
} arena_allocator;

ht_py_domain ht_py_domains[HT_PY_DOMAINS] = {
    [HT_PY_RAW] = {.kind = HT_KIND_PY_RAW, .native = true, .measurable = true},
    [HT_PY_MEM] = {.kind = HT_KIND_PY_MEM, .gil_held = true, .measurable = true},
    [HT_PY_OBJECT] = {.kind = HT_KIND_PY_OBJECT, .gil_held = true, .measurable = true},
};
static arena_allocator real_arena;

#define SMALL_REQUEST 512u // pymalloc's own limit

// -------------------------------------------------------------------------------- arenas

static void *arena_alloc(void *ctx_of_real, size_t size) {
  ht_ctx *ctx = ht_tls;
  if (!ht_recording(ctx)) ctx = ht_ready(ctx);
  if (!ht_recording(ctx)) return real_arena.alloc(ctx_of_real, size);
  ctx->arena++;
  void *p = real_arena.alloc(ctx_of_real, size);
  ctx->arena--;
  ht_py_chunk_new(ctx, p, size);
  return p;
}

static void arena_free(void *ctx_of_real, void *p, size_t size) {
  ht_ctx *ctx = ht_tls;
  ht_py_chunk_gone(ctx, p, size);
  if (!ht_recording(ctx)) {
    real_arena.free(ctx_of_real, p, size);
    return;
  }
  ctx->arena++;
  real_arena.free(ctx_of_real, p, size);
  ctx->arena--;
}

// ------------------------------------------------------------------------------------- installing

static ht_py_allocator ours(unsigned index) {
  bool all_and_python_only = ht.sample_interval <= 1 &&
                             !(ht.config & (HT_CONFIG_NATIVE_ALL | HT_CONFIG_USABLE_SIZE));
  return index == HT_PY_RAW || !all_and_python_only ? ht_py_general_hooks[index]
                                                    : ht_py_fast_hooks(index);
}

static void get(unsigned index, ht_py_allocator *to) {
  ((void (*)(int, ht_py_allocator *))ht_py.symbols.get_allocator)((int)index, to);
}

static void set(unsigned index, ht_py_allocator *to) {
  ((void (*)(int, ht_py_allocator *))ht_py.symbols.set_allocator)((int)index, to);
}

static void wrap_arenas(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (s->get_arena == 0 || s->set_arena == 0) return;
  arena_allocator top;
  ((void (*)(arena_allocator *))s->get_arena)(&top);
  uintptr_t function = (uintptr_t)top.alloc;
  if (function < s->image || function >= s->image_end) return; // ours, or the program's
  real_arena = top;
  arena_allocator hook = {top.ctx, arena_alloc, arena_free};
  ((void (*)(arena_allocator *))s->set_arena)(&hook);
  ht_py_chunks_hooked();
}

void ht_py_alloc_start(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (s->get_allocator == 0 || s->set_allocator == 0) return;
  for (unsigned i = 0; i < HT_PY_DOMAINS; i++) {
    get(i, &ht_py_domains[i].real);
    ht_py_domains[i].small = i == HT_PY_RAW ? 0 : SMALL_REQUEST;
  }
  for (unsigned i = 0; i < HT_PY_DOMAINS; i++) {
    ht_py_allocator hook = ours(i);
    // A thread may read half of the old and half of the new.
    hook.ctx = ht_py_domains[i].real.ctx;
    set(i, &hook);
  }
  wrap_arenas();
}

void ht_py_alloc_stop(void) {
  for (unsigned i = 0; i < HT_PY_DOMAINS; i++) {
    ht_py_allocator top, hook = ours(i);
    get(i, &top);
    // One that somebody has wrapped stays: they would call it for ever.
    if (top.malloc == hook.malloc) set(i, &ht_py_domains[i].real);
  }
}

// Whether `top` is one of CPython's own allocators with none of our hooks below it. A wrapper of its
// own (the debug hooks, tracemalloc) keeps what it wraps behind its ctx, in the image's data.
static bool replaced(const ht_py_allocator *top, const ht_py_allocator *hook) {
  const ht_py_symbols *s = &ht_py.symbols;
  uintptr_t function = (uintptr_t)top->malloc, state = (uintptr_t)top->ctx;
  if (function < s->image || function >= s->image_end) return false;
  if (state < s->image || state + 64 > s->image_end) return state == 0;
  for (unsigned i = 0; i < 8; i++) {
    if (ht_py_word(state + i * 8) == (uintptr_t)hook->malloc) return false;
  }
  return true;
}

void ht_py_alloc_settle(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (!(ht.config & HT_CONFIG_PYTHON_OBJECTS) || s->get_allocator == 0 || s->set_allocator == 0) {
    return;
  }
  for (unsigned i = 0; i < HT_PY_DOMAINS; i++) {
    ht_py_allocator top, hook = ours(i);
    get(i, &top);
    if (top.malloc == hook.malloc || !replaced(&top, &hook)) continue;
    if (top.malloc != ht_py_domains[i].real.malloc) {
      ht_py_domains[i].small = 0;
      ht_py_domains[i].measurable = false;
    }
    ht_py_domains[i].real = top;
    hook.ctx = top.ctx;
    set(i, &hook);
  }
  wrap_arenas();
}
