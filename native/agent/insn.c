// The length decoder: legacy, VEX and EVEX encodings in 64-bit mode.
#include "insn.h"

#include <string.h>

// What follows an opcode.
enum {
  NONE,
  BAD,  // not in 64-bit mode, a prefix, or left to somebody braver
  M,    // ModRM and what it asks for
  I1,   // immediate of 1 byte
  I2,   // of 2
  I3,   // of 3 (enter)
  IZ,   // of 4; 2 with the prefix 0x66
  IV,   // of 4; 2 with 0x66; 8 with REX.W
  MI1,  // ModRM, then an immediate
  MIZ,  //
  ADDR, // absolute address of 8 bytes; 4 with the prefix 0x67
  J1,   // displacement of a branch
  J4,   //
};

static const uint8_t one_byte[256] = {
#define ARITHMETIC M, M, M, M, I1, IZ, BAD, BAD
    // 00
    ARITHMETIC, ARITHMETIC, ARITHMETIC, ARITHMETIC, ARITHMETIC, ARITHMETIC, ARITHMETIC, ARITHMETIC,
    // 40: REX
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    // 50: push, pop
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    // 60
    BAD, BAD, BAD, M, BAD, BAD, BAD, BAD, IZ, MIZ, I1, MI1, NONE, NONE, NONE, NONE,
    // 70
    J1, J1, J1, J1, J1, J1, J1, J1, J1, J1, J1, J1, J1, J1, J1, J1,
    // 80
    MI1, MIZ, BAD, MI1, M, M, M, M, M, M, M, M, M, M, M, M,
    // 90
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, BAD, BAD, NONE, NONE, NONE, NONE,
    // a0
    ADDR, ADDR, ADDR, ADDR, NONE, NONE, NONE, NONE, I1, IZ, NONE, NONE, NONE, NONE, NONE, NONE,
    // b0
    I1, I1, I1, I1, I1, I1, I1, I1, IV, IV, IV, IV, IV, IV, IV, IV,
    // c0
    MI1, MI1, I2, NONE, BAD, BAD, MI1, MIZ, I3, NONE, I2, NONE, NONE, I1, BAD, NONE,
    // d0
    M, M, M, M, BAD, BAD, BAD, NONE, M, M, M, M, M, M, M, M,
    // e0
    J1, J1, J1, J1, I1, I1, I1, I1, J4, J4, BAD, J1, NONE, NONE, NONE, NONE,
    // f0
    BAD, NONE, BAD, BAD, NONE, NONE, M, M, NONE, NONE, NONE, NONE, NONE, NONE, M, M};

// After 0x0f. 0x38 and 0x3a lead on to further tables.
static const uint8_t two_byte[256] = {
    // 00
    M, M, M, M, BAD, NONE, NONE, NONE, NONE, NONE, BAD, NONE, BAD, M, NONE, BAD,
    // 10
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // 20
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, M, M, M, M, M, M, M, M,
    // 30
    NONE, NONE, NONE, NONE, NONE, NONE, BAD, NONE, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
    // 40
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // 50
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // 60
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // 70
    MI1, MI1, MI1, MI1, M, M, M, NONE, M, M, BAD, BAD, M, M, M, M,
    // 80
    J4, J4, J4, J4, J4, J4, J4, J4, J4, J4, J4, J4, J4, J4, J4, J4,
    // 90
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // a0
    NONE, NONE, NONE, M, MI1, M, BAD, BAD, NONE, NONE, NONE, M, MI1, M, M, M,
    // b0
    M, M, M, M, M, M, M, M, M, M, MI1, M, M, M, M, M,
    // c0
    M, M, MI1, M, MI1, MI1, MI1, M, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    // d0
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // e0
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
    // f0
    M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M};

typedef struct cursor {
  const uint8_t *code;
  size_t at, room;
  bool short_of; // something was behind the end
} cursor;

static uint8_t next(cursor *c) {
  if (c->at < c->room) return c->code[c->at++];
  c->short_of = true;
  return 0;
}

static void skip(cursor *c, size_t bytes) {
  if (bytes > c->room - c->at) {
    c->short_of = true;
  } else {
    c->at += bytes;
  }
}

typedef struct prefixes {
  bool small, narrow, repne, rep, lock; // 66, 67, f2, f3, f0
  uint8_t rex;
} prefixes;

static uint8_t take_prefixes(cursor *c, prefixes *p) {
  for (;;) {
    uint8_t byte = next(c);
    switch (byte) {
      case 0x66:
        p->small = true;
        break;
      case 0x67:
        p->narrow = true;
        break;
      case 0xf2:
        p->repne = true;
        break;
      case 0xf3:
        p->rep = true;
        break;
      case 0xf0:
        p->lock = true;
        break;
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
      case 0x64:
      case 0x65:
        break;
      default:
        if ((byte & 0xf0) != 0x40) return byte;
        p->rex = byte;
        return next(c); // a prefix behind it would undo it: is refused as an opcode
    }
    if (c->short_of) return 0;
  }
}

static uint8_t take_modrm(cursor *c, ht_insn *insn) {
  uint8_t modrm = next(c), mode = modrm >> 6, rm = modrm & 7;
  if (mode == 3) return modrm;
  uint8_t base = rm;
  if (rm == 4) base = next(c) & 7; // SIB
  if (mode == 0 && base == 5) {
    if (rm == 5) insn->rip_at = (uint8_t)c->at;
    skip(c, 4);
  } else if (mode == 1) {
    skip(c, 1);
  } else if (mode == 2) {
    skip(c, 4);
  }
  return modrm;
}

static void take_target(cursor *c, ht_insn *insn, size_t bytes) {
  size_t at = c->at;
  skip(c, bytes);
  if (c->short_of) return;
  int32_t by;
  if (bytes == 1) {
    by = (int8_t)c->code[at];
  } else {
    memcpy(&by, c->code + at, sizeof by);
  }
  // Beyond 2 GiB only in something that is no code.
  if (__builtin_add_overflow(by, (int32_t)c->at, &insn->target)) c->short_of = true;
}

static bool take_operands(cursor *c, ht_insn *insn, const prefixes *p, unsigned operands,
                          uint8_t *modrm) {
  bool wide = p->rex & 8;
  size_t z = p->small && !wide ? 2 : 4;
  if (operands == M || operands == MI1 || operands == MIZ) *modrm = take_modrm(c, insn);
  switch (operands) {
    case NONE:
    case M:
      return true;
    case I1:
    case MI1:
      skip(c, 1);
      return true;
    case I2:
      skip(c, 2);
      return true;
    case I3:
      skip(c, 3);
      return true;
    case IZ:
    case MIZ:
      skip(c, z);
      return true;
    case IV:
      skip(c, wide ? 8 : z);
      return true;
    case ADDR:
      skip(c, p->narrow ? 4 : 8);
      return true;
    case J1:
      take_target(c, insn, 1);
      return !p->narrow && !p->small;
    case J4:
      // Makers differ about the displacement's size with 0x66.
      take_target(c, insn, 4);
      return !p->narrow && (!p->small || wide);
    default:
      return false;
  }
}

static bool decode_one_byte(cursor *c, ht_insn *insn, const prefixes *p, uint8_t opcode) {
  uint8_t modrm = 0, reg;
  if (!take_operands(c, insn, p, one_byte[opcode], &modrm)) return false;
  reg = modrm >> 3 & 7;
  switch (opcode) {
    case 0x8f: // XOP unless /0
      return reg == 0;
    case 0xc6:
      return reg == 0;
    case 0xc7:
      if (modrm == 0xf8) insn->flow = HT_INSN_CALL_FAR; // xbegin
      return reg == 0 || modrm == 0xf8;
    case 0xf6:
      if (reg < 2) skip(c, 1);
      break;
    case 0xf7:
      if (reg < 2) skip(c, p->small && !(p->rex & 8) ? 2 : 4);
      break;
    case 0xfe:
      return reg < 2;
    case 0xff:
      if (reg == 2 || reg == 3) insn->flow = HT_INSN_CALL_FAR;
      if (reg == 4 || reg == 5) insn->flow = HT_INSN_END;
      return reg != 7;
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcc:
    case 0xcf:
    case 0xf4:
      insn->flow = HT_INSN_END;
      break;
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
      insn->flow = HT_INSN_LOOP;
      break;
    case 0xe8:
      insn->flow = HT_INSN_CALL;
      break;
    case 0xe9:
    case 0xeb:
      insn->flow = HT_INSN_JUMP;
      break;
    default:
      if ((opcode & 0xf0) == 0x70) {
        insn->flow = HT_INSN_BRANCH;
        insn->condition = opcode & 15;
      }
  }
  return true;
}

static bool decode_two_byte(cursor *c, ht_insn *insn, const prefixes *p) {
  uint8_t opcode = next(c), modrm = 0;
  if (opcode == 0x38) {
    next(c);
    return take_operands(c, insn, p, M, &modrm);
  }
  if (opcode == 0x3a) {
    next(c);
    return take_operands(c, insn, p, MI1, &modrm);
  }
  // AMD's extrq, insertq have immediates.
  if ((opcode == 0x78 || opcode == 0x79) && (p->small || p->repne)) return false;
  if (!take_operands(c, insn, p, two_byte[opcode], &modrm)) return false;
  if (opcode == 0x0b) insn->flow = HT_INSN_END; // ud2
  if ((opcode & 0xf0) == 0x80) {
    insn->flow = HT_INSN_BRANCH;
    insn->condition = opcode & 15;
  }
  return true;
}

// What VEX and EVEX have in common: opcode maps 1 to 3 are those after 0x0f, 0x0f38 and 0x0f3a.
static bool decode_vector(cursor *c, ht_insn *insn, const prefixes *p, unsigned map) {
  uint8_t opcode = next(c), modrm = 0;
  if (p->small || p->rep || p->repne || p->lock || p->rex) return false;
  unsigned operands = map == 2 ? M : map == 3 ? MI1 : two_byte[opcode];
  if (map == 1 && operands != M && operands != MI1 && opcode != 0x77) return false;
  return take_operands(c, insn, p, operands, &modrm);
}

static bool decode_evex(cursor *c, ht_insn *insn, const prefixes *p) {
  uint8_t first = next(c), second = next(c);
  next(c);
  unsigned map = first & 7;
  if ((first & 8) || !(second & 4)) return false; // other encodings have these otherwise
  if (map == 5 || map == 6) map = 2;              // no immediates either
  return map >= 1 && map <= 3 && decode_vector(c, insn, p, map);
}

bool ht_insn_decode(const uint8_t *code, size_t room, ht_insn *insn) {
  cursor c = {code, 0, room < HT_INSN_MOST ? room : HT_INSN_MOST, false};
  prefixes p = {0};
  *insn = (ht_insn){0};
  uint8_t opcode = take_prefixes(&c, &p), payload;
  bool known;
  switch (opcode) {
    case 0x0f:
      known = decode_two_byte(&c, insn, &p);
      break;
    case 0x62:
      known = decode_evex(&c, insn, &p);
      break;
    case 0xc4:
      payload = next(&c) & 31;
      next(&c);
      known = payload >= 1 && payload <= 3 && decode_vector(&c, insn, &p, payload);
      break;
    case 0xc5:
      next(&c);
      known = decode_vector(&c, insn, &p, 1);
      break;
    default:
      known = decode_one_byte(&c, insn, &p, opcode);
  }
  insn->length = (uint8_t)c.at;
  insn->narrow = p.narrow;
  return known && !c.short_of;
}
