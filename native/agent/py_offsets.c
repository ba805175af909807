// Layouts of CPython's structures, and the choice of one.
//
// x86-64 and aarch64 agree in all of these: they differ only between minor versions, never within one.
// From 3.13 the interpreter publishes most of its own (_Py_DebugOffsets, at the start of _PyRuntime);
// from 3.14 that is the only source, and only for final releases, as pre-releases moved fields.
#include <sys/syscall.h>

#include "py.h"

#define OBJECTS .type = 8, .dealloc = 48, .size = 16, .bytes = 32
#define TEXT_WIDE \
  .text_length = 16, .text_state = 32, .text_ascii = 48, .text_compact = 72, .text_legacy = 72
#define TEXT \
  .text_length = 16, .text_state = 32, .text_ascii = 40, .text_compact = 56, .text_legacy = 56

static const ht_py_layout layout_3_9 = {.shape = HT_PY_SHAPE_3_9,
                                        .attached = 568,
                                        .finalizing = 16,
                                        OBJECTS,
                                        TEXT_WIDE,
                                        .bytecode = 48,
                                        .first_line = 40,
                                        .filename = 104,
                                        .name = 112,
                                        .line_table = 120};
static const ht_py_layout layout_3_10 = {.shape = HT_PY_SHAPE_3_10,
                                         .attached = 568,
                                         .finalizing = 16,
                                         OBJECTS,
                                         TEXT_WIDE,
                                         .bytecode = 48,
                                         .first_line = 40,
                                         .filename = 104,
                                         .name = 112,
                                         .line_table = 120};
// From here on `name` is the qualified one.
static const ht_py_layout layout_3_11 = {.shape = HT_PY_SHAPE_3_11,
                                         .attached = 576,
                                         .finalizing = 24,
                                         OBJECTS,
                                         TEXT_WIDE,
                                         .bytecode = 184,
                                         .first_line = 72,
                                         .filename = 112,
                                         .name = 128,
                                         .line_table = 136};
static const ht_py_layout layout_3_12 = {.shape = HT_PY_SHAPE_3_12,
                                         .finalizing = 24,
                                         OBJECTS,
                                         TEXT,
                                         .bytecode = 192,
                                         .first_line = 68,
                                         .filename = 112,
                                         .name = 128,
                                         .line_table = 136};
static const ht_py_layout layout_3_13 = {.shape = HT_PY_SHAPE_3_13,
                                         OBJECTS,
                                         TEXT,
                                         .bytecode = 200,
                                         .first_line = 68,
                                         .filename = 112,
                                         .name = 128,
                                         .line_table = 136};

ht_py_state ht_py;
bool ht_python_present;

// ------------------------------------------------------------------------------ debug offsets

// Indices of 64-bit words in _Py_DebugOffsets. 3.14 put more into the groups.
typedef struct published {
  unsigned current_frame, previous, executable, instr, owner;
  unsigned filename, qualified_name, line_table, first_line, bytecode;
  unsigned object_size, text_state; // text_state, text_length, size of the ASCII header in a row
} published;

#define WORD_COOKIE 0x7970677562656478ull // "xdebugpy"
#define WORD_VERSION 1
#define WORD_FREE_THREADED 2
#define WORD_FINALIZING 4

static const published published_3_13 = {.current_frame = 23,
                                         .previous = 29,
                                         .executable = 30,
                                         .instr = 31,
                                         .owner = 33,
                                         .filename = 35,
                                         .qualified_name = 37,
                                         .line_table = 38,
                                         .first_line = 39,
                                         .bytecode = 43,
                                         .object_size = 44,
                                         .text_state = 68};
static const published published_3_14 = {.current_frame = 26,
                                         .previous = 32,
                                         .executable = 33,
                                         .instr = 34,
                                         .owner = 36,
                                         .filename = 40,
                                         .qualified_name = 42,
                                         .line_table = 43,
                                         .first_line = 44,
                                         .bytecode = 48,
                                         .object_size = 50,
                                         .text_state = 78};

static uint64_t word_of(unsigned index) { return ht_py_word(ht_py.symbols.runtime + index * 8u); }

// Reads the published layout over `l`. False when it is not what this file takes it for.
static bool read_published(ht_py_layout *l, const published *at) {
  if (word_of(0) != WORD_COOKIE || word_of(WORD_VERSION) != ht_py.version) return false;
  if (word_of(WORD_FREE_THREADED) != 0) return false; // other objects, other bytecode, no GIL
  // Sizes of a plain object and of a code object's neighbours tell whether the groups lie as expected.
  if (word_of(at->object_size) != 16 || word_of(at->object_size + 1) != 8) return false;
  uint64_t biggest = 0;
  const unsigned all[] = {at->current_frame, at->previous, at->executable,     at->instr,
                          at->owner,         at->filename, at->qualified_name, at->line_table,
                          at->first_line,    at->bytecode, at->text_state,     at->text_state + 1,
                          at->text_state + 2};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    if (word_of(all[i]) > biggest) biggest = word_of(all[i]);
  }
  if (biggest >= 1024 || word_of(WORD_FINALIZING) > UINT16_MAX) return false;
  l->finalizing = (uint16_t)word_of(WORD_FINALIZING);
  l->shape.top = (uint16_t)word_of(at->current_frame);
  l->shape.previous = (uint16_t)word_of(at->previous);
  l->shape.code = (uint16_t)word_of(at->executable);
  l->shape.instr = (uint16_t)word_of(at->instr);
  l->shape.owner = (uint16_t)word_of(at->owner);
  l->filename = (uint16_t)word_of(at->filename);
  l->name = (uint16_t)word_of(at->qualified_name);
  l->line_table = (uint16_t)word_of(at->line_table);
  l->first_line = (uint16_t)word_of(at->first_line);
  l->bytecode = (uint16_t)word_of(at->bytecode);
  l->text_state = (uint16_t)word_of(at->text_state);
  l->text_length = (uint16_t)word_of(at->text_state + 1);
  l->text_ascii = (uint16_t)word_of(at->text_state + 2);
  l->text_compact = l->text_legacy = (uint16_t)(l->text_ascii + 16);
  return true;
}

// ------------------------------------------------------------------------------------ version

static uint32_t number(const char **text) {
  uint32_t value = 0;
  while (**text >= '0' && **text <= '9') value = value * 10 + (uint32_t)(*(*text)++ - '0');
  return value;
}

// "3.9.18 (main, ...", "3.15.0rc1+ ..." as PY_VERSION_HEX; 0: not such a text.
static uint32_t parse_version(const char *text) {
  uint32_t major = number(&text);
  if (*text++ != '.') return 0;
  uint32_t minor = number(&text);
  if (*text++ != '.') return 0;
  uint32_t micro = number(&text), level = 0xf;
  if (*text == 'a') level = 0xa, text++;
  if (*text == 'b') level = 0xb, text++;
  if (*text == 'r') level = 0xc, text += text[1] == 'c' ? 2 : 1;
  return major << 24 | minor << 16 | micro << 8 | level << 4 | (level == 0xf ? 0 : number(&text));
}

static bool choose(uint32_t version) {
  ht_py_layout *l = &ht_py.layout;
  bool final = (version >> 4 & 0xf) == 0xf;
  switch (version >> 16) {
    case 0x309:
      *l = layout_3_9, ht_py.family = HT_PY_3_9;
      return true;
    case 0x30a:
      *l = layout_3_10, ht_py.family = HT_PY_3_10;
      return true;
    case 0x30b:
      *l = layout_3_11, ht_py.family = HT_PY_3_11;
      return final;
    case 0x30c:
      *l = layout_3_12, ht_py.family = HT_PY_3_12;
      return final;
    case 0x30d: {
      *l = layout_3_13;
      ht_py.family = HT_PY_3_13;
      if (!final || !read_published(l, &published_3_13)) return false;
      const ht_py_shape *is = &l->shape, *built = &layout_3_13.shape;
      return is->top == built->top && is->previous == built->previous && is->code == built->code &&
             is->instr == built->instr && is->owner == built->owner;
    }
    case 0x30e:
      *l = layout_3_13;
      ht_py.family = HT_PY_other;
      l->shape.tag = 7; // references to code objects carry flags
      return final && read_published(l, &published_3_14);
    default:
      return false;
  }
}

bool ht_py_learn(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  if (s->version != 0) {
    ht_py.version = (uint32_t)ht_py_word(s->version); // an unsigned long
  } else if (s->get_version != 0) {
    ht_py.version = parse_version(((const char *(*)(void))s->get_version)());
  }
  if (!choose(ht_py.version)) return false;
  if (s->runtime == 0 || s->code_type == 0 || s->this_thread == 0) return false;
  if (ht_py.layout.attached != 0) {
    ht_py.attached = (const uintptr_t *)(s->runtime + ht_py.layout.attached);
  } else if (s->attached_thread == 0) {
    return false;
  }
  ht_py.finalizing = (const uintptr_t *)(s->runtime + ht_py.layout.finalizing);
  if (ht_py.attached == NULL && s->tls != s->tls_end) atomic_store(&ht_py.seek, HT_PY_SEEK);
  ht_py.attached_thread = (uintptr_t (*)(void))s->attached_thread;
  ht_py.this_thread = (uintptr_t (*)(void))s->this_thread;
  return true;
}

// ---------------------------------------------------------------------------------- self-test

#define EFAULT_NEGATIVE (-14)
#define TESTED_FRAMES 64u
#define ENOUGH_FRAMES 4

// Whether the 8 bytes at `at` can be read. The kernel copies them before it finds that there is no
// such way to change a signal mask.
static bool readable(uintptr_t at) {
  return at >= 4096 && at % 4 == 0 &&
         ht_syscall(SYS_rt_sigprocmask, -1, (long)at, 0, 8, 0, 0) != EFAULT_NEGATIVE;
}

static bool has_type(uintptr_t object, uintptr_t type) {
  return object % 8 == 0 && readable(object + ht_py.layout.type) &&
         (type == 0 || ht_py_word(object + ht_py.layout.type) == type);
}

static bool is_text(uintptr_t text) {
  if (!has_type(text, ht_py.symbols.unicode_type)) return false;
  uint32_t state = (uint32_t)ht_py_int(text + ht_py.layout.text_state);
  unsigned kind = state >> 2 & 7;
  return kind == 1 || kind == 2 || kind == 4;
}

static bool code_fits(uintptr_t frame, uintptr_t code) {
  const ht_py_layout *l = &ht_py.layout;
  if (!has_type(code, ht_py.symbols.code_type)) return false;
  if (ht_py_int(code + l->first_line) < 0 || ht_py_int(code + l->first_line) > 1 << 28)
    return false;
  if (!is_text(ht_py_word(code + l->filename)) || !is_text(ht_py_word(code + l->name)))
    return false;
  if (!has_type(ht_py_word(code + l->line_table), ht_py.symbols.bytes_type)) return false;
  if (l->shape.index_unit != 0) {
    uintptr_t bytecode = ht_py_word(code + l->bytecode);
    if (!has_type(bytecode, ht_py.symbols.bytes_type)) return false;
    int64_t index = ht_py_int(frame + l->shape.instr);
    return index >= -1 && index * l->shape.index_unit < (int64_t)ht_py_word(bytecode + l->size);
  }
  // Up to two bytes before the first instruction: the frame has not begun.
  uintptr_t begin = code + l->bytecode, units = ht_py_word(code + l->size);
  return ht_py_word(frame + l->shape.instr) + 2 - begin <= units * 2 + 2;
}

// How many frames with code there are, all as they should be; -1: one was not.
static int fitting_frames(uintptr_t frame) {
  const ht_py_shape *s = &ht_py.layout.shape;
  int fitting = 0;
  for (unsigned i = 0; i < TESTED_FRAMES && frame != 0; i++) {
    if (frame % 8 != 0 || !readable(frame + s->previous) || !readable(frame + s->code) ||
        !readable((frame + s->instr) & ~(uintptr_t)7)) {
      return -1;
    }
    bool shim = s->shims && ht_py_byte(frame + s->owner) >= HT_PY_OWNER_SHIM;
    if (!shim && !code_fits(frame, ht_py_word(frame + s->code) & ~(uintptr_t)s->tag)) return -1;
    fitting += !shim;
    frame = ht_py_word(frame + s->previous);
  }
  return fitting;
}

// Where in the interpreter's thread-local block the attached thread state is, so that reading it takes
// one load instead of two calls (2.5 ns). Only where exactly one word there is that pointer, and as
// long as every thread looked at agrees.
HT_COLD void ht_py_seek_attached(void) {
  const ht_py_symbols *s = &ht_py.symbols;
  uintptr_t tstate = ht_py.attached_thread();
  if (tstate == 0) return;
  uint32_t left = atomic_fetch_sub(&ht_py.seek, 1);
  if (left == 0 || left > HT_PY_SEEK)
    return (void)atomic_store(&ht_py.seek, 0); // a race at the end
  intptr_t found = 0;
  for (intptr_t at = s->tls; at + 8 <= s->tls_end; at += 8) {
    if (ht_py_word(ht_thread_pointer() + (uintptr_t)at) != tstate) continue;
    if (found != 0 || at == 0) {
      found = 0;
      break;
    }
    found = at;
  }
  if (left < HT_PY_SEEK && found != ht_py.tls) found = 0;
  if (found == 0) atomic_store(&ht_py.seek, 0);
  ht_py.tls = found;
}

static ht_lock test_lock;

void ht_py_test_after_fork(void) { atomic_store(&test_lock.word, 0); }

HT_COLD bool ht_py_test(ht_ctx *ctx, uintptr_t head) {
  ht_lock_take(&test_lock);
  uint32_t trust = atomic_load_explicit(&ht_py.trust, memory_order_acquire);
  if (trust == HT_PY_UNTESTED) {
    // Few frames prove little of how they are linked: the next stack is tested again.
    int fitting = fitting_frames(head);
    if (fitting >= ENOUGH_FRAMES) trust = HT_PY_TRUSTED;
    if (fitting < 0) {
      trust = HT_PY_DISTRUSTED;
      ht_python_present = false;
      if (ht.process != NULL) ht.process->python_status = HT_PYTHON_SELFTEST;
      ht_note(ctx,
              "This Python's frames are not laid out as its version says: stacks show native "
              "frames only. Record with an unmodified CPython to see Python frames.");
    }
    atomic_store_explicit(&ht_py.trust, trust, memory_order_release);
  }
  ht_lock_drop(&test_lock);
  return trust != HT_PY_DISTRUSTED;
}
