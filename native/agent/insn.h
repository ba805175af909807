// Lengths of x86-64 instructions, and what of them depends on their address.
//
// For moving the first instructions of a function elsewhere (patch.c). Strict: what is not surely
// understood is refused, and then the function stays as it is.
#ifndef HEAPTIDE_INSN_H
#define HEAPTIDE_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HT_INSN_MOST 15u // bytes an instruction has at most

enum ht_insn_flow {
  HT_INSN_ON = 0,   // goes on with the next instruction
  HT_INSN_JUMP,     // jmp to `target`
  HT_INSN_BRANCH,   // conditional jump to `target`, `condition` as in opcode 0x0f80 | condition
  HT_INSN_LOOP,     // loop, jrcxz to `target`: exists with a short displacement only
  HT_INSN_CALL,     // call of `target`
  HT_INSN_CALL_FAR, // any other call, or xbegin: leaves its address behind
  HT_INSN_END,      // ret, indirect jump, trap: what follows is not reached from here
};

typedef struct ht_insn {
  uint8_t length;
  uint8_t flow; // ht_insn_flow
  uint8_t condition;
  uint8_t rip_at; // offset of a 32-bit displacement relative to the next instruction; 0: none
  bool narrow;    // addresses cut to 32 bits (prefix 0x67)
  int32_t target; // of jumps, branches, calls: relative to the instruction's own start
} ht_insn;

// Decodes the instruction at `code`, of which `room` bytes may be read. False: not understood, or
// longer than that.
bool ht_insn_decode(const uint8_t *code, size_t room, ht_insn *insn);

#endif
