// Frame information that is damaged, and expressions of any kind: nothing may be read outside of
// where it lies, whatever it says.
#include "../cfi_step.c" // for its static functions

#include <stdlib.h>
#include <sys/mman.h>

#include "check.h"
#include "unwind_fake.h"

static uint64_t random_state = 88172645463325252ull;
static uint64_t random_word(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}
static size_t pick(size_t below) { return (size_t)(random_word() >> 20) % below; }

// Memory whose end is followed by nothing readable.
static uint8_t *guarded(size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  return malloc(bytes);
#else
  size_t room = (bytes + 4095) & -(size_t)4096;
  uint8_t *p = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(p + room, 4096, PROT_NONE);
  return p + room - bytes;
#endif
}

// A segment holds more than objects: as it is, whatever a sanitizer thinks of what lies between.
static HT_RAW void copy_segment(volatile uint8_t *to, uintptr_t from, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = *(const volatile uint8_t *)(from + i);
}

// --------------------------------------------------------------------------- damaged .eh_frame

static void test_damage(void) {
  ht_image real;
  uintptr_t low, high;
  CHECK(ht_image_find((uintptr_t)test_damage, &real));
  CHECK(ht_image_window(&real, real.eh_hdr, &low, &high));
  size_t bytes = (high - low) & -(size_t)16;
  uint8_t *copy = guarded(bytes);
  uint8_t *whole = malloc(bytes);
  copy_segment(copy, low, bytes);
  copy_segment(whole, low, bytes);
  ElfW(Phdr) phdr = {.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = bytes, .p_memsz = bytes};
  uintptr_t moved = (uintptr_t)copy - low; // everything in it is relative
  ht_image image = {.start = (uintptr_t)copy,
                    .end = (uintptr_t)copy + bytes,
                    .bias = (uintptr_t)copy,
                    .eh_hdr = real.eh_hdr + moved,
                    .phdr = &phdr,
                    .phnum = 1,
                    .name = ""};
  static const void *const functions[] = {test_damage, guarded,      fake_start,   evaluate,
                                          ht_cfi_find, ht_step_slow, ht_module_id, ht_row_fill};
  enum { FUNCTIONS = sizeof functions / sizeof *functions };
  for (unsigned i = 0; i < FUNCTIONS; i++) {
    for (uintptr_t skip = 0; skip < 40; skip++) {
      ht_cfi a, b;
      uintptr_t pc = (uintptr_t)functions[i] + skip;
      bool in_real = ht_cfi_find(&real, pc, &a), in_copy = ht_cfi_find(&image, pc + moved, &b);
      CHECK(in_real == in_copy);
      if (in_real && in_copy) CHECK(memcmp(&a.rules, &b.rules, sizeof a.rules) == 0);
    }
  }
  // The header's offset of the table, and the records, are what matters: damage these most.
  size_t header = real.eh_hdr - low;
  unsigned found = 0;
  for (unsigned round = 0; round < 20000; round++) {
    size_t at[8];
    unsigned damages = 1 + (unsigned)pick(8);
    for (unsigned i = 0; i < damages; i++) {
      at[i] = pick(4) ? header + pick(bytes - header) : header + pick(64);
      copy[at[i]] = pick(2) ? (uint8_t)random_word() : (uint8_t)(copy[at[i]] ^ 1u << pick(8));
    }
    for (unsigned i = 0; i < 20; i++) {
      ht_cfi cfi;
      uintptr_t pc = (uintptr_t)functions[pick(FUNCTIONS)] + pick(300) + moved;
      found += ht_cfi_find(&image, pc, &cfi);
    }
    for (unsigned i = 0; i < damages; i++) copy[at[i]] = whole[at[i]];
  }
  CHECK(found > 20000); // most damage is elsewhere
  free(whole);
#ifdef __SANITIZE_ADDRESS__
  free(copy);
#endif
}

// -------------------------------------------------------------------------------- expressions

static uintptr_t words[64];
static ht_regs regs;
static ht_reads reads;

static bool run(const uint8_t *code, size_t length, uintptr_t *result) {
  uint8_t *memory = guarded(length + 1);
  memory[0] = (uint8_t)length;
  memcpy(memory + 1, code, length);
  ht_cfi cfi = {.base = (uintptr_t)memory, .end = (uintptr_t)memory + length + 1};
  stepper s = {
      .regs = &regs, .reads = &reads, .low = (uintptr_t)words, .high = (uintptr_t)(words + 64)};
  reads.count = 0;
  reads.unsure = false;
  *result = evaluate(&s, &cfi, 0, false, 0);
#ifdef __SANITIZE_ADDRESS__
  free(memory);
#else
  munmap((void *)((uintptr_t)memory & -(uintptr_t)4096), 8192);
#endif
  return !s.failed && !s.unknown;
}

#define IS(expected, ...)                                               \
  do {                                                                  \
    const uint8_t code_[] = {__VA_ARGS__};                              \
    uintptr_t result_;                                                  \
    CHECK(run(code_, sizeof code_, &result_) && result_ == (expected)); \
  } while (0)

#define FAILS(...)                              \
  do {                                          \
    const uint8_t code_[] = {__VA_ARGS__};      \
    uintptr_t result_;                          \
    CHECK(!run(code_, sizeof code_, &result_)); \
  } while (0)

static void test_expressions(void) {
  regs.known = 1u << HT_REG_SP | 1u << HT_REG_BP | 1u << HT_REG_PC;
  regs.value[HT_REG_SP] = (uintptr_t)words;
  regs.value[HT_REG_BP] = (uintptr_t)&words[10];
  for (uintptr_t pc = 0x1000; pc < 0x1010; pc++) { // the PLT's: sp + 8 + ((pc & 15) >= 11) * 8
    regs.value[HT_REG_PC] = pc;
    IS((uintptr_t)words + 8 + (pc % 16 >= 11) * 8, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a,
       0x33, 0x24, 0x22);
  }
  words[9] = 4711;
  IS(4711, 0x76, 0x78, 0x06); // *(bp - 8)
  CHECK(reads.count == 1 && reads.word[0].at == &words[9] && reads.word[0].value == 4711);
  words[3] = 0x8877665544332211;
  IS(0x3322, 0x77, 0x19, 0x94, 2); // two bytes at sp + 25
  IS((uintptr_t)-5, 0x09, 0xfb);
  IS(0xfb, 0x08, 0xfb);
  IS(0x12345678, 0x0c, 0x78, 0x56, 0x34, 0x12);
  IS(300, 0x10, 0xac, 0x02);
  IS((uintptr_t)-2, 0x11, 0x7e);
  IS((uintptr_t)-3, 0x37, 0x1f, 0x32, 0x1b);             // -7 / 2
  IS(1, 0x37, 0x33, 0x1d);                               // 7 % 3
  IS((uintptr_t)-4, 0x37, 0x1f, 0x31, 0x26);             // -7 >> 1, signed
  IS(5, 0x35, 0x39, 0x13);                               // drop
  IS(2, 0x32, 0x39, 0x14, 0x16, 0x13, 0x13, 0x12, 0x13); // over, swap, drop, dup
  IS(3, 0x31, 0x32, 0x33, 0x17, 0x13, 0x13, 0x23, 0x00); // rot brings the top below the others
  IS(7, 0x31, 0x28, 0x02, 0x00, 0x32, 0x96, 0x37);       // bra over a literal and a nop
  IS(9, 0x2f, 0x01, 0x00, 0x13, 0x39);                   // skip over a drop
  FAILS(0x13);                                           // nothing to drop
  FAILS(0x31, 0x30, 0x1b);                               // division by zero
  FAILS(0x31, 0x30, 0x1d);
  FAILS(0x0d, 0x00, 0x00);       // cut short
  FAILS(0x30, 0x06);             // outside of the stack
  FAILS(0x77, 0x01, 0x06);       // not aligned
  FAILS(0x2f, 0xfd, 0xff);       // for ever
  FAILS(0x2f, 0x40, 0x00);       // beyond the end
  FAILS(0x73, 0x00);             // rbx is not known
  FAILS(0x92, 0xff, 0x01, 0x00); // no such register
}

static void test_any_expression(void) {
  for (unsigned r = 0; r < HT_REGS; r++) {
    regs.value[r] = (uintptr_t)&words[pick(64)];
    regs.from[r] = r % 2 ? &words[r] : NULL;
  }
  regs.known = (1u << HT_REGS) - 1;
  for (unsigned i = 0; i < 64; i++) words[i] = (uintptr_t)&words[pick(64)];
  unsigned valid = 0;
  for (unsigned round = 0; round < 100000; round++) {
    static const uint8_t likely[] = {0x06, 0x12, 0x14, 0x15, 0x16, 0x17, 0x1a, 0x1c, 0x22, 0x23,
                                     0x28, 0x2f, 0x31, 0x38, 0x76, 0x77, 0x94, 0x2a, 0x1b, 0x1e};
    uint8_t code[40];
    size_t length = 1 + pick(sizeof code);
    for (size_t i = 0; i < length; i++)
      code[i] = pick(3) ? likely[pick(sizeof likely)] : (uint8_t)random_word();
    uintptr_t result;
    valid += run(code, length, &result);
    CHECK(reads.count <= HT_READS);
    for (uint32_t i = 0; i < reads.count; i++)
      CHECK(reads.word[i].at >= words && reads.word[i].at < words + 64);
  }
  CHECK(valid > 100);
}

int main(void) {
  fake_start();
  test_damage();
  test_expressions();
  test_any_expression();
  return check_report();
}
