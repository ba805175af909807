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
static bool restored[HT_PY_DOMAINS]; // what was there before our hook is there again

#define SMALL_REQUEST 512u                 // pymalloc's own limit
#define SMALLEST_ARENA ((size_t)256 << 10) // its; the interpreter's data stack has smaller ones

// -------------------------------------------------------------------------------- arenas

static void *arena_alloc(void *ctx_of_real, size_t size) {
  ht_ctx *ctx = ht_tls;
  if (!ht_recording(ctx)) ctx = ht_ready(ctx);
  if (!ht_recording(ctx)) return real_arena.alloc(ctx_of_real, size);
  // The interpreter that configures itself takes off the other hooks, not this one. It is the first to
  // see that: no Python frame is there yet.
  if (atomic_load_explicit(&ht_py.trust, memory_order_relaxed) == HT_PY_UNTESTED) {
    ht_py_alloc_settle();
  }
  ctx->arena++;
  void *p = real_arena.alloc(ctx_of_real, size);
  ctx->arena--;
  ht_py_chunk_new(ctx, p, size);
  if (size >= SMALLEST_ARENA) ctx->arena_sp = (uintptr_t)__builtin_frame_address(0);
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
  bool all_and_python_only =
      ht.sample_interval <= 1 && !(ht.config & (HT_CONFIG_NATIVE_ALL | HT_CONFIG_USABLE_SIZE));
  return index == HT_PY_RAW || !all_and_python_only ? ht_py_general_hooks[index]
                                                    : ht_py_fast_hooks(index);
}

static bool is_ours(unsigned index, const ht_py_allocator *a) {
  return a->malloc == ht_py_general_hooks[index].malloc ||
         (index != HT_PY_RAW && a->malloc == ht_py_fast_hooks(index).malloc);
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
    ht_py_allocator top;
    get(i, &top);
    // One that somebody has wrapped stays: they would call it for ever.
    restored[i] = is_ours(i, &top);
    if (restored[i]) set(i, &ht_py_domains[i].real);
  }
}

static bool in_image(uintptr_t at) {
  return at - ht_py.symbols.image < ht_py.symbols.image_end - ht_py.symbols.image;
}

// Whether an allocator is CPython's own, and whatever it wraps, so that none of our hooks is below it: ours
// would call it, and it ours. A wrapper (the debug hooks, tracemalloc) keeps what it wraps behind its ctx,
// in the image's data; the debug hooks a letter before it.
static bool is_pure(const ht_py_allocator *top) {
  ht_py_allocator a = *top;
  for (unsigned wrappers = 0; wrappers < 4; wrappers++) {
    if (!in_image((uintptr_t)a.malloc) || !in_image((uintptr_t)a.free)) return false;
    uintptr_t state = (uintptr_t)a.ctx;
    if (state == 0) return true;
    if (!in_image(state) || !in_image(state + 64)) return false;
    uintptr_t letter = ht_py_word(state);
    if (letter != 0 && letter < 256) state += sizeof letter;
    a = *(const ht_py_allocator *)state;
  }
  return false;
}

void ht_py_alloc_settle(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (!(ht.config & HT_CONFIG_PYTHON_OBJECTS) || s->get_allocator == 0 || s->set_allocator == 0) {
    return;
  }
  for (unsigned i = 0; i < HT_PY_DOMAINS; i++) {
    ht_py_allocator top, hook = ours(i);
    get(i, &top);
    const ht_py_allocator *real = &ht_py_domains[i].real;
    bool as_before = restored[i] && top.malloc == real->malloc && top.ctx == real->ctx;
    if (is_ours(i, &top) || !(as_before || is_pure(&top))) continue;
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
