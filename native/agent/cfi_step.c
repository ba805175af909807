// One step up the stack by the full rules: every register, every kind of rule, expressions. For the
// frames that a row cannot express: signal frames, PLT stubs, odd assembly.
#define _GNU_SOURCE
#include "cfi.h"

#include <string.h>

typedef struct stepper {
  const ht_regs *regs; // of the callee-side frame
  ht_reads *reads;
  uintptr_t low, high;
  bool failed, unknown;
} stepper;

static void note(ht_reads *reads, const uintptr_t *at, uintptr_t value) {
  if (reads->count == HT_READS) {
    reads->unsure = true;
    return;
  }
  reads->word[reads->count].at = at;
  reads->word[reads->count++].value = value;
}

// The aligned word at `at`; noted if the caller's pc, sp or bp depends on it.
static HT_RAW uintptr_t load(stepper *s, uintptr_t at, bool noted) {
  if (at % sizeof(uintptr_t) || at < s->low || at > s->high - sizeof(uintptr_t)) {
    s->failed = true;
    return 0;
  }
  uintptr_t value = *(const uintptr_t *)at;
  if (noted) note(s->reads, (const uintptr_t *)at, value);
  return value;
}

static uintptr_t use(stepper *s, uint64_t reg) {
  if (reg >= HT_REGS || !(s->regs->known >> reg & 1)) {
    s->unknown = true;
    return 0;
  }
  // The state that a cached frame is compared by has the first three already.
  if (reg != HT_REG_SP && reg != HT_REG_BP && reg != HT_REG_PC) {
    if (s->regs->from[reg]) {
      note(s->reads, s->regs->from[reg], s->regs->value[reg]);
    } else {
      s->reads->unsure = true;
    }
  }
  return s->regs->value[reg];
}

// ----------------------------------------------------------------------------------- expressions

enum { DEPTH = 16, MOST_STEPS = 256 };

static uint64_t constant(stepper *s, const uint8_t **p, const uint8_t *end, unsigned bytes,
                         bool is_signed) {
  uint64_t value = 0;
  if ((size_t)(end - *p) < bytes) {
    s->failed = true;
    *p = end;
    return 0;
  }
  memcpy(&value, *p, bytes);
  *p += bytes;
  unsigned shift = 64 - 8 * bytes;
  return is_signed ? (uint64_t)((int64_t)(value << shift) >> shift) : value;
}

// Binary operators, a below b on the stack. Returns false for anything else, and for a division
// that has no result.
static bool binary(uint8_t op, uint64_t a, uint64_t b, uint64_t *result) {
  int64_t sa = (int64_t)a, sb = (int64_t)b;
  switch (op) {
    case 0x1a:
      *result = a & b;
      return true;
    case 0x1b:
      if (sb == 0 || (sa == INT64_MIN && sb == -1)) return false;
      *result = (uint64_t)(sa / sb);
      return true;
    case 0x1c:
      *result = a - b;
      return true;
    case 0x1d:
      if (b == 0) return false;
      *result = a % b;
      return true;
    case 0x1e:
      *result = a * b;
      return true;
    case 0x21:
      *result = a | b;
      return true;
    case 0x22:
      *result = a + b;
      return true;
    case 0x24:
      *result = b < 64 ? a << b : 0;
      return true;
    case 0x25:
      *result = b < 64 ? a >> b : 0;
      return true;
    case 0x26:
      *result = (uint64_t)(sa >> (b < 64 ? b : 63));
      return true;
    case 0x27:
      *result = a ^ b;
      return true;
    case 0x29:
      *result = sa == sb;
      return true;
    case 0x2a:
      *result = sa >= sb;
      return true;
    case 0x2b:
      *result = sa > sb;
      return true;
    case 0x2c:
      *result = sa <= sb;
      return true;
    case 0x2d:
      *result = sa < sb;
      return true;
    case 0x2e:
      *result = sa != sb;
      return true;
    default:
      return false;
  }
}

// Evaluates the expression (with its length before it) at `at`, with `first` on the stack if
// has_first. DWARF 5, section 2.5, as far as call frame information may use it.
static uintptr_t evaluate(stepper *s, const ht_cfi *cfi, int32_t at, bool has_first,
                          uintptr_t first) {
  const uint8_t *p = (const uint8_t *)cfi->base + at;
  uint64_t length = ht_read_uleb(&p, (const uint8_t *)cfi->end);
  if (length > (uint64_t)(cfi->end - (uintptr_t)p)) goto fail;
  const uint8_t *begin = p, *end = p + length;
  uint64_t stack[DEPTH + 1]; // one above the limit that is checked after each push
  unsigned n = 0;
  if (has_first) stack[n++] = first;
  for (unsigned steps = 0; p < end; steps++) {
    if (steps == MOST_STEPS || n >= DEPTH || s->failed || s->unknown) goto fail;
    uint8_t op = *p++;
    if (op >= 0x30 && op <= 0x4f) { // lit0..31
      stack[n++] = op - 0x30u;
      continue;
    }
    if (op >= 0x70 && op <= 0x8f) { // breg0..31
      uintptr_t base = use(s, op - 0x70u);
      stack[n++] = base + (uint64_t)ht_read_sleb(&p, end);
      continue;
    }
    switch (op) {
      case 0x03:
      case 0x0e:
        stack[n++] = constant(s, &p, end, 8, false);
        continue; // addr, const8u
      case 0x08:
        stack[n++] = constant(s, &p, end, 1, false);
        continue;
      case 0x09:
        stack[n++] = constant(s, &p, end, 1, true);
        continue;
      case 0x0a:
        stack[n++] = constant(s, &p, end, 2, false);
        continue;
      case 0x0b:
        stack[n++] = constant(s, &p, end, 2, true);
        continue;
      case 0x0c:
        stack[n++] = constant(s, &p, end, 4, false);
        continue;
      case 0x0d:
        stack[n++] = constant(s, &p, end, 4, true);
        continue;
      case 0x0f:
        stack[n++] = constant(s, &p, end, 8, true);
        continue;
      case 0x10:
        stack[n++] = ht_read_uleb(&p, end);
        continue;
      case 0x11:
        stack[n++] = (uint64_t)ht_read_sleb(&p, end);
        continue;
      case 0x92: { // bregx
        uintptr_t base = use(s, ht_read_uleb(&p, end));
        stack[n++] = base + (uint64_t)ht_read_sleb(&p, end);
        continue;
      }
      case 0x2f: { // skip
        int64_t by = (int64_t)constant(s, &p, end, 2, true);
        if (by < begin - p || by > end - p) goto fail;
        p += by;
        continue;
      }
      case 0x96:
        continue; // nop
      default:
        break;
    }
    if (n < 1) goto fail;
    uint64_t *top = &stack[n - 1];
    switch (op) {
      case 0x06:
        *top = load(s, *top, true);
        continue;  // deref
      case 0x94: { // deref_size
        uint64_t bytes = constant(s, &p, end, 1, false), skip = *top % 8;
        if (bytes < 1 || bytes + skip > 8) goto fail;
        *top = load(s, *top - skip, true) << (8 * (8 - bytes - skip)) >> (8 * (8 - bytes));
        continue;
      }
      case 0x12:
        stack[n++] = *top;
        continue; // dup
      case 0x13:
        n--;
        continue; // drop
      case 0x19:
        *top = (int64_t)*top < 0 ? -*top : *top;
        continue;
      case 0x1f:
        *top = -*top;
        continue;
      case 0x20:
        *top = ~*top;
        continue;
      case 0x23:
        *top += ht_read_uleb(&p, end);
        continue;
      case 0x15: { // pick
        uint64_t index = constant(s, &p, end, 1, false);
        if (index >= n) goto fail;
        stack[n] = stack[n - 1 - index];
        n++;
        continue;
      }
      case 0x28: { // bra
        int64_t by = (int64_t)constant(s, &p, end, 2, true);
        n--;
        if (stack[n] == 0) continue;
        if (by < begin - p || by > end - p) goto fail;
        p += by;
        continue;
      }
      default:
        break;
    }
    if (n < 2) goto fail;
    if (op == 0x14) { // over
      stack[n] = stack[n - 2];
      n++;
    } else if (op == 0x16) { // swap
      uint64_t other = stack[n - 2];
      stack[n - 2] = *top;
      *top = other;
    } else if (op == 0x17) { // rot
      if (n < 3) goto fail;
      uint64_t value = *top;
      stack[n - 1] = stack[n - 2];
      stack[n - 2] = stack[n - 3];
      stack[n - 3] = value;
    } else {
      if (!binary(op, stack[n - 2], *top, &stack[n - 2])) goto fail;
      n--;
    }
  }
  if (n >= 1 && !s->failed && !s->unknown) return stack[n - 1];
fail:
  s->failed = true;
  return 0;
}

// ------------------------------------------------------------------------------------------ step

// [architecture] The code that a signal handler returns to, `mov $15, %eax; syscall`: some C
// libraries and runtimes have no frame information for theirs. The kernel's frame is fixed.
static bool is_sigreturn(const ht_image *image, uintptr_t pc) {
  static const uint8_t code[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
  uintptr_t low, high;
  return ht_image_window(image, pc, &low, &high) && high - pc >= sizeof code &&
         memcmp((const void *)pc, code, sizeof code) == 0;
}

static enum ht_step step_sigreturn(stepper *s, ht_regs *regs) {
  // ucontext at sp: flags, link, stack (3 words), then r8-r15, di, si, bp, bx, dx, ax, cx, sp, ip
  static const uint8_t slot[HT_REGS] = {13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7, 16};
  uintptr_t at = regs->value[HT_REG_SP] + 40;
  for (unsigned r = 0; r < HT_REGS; r++) {
    uintptr_t from = at + 8u * slot[r];
    regs->value[r] = load(s, from, r == HT_REG_SP || r == HT_REG_BP || r == HT_REG_PC);
    regs->from[r] = (const uintptr_t *)from;
  }
  regs->known = (1u << HT_REGS) - 1;
  return s->failed ? HT_STEP_FAILED : HT_STEP_INTERRUPTED;
}

// Value of register r in the caller. *known is cleared when it cannot be had.
static uintptr_t apply(stepper *s, const ht_cfi *cfi, unsigned r, uintptr_t cfa, bool *known,
                       const uintptr_t **from) {
  bool vital = r == HT_REG_SP || r == HT_REG_BP || r == HT_REG_PC;
  int32_t value = cfi->rules.value[r];
  uintptr_t at;
  switch (cfi->rules.how[r]) {
    case HT_RULE_SAME:
      *from = s->regs->from[r];
      *known = s->regs->known >> r & 1;
      return s->regs->value[r];
    case HT_RULE_OFFSET:
      at = cfa + (uintptr_t)(intptr_t)value;
      break;
    case HT_RULE_VAL_OFFSET:
      return cfa + (uintptr_t)(intptr_t)value;
    case HT_RULE_REGISTER:
      return use(s, (uint64_t)value);
    case HT_RULE_EXPRESSION:
      at = evaluate(s, cfi, value, true, cfa);
      break;
    case HT_RULE_VAL_EXPRESSION:
      return evaluate(s, cfi, value, true, cfa);
    default:
      *known = false;
      return 0;
  }
  if (s->failed || s->unknown) return 0;
  *from = (const uintptr_t *)at;
  return load(s, at, vital);
}

enum ht_step ht_step_slow(uintptr_t pc, ht_regs *regs, uintptr_t low, uintptr_t high,
                          ht_reads *reads) {
  ht_image image;
  ht_cfi cfi;
  stepper s = {.regs = regs, .reads = reads, .low = low, .high = high};
  reads->count = 0;
  reads->unsure = false;
  if (high < low || high - low < sizeof(uintptr_t)) return HT_STEP_FAILED;
  if (!ht_image_find(pc, &image)) return HT_STEP_FAILED;
  if (!ht_cfi_find(&image, pc, &cfi)) {
    if (is_sigreturn(&image, regs->value[HT_REG_PC])) return step_sigreturn(&s, regs);
    return HT_STEP_FAILED;
  }
  if (cfi.rules.how[HT_REG_PC] == HT_RULE_UNDEFINED) return HT_STEP_END;
  if (cfi.rules.how[HT_REG_PC] == HT_RULE_SAME) return HT_STEP_FAILED;
  uintptr_t cfa;
  if (cfi.rules.cfa_how == HT_RULE_REGISTER) {
    cfa = use(&s, cfi.rules.cfa_register) + (uintptr_t)(intptr_t)cfi.rules.cfa_value;
  } else {
    cfa = evaluate(&s, &cfi, cfi.rules.cfa_value, false, 0);
  }
  if (s.unknown) return HT_STEP_UNKNOWN;
  if (s.failed) return HT_STEP_FAILED;

  // What an ordinary call does not preserve is not known in its caller, whatever is not said of it.
  uint32_t kept = HT_CALLEE_SAVED | 1u << HT_REG_BP | 1u << HT_REG_PC;
  ht_regs caller = {.known = 0};
  for (unsigned r = 0; r < HT_REGS; r++) {
    bool vital = r == HT_REG_SP || r == HT_REG_BP || r == HT_REG_PC;
    bool known = true;
    const uintptr_t *from = NULL;
    uintptr_t value = cfa;
    if (r != HT_REG_SP || cfi.rules.how[r] != HT_RULE_SAME) {
      if (!cfi.signal && !(kept >> r & 1) && cfi.rules.how[r] == HT_RULE_SAME) continue;
      value = apply(&s, &cfi, r, cfa, &known, &from);
    }
    if (vital && s.unknown) return HT_STEP_UNKNOWN;
    if (vital && s.failed) return HT_STEP_FAILED;
    // An undefined bp is as good as any: nothing may depend on it.
    if (r == HT_REG_BP && !known) known = true;
    if (known && !s.failed && !s.unknown) {
      caller.value[r] = value;
      caller.from[r] = from;
      caller.known |= 1u << r;
    }
    s.failed = s.unknown = false;
  }
  *regs = caller;
  return cfi.signal ? HT_STEP_INTERRUPTED : HT_STEP_OK;
}
