// CPython from the outside: what the py_*.c files know of each other.
//
// The agent is built without Python's headers and serves every interpreter it has a layout for, so
// everything is read through offsets (py_offsets.c). No function here calls Python's API except the
// few pointers in ht_py, none of which allocates or needs the GIL.
#ifndef HEAPTIDE_PY_H
#define HEAPTIDE_PY_H

#include "agent.h"

// ------------------------------------------------------------------------------------- layout

// How to follow a frame chain. Byte offsets; the hot paths are compiled once for each of the constant
// shapes below.
typedef struct ht_py_shape {
  uint16_t top;       // in the thread state: the innermost frame, or the record that holds it
  int16_t record;     // 3.11, 3.12: where that record has the frame; -1: the thread state has it
  uint16_t previous;  // in a frame: the next outer frame
  uint16_t code;      // its code object
  uint16_t instr;     // address of the instruction, or (index_unit != 0) int32 index of it
  uint16_t owner;     // shims: the byte that tells a shim
  uint16_t entry;     // 3.11: the byte that is 1 in a frame entered from C; 0: no such byte
  uint8_t index_unit; // 3.9, 3.10: bytes of bytecode per index; 0: instr is an address
  bool shims;  // 3.12+: each evaluation loop entered from C puts a shim frame at its outer end
  uint8_t tag; // low bits of the code reference that are no address
} ht_py_shape;

#define HT_PY_SHAPE_3_9 \
  {.top = 24, .record = -1, .previous = 24, .code = 32, .instr = 104, .index_unit = 1}
#define HT_PY_SHAPE_3_10 \
  {.top = 24, .record = -1, .previous = 24, .code = 32, .instr = 96, .index_unit = 2}
#define HT_PY_SHAPE_3_11 \
  {.top = 56, .record = 8, .previous = 48, .code = 32, .instr = 56, .owner = 69, .entry = 68}
#define HT_PY_SHAPE_3_12 \
  {.top = 56, .record = 0, .previous = 8, .code = 0, .instr = 56, .owner = 70, .shims = true}
#define HT_PY_SHAPE_3_13 \
  {.top = 72, .record = -1, .previous = 8, .code = 0, .instr = 56, .owner = 70, .shims = true}

// Frames of this owner and above belong to the interpreter itself.
#define HT_PY_OWNER_SHIM 3
#define HT_PY_OWNER_THREAD 0 // on the thread's data stack

// Its chunks are mapped, so begin with a page, and have a header of three words (3.11 to 3.14).
#define HT_PY_CHUNK_MASK 4095u
#define HT_PY_CHUNK_HEADER 24u

typedef struct ht_py_layout {
  ht_py_shape shape;
  // _PyRuntime
  uint16_t attached;   // the thread state that holds the GIL; 0: in thread-local storage (3.12+)
  uint16_t finalizing; // non-zero once Py_FinalizeEx has begun
  // objects
  uint16_t type;    // PyObject.ob_type
  uint16_t dealloc; // PyTypeObject.tp_dealloc
  uint16_t size;    // PyVarObject.ob_size
  uint16_t bytes;   // PyBytesObject.ob_sval
  uint16_t text_length, text_state, text_ascii, text_compact, text_legacy;
  // code objects
  uint16_t bytecode; // the first instruction itself, or (index_unit != 0) the bytes object
  uint16_t first_line, filename, name, line_table;
} ht_py_layout;

// The families that hot paths are compiled for, and one that reads its shape at run time.
#define HT_PY_FAMILIES(F) F(3_9) F(3_10) F(3_11) F(3_12) F(3_13) F(other)
enum ht_py_family {
#define F(name) HT_PY_##name,
  HT_PY_FAMILIES(F)
#undef F
};

// ------------------------------------------------------------------------------------- state

enum ht_py_trust { HT_PY_UNTESTED = 0, HT_PY_TRUSTED = 1, HT_PY_DISTRUSTED = 2 };

// Where the interpreter's symbols are; 0: not exported.
typedef struct ht_py_symbols {
  uintptr_t runtime, version, get_version, code_type, unicode_type, bytes_type;
  uintptr_t this_thread, attached_thread; // functions without arguments: a thread state or NULL
  uintptr_t set_allocator, get_allocator, set_arena, get_arena;
  uintptr_t eval, eval_end;
  uintptr_t image, image_end; // the module's mapping
  intptr_t tls, tls_end; // its thread-local block relative to the thread pointer; 0, 0: unknown
} ht_py_symbols;

typedef struct ht_py_state {
  // Hot; constant once ht_python_present is set, but for `tls`.
  const uintptr_t *attached;          // up to 3.11
  intptr_t tls;                       // 3.12+: the attached thread state, from the thread pointer
  uintptr_t (*attached_thread)(void); // 3.12+
  const uintptr_t *finalizing;
  uintptr_t (*this_thread)(void); // of this thread, attached or not
  uint32_t (*stack)(ht_ctx *ctx, bool gil_held);
  _Atomic uint32_t trust;     // ht_py_trust
  _Atomic uint32_t seek;      // looks at thread-local storage that are left to be done
  _Atomic uint32_t unsettled; // the interpreter may have put its own allocators back
  uint32_t version;           // PY_VERSION_HEX
  enum ht_py_family family;
  ht_py_layout layout;
  ht_py_symbols symbols;
} ht_py_state;

extern ht_py_state ht_py;

HT_ALWAYS_INLINE uintptr_t ht_py_word(uintptr_t at) { return *(const volatile uintptr_t *)at; }
HT_ALWAYS_INLINE int32_t ht_py_int(uintptr_t at) { return *(const volatile int32_t *)at; }
HT_ALWAYS_INLINE uint8_t ht_py_byte(uintptr_t at) { return *(const volatile uint8_t *)at; }

HT_ALWAYS_INLINE uintptr_t ht_thread_pointer(void) {
#ifdef __x86_64__
  uintptr_t pointer;
  __asm__("mov %%fs:0, %0" : "=r"(pointer));
  return pointer;
#else
  return (uintptr_t)__builtin_thread_pointer();
#endif
}

// ------------------------------------------------------------------------------ py_offsets.c

// Fills ht_py.version, family and layout from ht_py.symbols. False: a version without a layout.
bool ht_py_learn(void);

// Reads the chain at `head` with suspicion: every address is tried before it is followed, every code
// object must be one. A system call a word, until a chain of four frames has passed. Sets ht_py.trust;
// false when the frames are not what they were taken for.
bool ht_py_test(ht_ctx *ctx, uintptr_t head);
void ht_py_test_after_fork(void);

#define HT_PY_SEEK 8u // changed stacks on which the place of the attached thread state is confirmed
void ht_py_seek_attached(void);

// -------------------------------------------------------------------------------- py_image.c

// Finds the loaded module that is the interpreter. About a microsecond a module.
bool ht_py_find(ht_py_symbols *symbols);
// Sends HT_META_EVAL_RANGE, once; needs a recording context.
void ht_py_send_ranges(ht_ctx *ctx);
void ht_py_ranges_reset(void);

// --------------------------------------------------------------------------------- py_code.c

#define HT_PY_CODE_SLOTS 4096u
#define HT_PY_CODE_DROPPED 0x3fffffffu // the interpreter's own code, or code being deallocated

// Direct-mapped front of the code table: read without a lock, written under it.
typedef struct ht_py_code_slot {
  _Atomic uintptr_t code;
  _Atomic uint32_t id;
} ht_py_code_slot;
extern ht_py_code_slot ht_py_code_slots[HT_PY_CODE_SLOTS];

HT_ALWAYS_INLINE uint32_t ht_py_code_hash(uintptr_t code) {
  return (uint32_t)(((uint64_t)code * 0x9e3779b97f4a7c15ull) >> 32);
}

// Id of a code object that a live frame refers to; announces it when it is new. About 2 ns when in
// its slot. Never 0; HT_PY_CODE_DROPPED when its frames are not to be shown.
uint32_t ht_py_code_announce(ht_ctx *ctx, uintptr_t code);
HT_ALWAYS_INLINE uint32_t ht_py_code_id(ht_ctx *ctx, uintptr_t code) {
  ht_py_code_slot *slot = &ht_py_code_slots[ht_py_code_hash(code) % HT_PY_CODE_SLOTS];
  if (HT_LIKELY(atomic_load_explicit(&slot->code, memory_order_acquire) == code)) {
    uint32_t id = atomic_load_explicit(&slot->id, memory_order_acquire);
    // The slot may have changed hands in between; our code's own id cannot: its frame is alive.
    if (HT_LIKELY(atomic_load_explicit(&slot->code, memory_order_relaxed) == code)) return id;
  }
  return ht_py_code_announce(ctx, code);
}

void ht_py_code_start(void); // watches code objects die
void ht_py_code_reset(void);
void ht_py_code_after_fork(void);

// --------------------------------------------------------------------------------- py_walk.c

void ht_py_walk_start(void); // sets ht_py.stack for the family

// -------------------------------------------------------------------------------- py_alloc.c

void ht_py_alloc_start(void);
void ht_py_alloc_stop(void);
// Puts the hooks back that the interpreter replaced while it configured itself (PYTHONMALLOC, -X dev) or
// ended (3.12+, in programs that start it again). Called from the first Python frame seen after that.
void ht_py_alloc_settle(void);

#endif
