// Call frame information: how a frame's caller is found, from .eh_frame.
#ifndef HEAPTIDE_CFI_H
#define HEAPTIDE_CFI_H

#include "modules.h"

// [architecture] DWARF register numbers.
#if defined(__x86_64__)
enum { HT_REG_BP = 6, HT_REG_SP = 7, HT_REG_PC = 16, HT_REGS = 17 };
#define HT_CALLEE_SAVED 0xf008u // rbx, r12-r15; bp, sp and pc are always carried along
#else
#error "no unwinder for this architecture yet"
#endif

// ----------------------------------------------------------------------------------- rule tables

enum ht_rule {
  HT_RULE_SAME = 0, // also: not mentioned
  HT_RULE_UNDEFINED,
  HT_RULE_OFFSET,     // in memory at CFA + value
  HT_RULE_VAL_OFFSET, // is CFA + value
  HT_RULE_REGISTER,   // is register `value`
  HT_RULE_EXPRESSION, // in memory at the address computed by the expression at base + value
  HT_RULE_VAL_EXPRESSION,
};

// The rules in force at one address.
typedef struct ht_rules {
  uint8_t cfa_how; // HT_RULE_REGISTER: cfa_register + cfa_value; HT_RULE_VAL_EXPRESSION
  uint8_t cfa_register;
  uint8_t how[HT_REGS];
  int32_t cfa_value;
  int32_t value[HT_REGS];
} ht_rules;

typedef struct ht_cfi {
  ht_rules rules;
  uintptr_t base, end; // segment that holds the expressions
  bool signal;         // the frame of a signal handler's return: its caller was interrupted
} ht_cfi;

// Runs the CFA program of the function at `pc` up to there. About 0.3 us. False: there is none, or
// it makes no sense.
bool ht_cfi_find(const ht_image *image, uintptr_t pc, ht_cfi *cfi);

// A little endian base 128 number of an expression; 0 beyond `end`.
uint64_t ht_read_uleb(const uint8_t **p, const uint8_t *end);
int64_t ht_read_sleb(const uint8_t **p, const uint8_t *end);

// ------------------------------------------------------------------------------------------ rows

// A row is what the unwinder needs at one address, in one word:
//   bits 0-3 kind, 4 CFA from bp (otherwise sp), 5 bp was saved,
//   8-27 CFA offset / 8, 28-43 offset of the saved bp from the CFA / 8, 44-63 module id
enum ht_row_kind {
  HT_ROW_NONE = 0,
  HT_ROW_PLAIN,     // return address at CFA - 8
  HT_ROW_REALIGNED, // CFA is the word at bp + CFA offset; bp was saved at bp + bp offset
  HT_ROW_SLOW,      // anything else that the rule tables say
  HT_ROW_END,       // outermost function
  HT_ROW_POINTER,   // no usable information: go by the frame pointer
  HT_ROW_STRAY,     // not in code at all
};
#define HT_ROW_CFA_BP 0x10u
#define HT_ROW_BP_SAVED 0x20u
#define HT_ROW_KIND(row) ((unsigned)(row) & 15u)
#define HT_ROW_CFA(row) (((int64_t)((row) << 36) >> 44) * 8)
#define HT_ROW_BP(row) (((int64_t)((row) << 20) >> 48) * 8)
#define HT_ROW_MODULE(row) ((uint32_t)((row) >> 44))

// The cache: 2-way, shared by all threads, no locks. An entry's key also covers its row and the
// module epoch, so that an entry which is half written, or of a module since unloaded, is a miss.
#define HT_ROW_BUCKETS 4096u
typedef struct ht_row_entry {
  _Atomic uint64_t key, row;
} ht_row_entry;
extern ht_row_entry ht_rows[HT_ROW_BUCKETS][2];

HT_ALWAYS_INLINE uint64_t ht_row_key(uintptr_t pc, uint64_t row, uint32_t epoch) {
  return pc ^ (row * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)epoch << 32);
}
HT_ALWAYS_INLINE unsigned ht_row_bucket(uintptr_t pc) {
  return (unsigned)((pc * 0x9e3779b97f4a7c15ull) >> 52);
}

uint64_t ht_row_fill(ht_ctx *ctx, uintptr_t pc, uint32_t epoch);

// The row for the address `pc` (of a call, not behind it). About 2 ns when cached, 1 us when not.
HT_ALWAYS_INLINE uint64_t ht_row(ht_ctx *ctx, uintptr_t pc, uint32_t epoch) {
  ht_row_entry *e = ht_rows[ht_row_bucket(pc)];
  for (unsigned way = 0; way < 2; way++) {
    uint64_t row = atomic_load_explicit(&e[way].row, memory_order_relaxed);
    uint64_t key = atomic_load_explicit(&e[way].key, memory_order_relaxed);
    if (HT_LIKELY(key == ht_row_key(pc, row, epoch) && row)) return row;
  }
  return ht_row_fill(ctx, pc, epoch);
}

// ------------------------------------------------------------------------------------ slow steps

typedef struct ht_regs {
  uintptr_t value[HT_REGS];
  const uintptr_t *from[HT_REGS]; // the stack word a value was loaded from; NULL: from none
  uint32_t known;                 // a bit for each register
} ht_regs;

// The memory words a step depended on.
enum { HT_READS = 14 };
typedef struct ht_reads {
  uint32_t count;
  bool unsure; // depended on more than these words: its outcome must not be remembered
  struct {
    const uintptr_t *at;
    uintptr_t value;
  } word[HT_READS];
} ht_reads;

enum ht_step {
  HT_STEP_OK,
  HT_STEP_INTERRUPTED, // as OK, and the pc is exact
  HT_STEP_END,
  HT_STEP_UNKNOWN, // needs a register whose value is not known
  HT_STEP_FAILED,
};

// Moves `regs` from the frame at `pc` to its caller by the full rules. Reads memory only inside
// [low, high).
enum ht_step ht_step_slow(uintptr_t pc, ht_regs *regs, uintptr_t low, uintptr_t high,
                          ht_reads *reads);

#endif
