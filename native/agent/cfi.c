// .eh_frame to rule tables, and the cache of rows made from them.
//
// Everything read here comes from a file that may be damaged: each access is checked against the
// segment it lies in.
#define _GNU_SOURCE
#include "cfi.h"

#include <string.h>

// ---------------------------------------------------------------------------------------- cursor

typedef struct cursor {
  const uint8_t *p, *end;
  bool bad; // read beyond the end, or found nonsense; sticks
} cursor;

static uint64_t take(cursor *c, unsigned bytes) {
  uint64_t value = 0;
  if ((size_t)(c->end - c->p) < bytes) {
    c->bad = true;
    c->p = c->end;
    return 0;
  }
  memcpy(&value, c->p, bytes);
  c->p += bytes;
  return value;
}

static int64_t take_signed(cursor *c, unsigned bytes) {
  uint64_t value = take(c, bytes);
  unsigned shift = 64 - 8 * bytes;
  return (int64_t)(value << shift) >> shift;
}

uint64_t ht_read_uleb(const uint8_t **p, const uint8_t *end) {
  uint64_t value = 0;
  for (unsigned shift = 0; *p < end; shift += 7) {
    uint8_t byte = *(*p)++;
    if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  return 0;
}

int64_t ht_read_sleb(const uint8_t **p, const uint8_t *end) {
  uint64_t value = 0;
  for (unsigned shift = 0; *p < end;) {
    uint8_t byte = *(*p)++;
    if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
    shift += 7;
    if (byte & 0x80) continue;
    if (shift < 64 && (byte & 0x40)) value |= ~0ull << shift;
    return (int64_t)value;
  }
  return 0;
}

static uint64_t uleb(cursor *c) {
  if (c->p == c->end) c->bad = true;
  return ht_read_uleb(&c->p, c->end);
}
static int64_t sleb(cursor *c) {
  if (c->p == c->end) c->bad = true;
  return ht_read_sleb(&c->p, c->end);
}

// DW_EH_PE_*: the low 4 bits say how a pointer is written, the next 3 what it is relative to.
static uintptr_t encoded(cursor *c, uint8_t encoding, uintptr_t data_base) {
  uintptr_t at = (uintptr_t)c->p, value;
  if (encoding == 0xff) return 0;
  if ((encoding & 0x70) == 0x50) { // aligned, absolute
    uintptr_t skip = -at & 7;
    take(c, (unsigned)skip);
    return take(c, 8);
  }
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
      value = take(c, 8);
      break;
    case 0x01:
      value = uleb(c);
      break;
    case 0x02:
      value = take(c, 2);
      break;
    case 0x03:
      value = take(c, 4);
      break;
    case 0x09:
      value = (uintptr_t)sleb(c);
      break;
    case 0x0a:
      value = (uintptr_t)take_signed(c, 2);
      break;
    case 0x0b:
      value = (uintptr_t)take_signed(c, 4);
      break;
    default:
      c->bad = true;
      return 0;
  }
  switch (encoding & 0x70) {
    case 0x00:
      return value;
    case 0x10:
      return value + at;
    case 0x30:
      return value + data_base;
    default:
      c->bad = true;
      return 0; // relative to the text or function: nobody writes these
  }
}

// ----------------------------------------------------------------------------------- CIE and FDE

typedef struct entry {
  uintptr_t begin, range; // code it covers
  uint64_t code_align;
  int64_t data_align;
  unsigned return_register;
  uint8_t encoding; // of the FDE's pointers
  bool augmented;   // an FDE has augmentation data
  bool signal;
  cursor initial, program; // instructions
} entry;

// Opens the record at `at`; c covers its body. Returns false at the end of the section.
static bool open_record(cursor *c, uintptr_t at, uintptr_t low, uintptr_t high) {
  if (at < low || at >= high) return false;
  *c = (cursor){(const uint8_t *)at, (const uint8_t *)high, false};
  uint64_t length = take(c, 4);
  if (length == 0xffffffff) length = take(c, 8);
  if (c->bad || length == 0 || length > (uint64_t)(c->end - c->p)) return false;
  c->end = c->p + length;
  return true;
}

static bool parse_cie(entry *e, uintptr_t at, uintptr_t low, uintptr_t high) {
  cursor c;
  if (!open_record(&c, at, low, high) || take(&c, 4) != 0) return false;
  uint64_t version = take(&c, 1);
  if (version != 1 && version != 3) return false;
  const char *augmentation = (const char *)c.p;
  while (take(&c, 1) != 0) {
  }
  if (c.bad) return false;
  e->code_align = uleb(&c);
  e->data_align = sleb(&c);
  e->return_register = (unsigned)(version == 1 ? take(&c, 1) : uleb(&c));
  e->encoding = 0;
  e->augmented = e->signal = false;
  if (*augmentation == 'z') {
    e->augmented = true;
    uint64_t length = uleb(&c);
    if (c.bad || length > (uint64_t)(c.end - c.p)) return false;
    cursor data = {c.p, c.p + length, false};
    c.p += length;
    for (const char *a = augmentation + 1; *a; a++) {
      if (*a == 'R') {
        e->encoding = (uint8_t)take(&data, 1);
      } else if (*a == 'P') {
        uint8_t encoding = (uint8_t)take(&data, 1);
        encoded(&data, encoding, 0);
      } else if (*a == 'L') {
        take(&data, 1);
      } else if (*a == 'S') {
        e->signal = true;
      } else if (*a != 'B') {
        break; // what follows is unknown, but its length is not
      }
    }
    if (data.bad) return false;
  } else if (*augmentation != '\0') {
    return false;
  }
  e->initial = c;
  return !c.bad && e->return_register == HT_REG_PC;
}

// Parses the FDE at `at`. False: no FDE, or nonsense.
static bool parse_fde(entry *e, uintptr_t at, uintptr_t low, uintptr_t high, uintptr_t data_base) {
  cursor c;
  if (!open_record(&c, at, low, high)) return false;
  uintptr_t here = (uintptr_t)c.p;
  uint64_t back = take(&c, 4);
  if (back == 0 || back > here - low) return false;
  if (!parse_cie(e, here - back, low, high)) return false;
  e->begin = encoded(&c, e->encoding, data_base);
  e->range = encoded(&c, e->encoding & 0x0f, 0);
  if (e->augmented) {
    uint64_t length = uleb(&c);
    if (c.bad || length > (uint64_t)(c.end - c.p)) return false;
    c.p += length;
  }
  e->program = c;
  return !c.bad;
}

// Without a search table: every record of the section in turn.
static bool scan_section(entry *e, uintptr_t pc, uintptr_t section, uintptr_t low, uintptr_t high,
                         uintptr_t data_base) {
  cursor c;
  for (uintptr_t at = section; open_record(&c, at, low, high); at = (uintptr_t)c.end) {
    if (parse_fde(e, at, low, high, data_base) && pc - e->begin < e->range) return true;
  }
  return false;
}

static bool find_fde(const ht_image *image, uintptr_t pc, entry *e, uintptr_t *low,
                     uintptr_t *high) {
  uintptr_t hdr = image->eh_hdr;
  if (!hdr || !ht_image_window(image, hdr, low, high)) return false;
  cursor c = {(const uint8_t *)hdr, (const uint8_t *)*high, false};
  if (take(&c, 1) != 1) return false;
  uint8_t section_encoding = (uint8_t)take(&c, 1);
  uint8_t count_encoding = (uint8_t)take(&c, 1);
  uint8_t table_encoding = (uint8_t)take(&c, 1);
  uintptr_t section = encoded(&c, section_encoding, hdr);
  uintptr_t count = encoded(&c, count_encoding, hdr);
  if (c.bad) return false;
  if (table_encoding != 0x3b || count_encoding == 0xff || count == 0) {
    return ht_image_window(image, section, low, high) &&
           scan_section(e, pc, section, *low, *high, hdr);
  }
  // Pairs of 32-bit offsets from the header, sorted: start of the function, its FDE.
  if (count > (size_t)(c.end - c.p) / 8) return false;
  const uint8_t *table = c.p;
  size_t first = 0, last = count;
  while (last - first > 1) {
    size_t middle = first + (last - first) / 2;
    int32_t start;
    memcpy(&start, table + middle * 8, 4);
    if (hdr + (uintptr_t)(intptr_t)start <= pc) {
      first = middle;
    } else {
      last = middle;
    }
  }
  int32_t fde;
  memcpy(&fde, table + first * 8 + 4, 4);
  uintptr_t at = hdr + (uintptr_t)(intptr_t)fde;
  return ht_image_window(image, at, low, high) && parse_fde(e, at, *low, *high, hdr) &&
         pc - e->begin < e->range;
}

// ----------------------------------------------------------------------------------- CFA program

enum { REMEMBERED = 4 }; // compilers nest one deep

typedef struct machine {
  const entry *e;
  uintptr_t base; // expressions are kept as offsets from here
  ht_rules rules, initial;
  ht_rules remembered[REMEMBERED];
  unsigned depth;
} machine;

static void set(cursor *c, machine *m, uint64_t reg, enum ht_rule how, int64_t value) {
  if (value != (int32_t)value) c->bad = true;
  if (reg >= HT_REGS) return; // vector registers and the like: of no use here
  m->rules.how[reg] = (uint8_t)how;
  m->rules.value[reg] = (int32_t)value;
}

static void set_cfa(cursor *c, machine *m, uint64_t reg, int64_t value) {
  if (reg >= HT_REGS || value != (int32_t)value) c->bad = true;
  m->rules.cfa_how = HT_RULE_REGISTER;
  m->rules.cfa_register = (uint8_t)reg;
  m->rules.cfa_value = (int32_t)value;
}

// Steps over an expression, returns where it is.
static int64_t expression(cursor *c, const machine *m) {
  int64_t at = (int64_t)((uintptr_t)c->p - m->base);
  uint64_t length = uleb(c);
  if (length > (uint64_t)(c->end - c->p)) {
    c->bad = true;
    return 0;
  }
  c->p += length;
  return at;
}

static void restore(machine *m, uint64_t reg) {
  if (reg >= HT_REGS) return;
  m->rules.how[reg] = m->initial.how[reg];
  m->rules.value[reg] = m->initial.value[reg];
}

// Runs instructions up to the address pc. Factored offsets are multiplied as unsigned: no overflow
// of theirs is undefined, and what does not fit is refused by set().
static bool run(machine *m, cursor c, uintptr_t pc) {
  uintptr_t at = m->e->begin;
  uint64_t code = m->e->code_align, data = (uint64_t)m->e->data_align, reg;
  while (c.p < c.end && !c.bad) {
    uint8_t op = (uint8_t)take(&c, 1);
    uint8_t low = op & 0x3f;
    if (op >> 6 == 1) { // advance_loc
      at += low * code;
      if (at > pc) return true;
      continue;
    }
    if (op >> 6 == 2) { // offset
      set(&c, m, low, HT_RULE_OFFSET, (int64_t)(uleb(&c) * data));
      continue;
    }
    if (op >> 6 == 3) { // restore
      restore(m, low);
      continue;
    }
    switch (op) {
      case 0x00:
        break;   // nop
      case 0x01: // set_loc
        at = encoded(&c, m->e->encoding, 0);
        if (at > pc) return true;
        break;
      case 0x02:
      case 0x03:
      case 0x04: // advance_loc1, 2, 4
        at += take(&c, 1u << (op - 2)) * code;
        if (at > pc) return !c.bad;
        break;
      case 0x05: // offset_extended
        reg = uleb(&c);
        set(&c, m, reg, HT_RULE_OFFSET, (int64_t)(uleb(&c) * data));
        break;
      case 0x06:
        restore(m, uleb(&c));
        break; // restore_extended
      case 0x07:
        set(&c, m, uleb(&c), HT_RULE_UNDEFINED, 0);
        break;
      case 0x08:
        set(&c, m, uleb(&c), HT_RULE_SAME, 0);
        break;
      case 0x09: // register
        reg = uleb(&c);
        set(&c, m, reg, HT_RULE_REGISTER, (int64_t)uleb(&c));
        break;
      case 0x0a: // remember_state
        if (m->depth == REMEMBERED) return false;
        m->remembered[m->depth++] = m->rules;
        break;
      case 0x0b: // restore_state
        if (m->depth == 0) return false;
        m->rules = m->remembered[--m->depth];
        break;
      case 0x0c: // def_cfa
        reg = uleb(&c);
        set_cfa(&c, m, reg, (int64_t)uleb(&c));
        break;
      case 0x0d:
        set_cfa(&c, m, uleb(&c), m->rules.cfa_value);
        break; // def_cfa_register
      case 0x0e:
        set_cfa(&c, m, m->rules.cfa_register, (int64_t)uleb(&c));
        break;   // def_cfa_offset
      case 0x0f: // def_cfa_expression
        m->rules.cfa_how = HT_RULE_VAL_EXPRESSION;
        m->rules.cfa_value = (int32_t)expression(&c, m);
        break;
      case 0x10:
      case 0x16: // expression, val_expression
        reg = uleb(&c);
        set(&c, m, reg, op == 0x10 ? HT_RULE_EXPRESSION : HT_RULE_VAL_EXPRESSION,
            expression(&c, m));
        break;
      case 0x11: // offset_extended_sf
        reg = uleb(&c);
        set(&c, m, reg, HT_RULE_OFFSET, (int64_t)((uint64_t)sleb(&c) * data));
        break;
      case 0x12: // def_cfa_sf
        reg = uleb(&c);
        set_cfa(&c, m, reg, (int64_t)((uint64_t)sleb(&c) * data));
        break;
      case 0x13: // def_cfa_offset_sf
        set_cfa(&c, m, m->rules.cfa_register, (int64_t)((uint64_t)sleb(&c) * data));
        break;
      case 0x14: // val_offset
        reg = uleb(&c);
        set(&c, m, reg, HT_RULE_VAL_OFFSET, (int64_t)(uleb(&c) * data));
        break;
      case 0x15: // val_offset_sf
        reg = uleb(&c);
        set(&c, m, reg, HT_RULE_VAL_OFFSET, (int64_t)((uint64_t)sleb(&c) * data));
        break;
      case 0x2e:
        uleb(&c);
        break;   // GNU_args_size: matters to exceptions only
      case 0x2f: // GNU_negative_offset_extended
        reg = uleb(&c);
        set(&c, m, reg, HT_RULE_OFFSET, -(int64_t)(uleb(&c) * data));
        break;
      default:
        return false;
    }
  }
  return !c.bad;
}

bool ht_cfi_find(const ht_image *image, uintptr_t pc, ht_cfi *cfi) {
  entry e;
  machine m;
  if (!find_fde(image, pc, &e, &cfi->base, &cfi->end)) return false;
  if (cfi->end - cfi->base > INT32_MAX) return false;
  m.e = &e;
  m.base = cfi->base;
  m.depth = 0;
  memset(&m.rules, 0, sizeof m.rules);
  memset(&m.initial, 0, sizeof m.initial);
  if (!run(&m, e.initial, UINTPTR_MAX)) return false;
  m.initial = m.rules;
  if (!run(&m, e.program, pc)) return false;
  cfi->rules = m.rules;
  cfi->signal = e.signal;
  return m.rules.cfa_how != 0;
}

// ------------------------------------------------------------------------------------------ rows

ht_row_entry ht_rows[HT_ROW_BUCKETS][2] __attribute__((aligned(64)));

static uint64_t pack(enum ht_row_kind kind, uint64_t flags, int64_t cfa, int64_t bp) {
  if (cfa % 8 || cfa / 8 != (int64_t)((uint64_t)(cfa / 8) << 44) >> 44) return HT_ROW_SLOW;
  if (bp % 8 || bp / 8 != (int16_t)(bp / 8)) return HT_ROW_SLOW;
  return (uint64_t)kind | flags | ((uint64_t)(cfa / 8) & 0xfffff) << 8 |
         ((uint64_t)(bp / 8) & 0xffff) << 28;
}

// Whether the expression is "bp + *offset", `deref` with a load after it; the two that gcc writes
// for a function which realigns its stack.
static bool bp_relative(const ht_cfi *cfi, int32_t at, bool deref, int64_t *offset) {
  const uint8_t *p = (const uint8_t *)cfi->base + at, *limit = (const uint8_t *)cfi->end;
  uint64_t length = ht_read_uleb(&p, limit);
  if (length < 2 || length > (uint64_t)(limit - p)) return false;
  const uint8_t *end = p + length;
  if (*p++ != 0x70 + HT_REG_BP) return false; // DW_OP_breg6
  *offset = ht_read_sleb(&p, end);
  if (deref && (p == end || *p++ != 0x06)) return false; // DW_OP_deref
  return p == end;
}

static uint64_t make_row(const ht_cfi *cfi) {
  const ht_rules *r = &cfi->rules;
  int64_t cfa, bp;
  if (r->how[HT_REG_PC] == HT_RULE_UNDEFINED) return HT_ROW_END;
  if (cfi->signal || r->how[HT_REG_PC] != HT_RULE_OFFSET || r->value[HT_REG_PC] != -8 ||
      r->how[HT_REG_SP] != HT_RULE_SAME)
    return HT_ROW_SLOW;
  if (r->cfa_how == HT_RULE_REGISTER) {
    uint64_t flags = r->cfa_register == HT_REG_BP ? HT_ROW_CFA_BP : 0;
    if (!flags && r->cfa_register != HT_REG_SP) return HT_ROW_SLOW;
    switch (r->how[HT_REG_BP]) {
      case HT_RULE_SAME:
      case HT_RULE_UNDEFINED:
        return pack(HT_ROW_PLAIN, flags, r->cfa_value, 0);
      case HT_RULE_OFFSET:
        return pack(HT_ROW_PLAIN, flags | HT_ROW_BP_SAVED, r->cfa_value, r->value[HT_REG_BP]);
      default:
        return HT_ROW_SLOW;
    }
  }
  if (r->how[HT_REG_BP] == HT_RULE_EXPRESSION && bp_relative(cfi, r->cfa_value, true, &cfa) &&
      bp_relative(cfi, r->value[HT_REG_BP], false, &bp))
    return pack(HT_ROW_REALIGNED, 0, cfa, bp);
  return HT_ROW_SLOW;
}

HT_COLD uint64_t ht_row_fill(ht_ctx *ctx, uintptr_t pc, uint32_t epoch) {
  ht_image image;
  ht_cfi cfi;
  // Code that no module holds comes and goes unseen, so it has no entry: asking is cheap.
  if (!ht_image_find(pc, &image)) return HT_ROW_POINTER;
  uint64_t row = HT_ROW_POINTER;
  if (ht_cfi_find(&image, pc, &cfi)) {
    row = make_row(&cfi);
  } else if (image.phdr && !ht_image_executes(&image, pc)) {
    row = HT_ROW_STRAY;
  } else if (ht_image_is_loader(&image)) {
    row =
        HT_ROW_END; // its entry point, the only code of the loader without CFI: constructors' caller
  }
  row |= (uint64_t)ht_module_id(ctx, &image) << 44;
  ht_row_entry *e = ht_rows[ht_row_bucket(pc)];
  uint64_t key = atomic_load_explicit(&e[0].key, memory_order_relaxed);
  uint64_t older = atomic_load_explicit(&e[0].row, memory_order_relaxed);
  atomic_store_explicit(&e[1].key, key, memory_order_relaxed);
  atomic_store_explicit(&e[1].row, older, memory_order_relaxed);
  atomic_store_explicit(&e[0].key, ht_row_key(pc, row, epoch), memory_order_relaxed);
  atomic_store_explicit(&e[0].row, row, memory_order_relaxed);
  return row;
}
