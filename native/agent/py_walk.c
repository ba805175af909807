// Walking Python frames: the cold half, entered when the stack is not the one seen last.
//
// The chain is read from the innermost frame until it meets a cached frame from which everything
// outwards is unchanged; only the frames before that are looked up, about 8 ns each.
#include "py_walk.h"

#define FIRST_CAPACITY 128u
#define MAX_FRAMES (1u << 22) // a chain longer than this is no stack

// ----------------------------------------------------------------------------- thread states

HT_COLD uintptr_t ht_py_last_thread(void) {
  atomic_store_explicit(&ht_py.unsettled, 1, memory_order_relaxed);
  uintptr_t tstate = ht_py.this_thread();
  return tstate == *(const volatile uintptr_t *)ht_py.finalizing ? tstate : 0;
}

uintptr_t ht_py_any_thread(void) {
  if (HT_UNLIKELY(*(const volatile uintptr_t *)ht_py.finalizing != 0)) return ht_py_last_thread();
  if (ht_py.tls != 0) {
    uintptr_t tstate = ht_py_attached(&ht_py_shape_3_12);
    return tstate != 0 ? tstate : ht_py.this_thread();
  }
  // First the one that never touches thread-local storage, which might have to be allocated.
  uintptr_t tstate = ht_py.this_thread();
  if (tstate == 0 || ht_py.attached != NULL) return tstate;
  uintptr_t attached = ht_py.attached_thread(); // another interpreter's, where there are several
  return attached != 0 ? attached : tstate;
}

// ------------------------------------------------------------------------------------- cache

static uint32_t places_mask(const ht_py_cache *c) { return c->capacity * 2 - 1; }

static uint32_t place_of(const ht_py_cache *c, uintptr_t frame) {
  return (uint32_t)(((uint64_t)frame * 0x9e3779b97f4a7c15ull) >> 32) & places_mask(c);
}

static size_t cache_bytes(uint32_t capacity) {
  return (size_t)capacity * (2 * sizeof(ht_py_frame) + sizeof(ht_py_node) + 2 * sizeof(uint32_t));
}

// Doubles the arrays, `fresh` of the pending ones kept. 48 bytes a frame.
static bool grow(ht_py_cache *c, uint32_t fresh) {
  uint32_t old_capacity = c->capacity;
  uint32_t capacity = old_capacity == 0 ? FIRST_CAPACITY : old_capacity * 2;
  if (capacity > MAX_FRAMES) return false;
  ht_py_frame *frames = ht_os_map(cache_bytes(capacity));
  if (frames == NULL) return false;
  ht_py_frame *pending = frames + capacity;
  ht_py_node *nodes = (ht_py_node *)(pending + capacity);
  for (uint32_t i = 1; i <= c->depth; i++) frames[i] = c->frames[i], nodes[i] = c->nodes[i];
  for (uint32_t i = 0; i < fresh; i++) pending[i] = c->fresh[i];
  ht_py_frame *old = c->frames;
  frames[0].frame = HT_PY_NO_FRAME;
  nodes[0].node = HT_NODE_ROOT_PYTHON;
  c->frames = frames;
  c->fresh = pending;
  c->nodes = nodes;
  c->places = (uint32_t *)(nodes + capacity);
  c->capacity = capacity;
  c->head = 0;
  if (c->memo == NULL) c->memo = ht_os_map(HT_PY_MEMO_SLOTS * sizeof *c->memo);
  for (uint32_t i = 1; i <= c->depth; i++) c->places[place_of(c, frames[i].frame)] = i;
  if (old != NULL) ht_os_unmap(old, cache_bytes(old_capacity));
  return true;
}

// Everything known may be of code that is gone.
static HT_NOINLINE void flush(ht_py_cache *c, uint32_t epoch) {
  ht_py_chunks_flush(c, c->epoch == UINT32_MAX); // so: the context is new to this thread
  c->depth = c->wall = 0;
  c->epoch = epoch;
  for (uint32_t i = 0; c->memo != NULL && i < HT_PY_MEMO_SLOTS; i++) c->memo[i].word = 0;
}

// Index of a cached frame at `frame`, at most `limit`; 0: none known. Places are only hints: later
// frames overwrite those of earlier ones, and what is missed is looked up afresh.
HT_ALWAYS_INLINE uint32_t cached(const ht_py_cache *c, uintptr_t frame, uint32_t limit) {
  if (limit != 0 && c->frames[limit].frame == frame) return limit;
  uint32_t at = c->places[place_of(c, frame)];
  return at != 0 && at <= limit && c->frames[at].frame == frame ? at : 0;
}

// Index of the innermost cached frame from `at` outwards that has changed; 0: none.
HT_ALWAYS_INLINE uint32_t first_change(const ht_py_cache *c, uint32_t at, const ht_py_shape *s) {
  return (uint32_t)(ht_py_verify(c, &c->frames[at], s) - c->frames);
}

// ----------------------------------------------------------------------------------- frames

// Offset of the executing instruction in bytes of bytecode. Before the first one, and in frames that
// have not begun: 0.
HT_ALWAYS_INLINE uint32_t offset_of(uintptr_t frame, uintptr_t code, const ht_py_shape *s) {
  if (s->index_unit != 0) {
    int32_t index = ht_py_int(frame + s->instr);
    return index < 0 ? 0 : (uint32_t)index * s->index_unit;
  }
  intptr_t offset = (intptr_t)(ht_py_word(frame + s->instr) - code - ht_py.layout.bytecode);
  return offset < 0 ? 0 : (uint32_t)offset;
}

// Node of `frame` under `parent`, 0 without memory. A Python key has bit 63 set, which no address has.
HT_ALWAYS_INLINE uint32_t intern(ht_ctx *ctx, uint32_t parent, uint32_t id, uint32_t offset,
                                 bool entry) {
  uint64_t key = 1ull << 63 | (uint64_t)entry << 62 | (uint64_t)id << 32 | offset;
  uint32_t node = ht_trie_find(parent, key);
  if (HT_LIKELY(node != 0)) return node;
  return ht_trie_add(ctx, parent, key, HT_NODE_PYTHON | (entry ? HT_NODE_ENTRY : 0),
                     id | (uint64_t)offset << 32, 0);
}

static bool first_look(ht_ctx *ctx, uintptr_t head) {
  if (atomic_load_explicit(&ht_py.trust, memory_order_acquire) == HT_PY_DISTRUSTED) return false;
  if (!ht_py_test(ctx, head)) return false;
  ht_py_send_ranges(ctx);
  ht_py_alloc_settle();
  return true;
}

// Collects into c->fresh, innermost first, the frames from `head` that the cache does not have.
// Returns how many, and through `base` the index of the cached frame they stand on; UINT32_MAX
// without memory.
HT_ALWAYS_INLINE uint32_t collect(ht_py_cache *c, uintptr_t head, uint32_t *base,
                                  const ht_py_shape *s) {
  uint32_t fresh = 0, limit = c->depth;
  *base = 0;
  for (uintptr_t frame = head; frame != 0;) {
    uint32_t at = cached(c, frame, limit);
    if (at != 0) {
      uint32_t change = first_change(c, at, s);
      if (change == 0) {
        *base = at;
        return fresh;
      }
      // Those inside of the change are as they were, but stand on something else now.
      for (; at > change; at--) {
        if (c->frames[at].frame == HT_PY_NO_FRAME) continue;
        if (fresh + 1 >= c->capacity && !grow(c, fresh)) return UINT32_MAX;
        c->fresh[fresh++] = c->frames[at];
      }
      frame = c->frames[change].frame;
      limit = change - 1;
    }
    if (fresh + 1 >= c->capacity && !grow(c, fresh)) return UINT32_MAX;
    c->fresh[fresh++] = (ht_py_frame){frame, ht_py_frame_word(frame, s)};
    frame = ht_py_word(frame + s->previous);
  }
  return fresh;
}

HT_ALWAYS_INLINE uint32_t changed(ht_ctx *ctx, uintptr_t head, const ht_py_shape *s) {
  if (HT_UNLIKELY(atomic_load_explicit(&ht_py.trust, memory_order_relaxed) != HT_PY_TRUSTED) &&
      !first_look(ctx, head)) {
    return HT_NODE_NONE;
  }
  if (s->shims && HT_UNLIKELY(atomic_load_explicit(&ht_py.seek, memory_order_relaxed) != 0)) {
    ht_py_seek_attached();
  }
  if (HT_UNLIKELY(atomic_load_explicit(&ht_py.unsettled, memory_order_relaxed) != 0) &&
      *(const volatile uintptr_t *)ht_py.finalizing == 0 &&
      atomic_exchange(&ht_py.unsettled, 0) != 0) {
    ht_py_alloc_settle();
  }
  ht_py_cache *c = &ctx->py;
  uint32_t epoch = atomic_load_explicit(&ht.code_epoch, memory_order_acquire);
  if (HT_UNLIKELY(c->epoch != epoch)) flush(c, epoch);
  c->head = 0;
  if (HT_UNLIKELY(c->memo == NULL) && (!grow(c, 0) || c->memo == NULL)) return HT_NODE_NONE;
  uint32_t at, fresh = collect(c, head, &at, s);
  if (fresh == UINT32_MAX) return HT_NODE_NONE;
  c->depth = at;
  while (c->wall > at) c->wall = c->nodes[c->wall].flags >> HT_PY_WALL_SHIFT;
  while (at + fresh >= c->capacity) {
    if (!grow(c, fresh)) return HT_NODE_NONE;
  }
  uint32_t node = c->nodes[at].node;
  bool outermost = at == 0 || (c->nodes[at].flags & HT_PY_IS_SHIM) != 0;
  while (fresh-- > 0) {
    uintptr_t frame = c->fresh[fresh].frame, word = c->fresh[fresh].word;
    uint32_t flags = 0;
    bool entry = s->shims ? outermost : s->entry == 0 || ht_py_byte(frame + s->entry) != 0;
    uintptr_t memo_word = s->shims ? word | entry : word;
    ht_py_memo *memo = ht_py_memo_of(c, node, memo_word);
    if (entry) flags = HT_PY_IS_ENTRY;
    if (memo->word == memo_word && memo->parent == node) {
      node = memo->node;
      outermost = false;
    } else if (s->shims && ht_py_byte(frame + s->owner) >= HT_PY_OWNER_SHIM) {
      flags = HT_PY_IS_SHIM;
      outermost = true;
    } else {
      uintptr_t code = ht_py_word(frame + s->code) & ~(uintptr_t)s->tag;
      uint32_t id = ht_py_code_id(ctx, code), parent = node;
      if (HT_LIKELY(id != HT_PY_CODE_DROPPED)) {
        node = intern(ctx, parent, id, offset_of(frame, code, s), entry);
        outermost = false;
        if (node == HT_NODE_NONE) return HT_NODE_NONE;
        *memo = (ht_py_memo){memo_word, parent, node};
      } else if (outermost) {
        flags |= HT_PY_IS_SHIM;
      }
    }
    if (s->owner != 0 && HT_UNLIKELY((frame & HT_PY_CHUNK_MASK) == HT_PY_CHUNK_HEADER) &&
        ht_py_byte(frame + s->owner) == HT_PY_OWNER_THREAD && at + fresh + 2 < c->capacity) {
      at = ht_py_chunk_wall(c, frame, at);
    }
    at++;
    c->frames[at] = (ht_py_frame){frame, word};
    c->nodes[at] = (ht_py_node){node, flags};
    c->places[place_of(c, frame)] = at;
    c->depth = at;
  }
  c->head = head;
  return c->node = node == HT_NODE_ROOT_PYTHON ? HT_NODE_NONE : node;
}

// ---------------------------------------------------------------------------------- families

#define F(name)                                                                                  \
  HT_NOINLINE uint32_t ht_py_changed_##name(ht_ctx *ctx, uintptr_t head) {                       \
    return changed(ctx, head, &ht_py_shape_##name);                                              \
  }                                                                                              \
  static uint32_t stack_##name(ht_ctx *ctx, bool gil_held) {                                     \
    return gil_held ? ht_py_stack_inline(ctx, true, &ht_py_shape_##name, ht_py_changed_##name)   \
                    : ht_py_stack_inline(ctx, false, &ht_py_shape_##name, ht_py_changed_##name); \
  }
HT_PY_FAMILIES(F)
#undef F

void ht_py_walk_start(void) {
  static uint32_t (*const stacks[])(ht_ctx *, bool) = {
#define F(name) [HT_PY_##name] = stack_##name,
      HT_PY_FAMILIES(F)
#undef F
  };
  ht_py.stack = stacks[ht_py.family];
}
