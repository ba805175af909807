// Code objects: ids, what the collector has to know of each, and their deaths.
//
// An id stands for what a person calls a function: code objects alike in file, name, first line and
// line table share one, so that a program that makes the same code again and again (exec, eval) costs
// no more than its first time. An address maps to an id only while the code object there lives: its
// type's tp_dealloc is ours.
#include "py.h"

#define NAME_ROOM 4096u       // bytes of UTF-8 kept of a name
#define TABLE_ROOM (1u << 20) // bytes kept of a line table
#define FIRST_SLOTS 1024u

typedef struct known_code { // open addressing; code 0: empty
  uintptr_t code;
  uint32_t id;
} known_code;

typedef struct known_text { // hash of a code object's description; 0: empty
  uint64_t hash;
  uint32_t id;
} known_text;

ht_py_code_slot ht_py_code_slots[HT_PY_CODE_SLOTS];

static ht_lock lock; // of everything below, and for writing the slots
static known_code *codes;
static uint32_t codes_mask, codes_used;
static known_text *texts;
static uint32_t texts_mask, texts_used;
static _Atomic uint32_t ids; // handed out; the last one is the highest
static char filename_utf8[NAME_ROOM], name_utf8[NAME_ROOM];
static void (*real_dealloc)(void *);

uint32_t ht_codes_count(void) { return atomic_load_explicit(&ids, memory_order_relaxed); }

// --------------------------------------------------------------------------------- the tables

static known_code *find_code(uintptr_t code) {
  if (codes == NULL) return NULL;
  for (uint32_t at = ht_py_code_hash(code);; at++) {
    known_code *slot = &codes[at & codes_mask];
    if (slot->code == code) return slot;
    if (slot->code == 0) return NULL;
  }
}

static void place_code(known_code *table, uint32_t mask, uintptr_t code, uint32_t id) {
  uint32_t at = ht_py_code_hash(code);
  while (table[at & mask].code != 0) at++;
  table[at & mask].id = id;
  table[at & mask].code = code;
}

static bool room_for_code(void) {
  if (codes != NULL && codes_used * 2 < codes_mask) return true;
  uint32_t old_slots = codes == NULL ? 0 : codes_mask + 1;
  uint32_t slots = codes == NULL ? FIRST_SLOTS : old_slots * 2;
  known_code *bigger = ht_os_map(slots * sizeof *bigger);
  if (bigger == NULL) return false;
  for (uint32_t i = 0; i < old_slots; i++) {
    if (codes[i].code != 0) place_code(bigger, slots - 1, codes[i].code, codes[i].id);
  }
  if (codes != NULL) ht_os_unmap(codes, old_slots * sizeof *codes);
  codes = bigger;
  codes_mask = slots - 1;
  return true;
}

static void set_slot(uintptr_t code, uint32_t id) {
  ht_py_code_slot *slot = &ht_py_code_slots[ht_py_code_hash(code) % HT_PY_CODE_SLOTS];
  atomic_store(&slot->code, 0);
  atomic_store(&slot->id, id);
  atomic_store(&slot->code, code);
}

static void clear_slot(uintptr_t code) {
  ht_py_code_slot *slot = &ht_py_code_slots[ht_py_code_hash(code) % HT_PY_CODE_SLOTS];
  if (atomic_load(&slot->code) == code) atomic_store(&slot->code, 0);
}

static bool remember_code(uintptr_t code, uint32_t id) {
  known_code *known = find_code(code);
  if (known != NULL) {
    known->id = id;
  } else {
    if (!room_for_code()) return false;
    place_code(codes, codes_mask, code, id);
    codes_used++;
  }
  set_slot(code, id);
  return true;
}

static void forget_code(uintptr_t code) {
  clear_slot(code);
  known_code *known = find_code(code);
  if (known == NULL || known->id != HT_PY_CODE_DROPPED) return;
  // Backward shift: what probed past this slot moves up.
  uint32_t hole = (uint32_t)(known - codes);
  for (uint32_t next = (hole + 1) & codes_mask; codes[next].code != 0;
       next = (next + 1) & codes_mask) {
    uint32_t home = ht_py_code_hash(codes[next].code) & codes_mask;
    if (((next - home) & codes_mask) >= ((next - hole) & codes_mask)) {
      codes[hole] = codes[next];
      hole = next;
    }
  }
  codes[hole].code = 0;
  codes_used--;
}

static bool room_for_text(void) {
  if (texts != NULL && texts_used * 2 < texts_mask) return true;
  uint32_t old_slots = texts == NULL ? 0 : texts_mask + 1;
  uint32_t slots = texts == NULL ? FIRST_SLOTS : old_slots * 2;
  known_text *bigger = ht_os_map(slots * sizeof *bigger);
  if (bigger == NULL) return false;
  for (uint32_t i = 0; i < old_slots; i++) {
    if (texts[i].hash == 0) continue;
    uint32_t at = (uint32_t)texts[i].hash;
    while (bigger[at & (slots - 1)].hash != 0) at++;
    bigger[at & (slots - 1)] = texts[i];
  }
  if (texts != NULL) ht_os_unmap(texts, old_slots * sizeof *texts);
  texts = bigger;
  texts_mask = slots - 1;
  return true;
}

// The slot of the description with this hash: used or free. NULL without memory.
static known_text *text_slot(uint64_t hash) {
  if (!room_for_text()) return NULL;
  uint32_t at = (uint32_t)hash;
  while (texts[at & texts_mask].hash != 0 && texts[at & texts_mask].hash != hash) at++;
  return &texts[at & texts_mask];
}

// ----------------------------------------------------------------------------------- reading

static uint32_t put_utf8(char *to, uint32_t code_point) {
  if (code_point >= 0xd800 && code_point < 0xe000) code_point = 0xfffd; // lone surrogate
  if (code_point < 0x80) {
    to[0] = (char)code_point;
    return 1;
  }
  if (code_point < 0x800) {
    to[0] = (char)(0xc0 | code_point >> 6);
    to[1] = (char)(0x80 | (code_point & 0x3f));
    return 2;
  }
  if (code_point < 0x10000) {
    to[0] = (char)(0xe0 | code_point >> 12);
    to[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
    to[2] = (char)(0x80 | (code_point & 0x3f));
    return 3;
  }
  to[0] = (char)(0xf0 | (code_point >> 18 & 7));
  to[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
  to[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
  to[3] = (char)(0x80 | (code_point & 0x3f));
  return 4;
}

// A str as UTF-8, cut to NAME_ROOM. State bits, the same in 3.9 to 3.14: interned 2, kind 3 (bytes a
// character), compact 1, ascii 1.
static uint32_t read_text(uintptr_t text, char *to) {
  const ht_py_layout *l = &ht_py.layout;
  if (text == 0) return 0;
  uint32_t state = (uint32_t)ht_py_int(text + l->text_state);
  unsigned kind = state >> 2 & 7;
  bool compact = state >> 5 & 1, ascii = state >> 6 & 1;
  uintptr_t data = !compact ? ht_py_word(text + l->text_legacy)
                            : text + (ascii ? l->text_ascii : l->text_compact);
  uint64_t length = ht_py_word(text + l->text_length);
  uint32_t used = 0;
  if (data == 0 || (kind != 1 && kind != 2 && kind != 4)) return 0;
  for (uint64_t i = 0; i < length && used + 4 <= NAME_ROOM; i++) {
    uint32_t character = kind == 1   ? ((const uint8_t *)data)[i]
                         : kind == 2 ? ((const uint16_t *)data)[i]
                                     : ((const uint32_t *)data)[i];
    used += put_utf8(to + used, character);
  }
  return used;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, uint32_t length) {
  const uint8_t *from = data;
  for (; length >= 8; from += 8, length -= 8) {
    uint64_t word;
    __builtin_memcpy(&word, from, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  }
  uint64_t rest = length;
  for (uint32_t i = 0; i < length; i++) rest = rest << 8 | from[i];
  hash = (hash ^ rest) * 0xbf58476d1ce4e5b9ull;
  return hash ^ hash >> 32;
}

// From 3.12 CPython runs a frame of its own around a specialised call of a class. Its code has one
// string for all its names and a line table that is empty or one entry without a line.
static bool has_no_lines(uintptr_t table, uint32_t length) {
  return length == 0 || (length == 1 && (ht_py_byte(table + ht_py.layout.bytes) >> 3 & 15) == 15);
}

// Sends the description of `code` unless one like it has been sent. 0 without memory.
static uint32_t describe(ht_ctx *ctx, uintptr_t code) {
  const ht_py_layout *l = &ht_py.layout;
  uintptr_t filename = ht_py_word(code + l->filename), name = ht_py_word(code + l->name);
  uintptr_t table = ht_py_word(code + l->line_table);
  uint64_t table_bytes = table == 0 ? 0 : ht_py_word(table + l->size);
  uint32_t length = table_bytes > TABLE_ROOM ? TABLE_ROOM : (uint32_t)table_bytes;
  if (filename == name && has_no_lines(table, length)) return HT_PY_CODE_DROPPED;
  uint32_t filename_length = read_text(filename, filename_utf8);
  uint32_t name_length = read_text(name, name_utf8);
  uint32_t first_line = (uint32_t)ht_py_int(code + l->first_line);
  uint64_t hash = hash_bytes(first_line + 1, filename_utf8, filename_length);
  hash = hash_bytes(hash, name_utf8, name_length);
  hash = hash_bytes(hash, (const void *)(table + l->bytes), length);
  if (hash == 0) hash = 1;
  known_text *known = text_slot(hash);
  if (known == NULL) return 0;
  if (known->hash == hash) return known->id;
  // Counted first: a child forked here takes no id twice, and finds the code not yet known.
  uint32_t id = atomic_fetch_add(&ids, 1) + 1;
  ht_meta m;
  ht_meta_begin(&m, ctx, HT_META_CODE);
  ht_meta_u32(&m, id);
  ht_meta_u32(&m, first_line);
  ht_meta_u32(&m, ht_py.version);
  ht_meta_bytes(&m, filename_utf8, filename_length);
  ht_meta_bytes(&m, name_utf8, name_length);
  ht_meta_bytes(&m, (const void *)(table + l->bytes), length);
  ht_meta_end(&m);
  if (HT_UNLIKELY(!ht_has_sent(m.ctx))) return 0;
  known->id = id;
  known->hash = hash;
  texts_used++;
  return id;
}

HT_NOINLINE uint32_t ht_py_code_announce(ht_ctx *ctx, uintptr_t code) {
  ht_lock_take(&lock);
  known_code *known = find_code(code);
  uint32_t id = known != NULL ? known->id : 0;
  if (known != NULL) {
    set_slot(code, id);
  } else if (!ht_is_current(ctx)) {
    id = HT_PY_CODE_DROPPED; // this time
  } else {
    id = describe(ctx, code);
    if (id == 0 || !remember_code(code, id)) id = HT_PY_CODE_DROPPED;
  }
  ht_lock_drop(&lock);
  return id;
}

// ------------------------------------------------------------------------------------ deaths

// In place of PyCode_Type.tp_dealloc. While the object is being taken apart, callbacks of weak
// references may run with a frame of its own still on the stack (3.11): it is marked, so that nothing
// of it is read.
static void on_dealloc(void *object) {
  uintptr_t code = (uintptr_t)object;
  ht_lock_take(&lock);
  bool known = find_code(code) != NULL;
  bool marked = remember_code(code, HT_PY_CODE_DROPPED);
  // Before the memory can serve another code object: caches may hold frames that looked like its.
  if (known) atomic_fetch_add(&ht.code_epoch, 1);
  ht_lock_drop(&lock);
  real_dealloc(object);
  if (!marked) return;
  ht_lock_take(&lock);
  forget_code(code);
  ht_lock_drop(&lock);
}

// All ids are forgotten, but for code that is going (or never shown).
void ht_py_code_reset(void) {
  ht_lock_take(&lock);
  for (unsigned i = 0; i < HT_PY_CODE_SLOTS; i++) atomic_store(&ht_py_code_slots[i].code, 0);
  known_code *old = codes;
  uint32_t slots = old == NULL ? 0 : codes_mask + 1;
  codes = NULL;
  codes_mask = codes_used = 0;
  for (uint32_t i = 0; i < slots; i++) {
    if (old[i].code != 0 && old[i].id == HT_PY_CODE_DROPPED) {
      remember_code(old[i].code, HT_PY_CODE_DROPPED);
    }
  }
  if (old != NULL) ht_os_unmap(old, slots * sizeof *old);
  if (texts != NULL) ht_os_unmap(texts, (texts_mask + 1) * sizeof *texts);
  texts = NULL;
  texts_mask = texts_used = 0;
  atomic_store(&ids, 0);
  atomic_fetch_add(&ht.code_epoch, 1);
  ht_lock_drop(&lock);
}

void ht_py_code_start(void) {
  void (**dealloc)(void *) = (void (**)(void *))(ht_py.symbols.code_type + ht_py.layout.dealloc);
  if (*dealloc == on_dealloc) return;
  real_dealloc = *dealloc;
  __atomic_store_n(dealloc, on_dealloc, __ATOMIC_RELEASE);
}

void ht_py_code_after_fork(void) { atomic_store(&lock.word, 0); }
