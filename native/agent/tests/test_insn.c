// The length decoder against another's: objdump's disassembly of whole libraries. Lengths and targets of
// branches are equal wherever it does not refuse, and it hardly ever does.
//
//   test_insn FILE...    missing files and programs without objdump are not an error, if any is left
#include <stdlib.h>
#include <string.h>

#include "../insn.h"
#include "check.h"

typedef struct tally {
  long instructions, refused, targets;
} tally;

static bool is_prefix_alone(const char *text) {
  static const char *const alone[] = {"data16\n", "addr32\n", "cs\n",  "ds\n",   "es\n",
                                      "ss\n",     "fs\n",     "gs\n",  "lock\n", "repz\n",
                                      "repnz\n",  "rex",      "(bad)", ".byte",  "notrack\n"};
  for (unsigned i = 0; i < sizeof alone / sizeof *alone; i++) {
    if (strncmp(text, alone[i], strlen(alone[i])) == 0) return true;
  }
  size_t end = strcspn(text, "\n"); // alone, but with blanks
  while (end > 0 && text[end - 1] == ' ') end--;
  return end == 0 || (text[end] == ' ' && strncmp(text, "data16", 6) == 0 && end == 6);
}

static void compare(const uint8_t *code, size_t length, uint64_t at, const char *text, tally *sum) {
  ht_insn exact, more;
  uint8_t roomy[HT_INSN_MOST + 16];
  memset(roomy, 0x90, sizeof roomy);
  memcpy(roomy, code, length);
  sum->instructions++;
  // On the heap, so that a byte read too far is one behind the block.
  uint8_t *tight = malloc(length);
  memcpy(tight, code, length);
  bool known = ht_insn_decode(tight, length, &exact);
  bool known_too = ht_insn_decode(roomy, sizeof roomy, &more);
  for (size_t room = 0; room < length; room++) CHECK(!ht_insn_decode(code, room, &exact));
  known = ht_insn_decode(tight, length, &exact);
  free(tight);
  if (!known_too) {
    CHECK(!known);
    sum->refused++;
    return;
  }
  CHECK(known);
  if (more.length != length) fprintf(stderr, "%llx: %s", (unsigned long long)at, text);
  CHECK_EQUAL(length, more.length);
  if (known && (more.flow == HT_INSN_JUMP || more.flow == HT_INSN_BRANCH ||
                more.flow == HT_INSN_CALL || more.flow == HT_INSN_LOOP)) {
    // "jmp    1b2d0 <name+0x40>", "data16 rex.W call 9ad30 <name>", "jne,pt 1b2d0 <name>"
    const char *name = strstr(text, " <"), *operand = name;
    while (operand != NULL && operand > text && operand[-1] != ' ') operand--;
    if (operand != NULL) {
      CHECK_EQUAL(strtoull(operand, NULL, 16), at + (uint64_t)(int64_t)more.target);
      sum->targets++;
    }
  }
}

static bool whole_file(const char *file) {
  char command[4096];
  FILE *exists = fopen(file, "r");
  if (exists == NULL) return false;
  fclose(exists);
  snprintf(command, sizeof command, "LC_ALL=C objdump -d -w --section=.text '%s' 2>/dev/null",
           file);
  FILE *lines = popen(command, "r");
  if (lines == NULL) return false;
  char line[8192];
  tally sum = {0};
  while (fgets(line, sizeof line, lines) != NULL) {
    // "   1b290:\t48 89 5c 24 f0       \tmov    %rbx,-0x10(%rsp)"
    char *colon = strstr(line, ":\t"), *end;
    if (colon == NULL) continue;
    uint64_t at = strtoull(line, &end, 16);
    if (end != colon) continue;
    uint8_t code[32];
    size_t length = 0;
    char *byte = colon + 2;
    for (; length < sizeof code; length++) {
      unsigned long value = strtoul(byte, &end, 16);
      if (end != byte + 2) break;
      code[length] = (uint8_t)value;
      byte = end + (*end == ' ');
    }
    char *text = strchr(byte, '\t');
    if (text == NULL || length == 0 || length > HT_INSN_MOST || is_prefix_alone(text + 1)) continue;
    compare(code, length, at, text + 1, &sum);
  }
  pclose(lines);
  if (sum.instructions == 0) return false;
  printf("%s: %ld instructions, %ld refused, %ld targets\n", file, sum.instructions, sum.refused,
         sum.targets);
  CHECK(sum.refused * 1000 < sum.instructions);
  CHECK(sum.targets > 0);
  return true;
}

static void by_hand(void) {
  ht_insn insn;
#define DECODE(...) \
  ht_insn_decode((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), &insn)
  CHECK(DECODE(0xf3, 0x0f, 0x1e, 0xfa)); // endbr64
  CHECK_EQUAL(4, insn.length);
  CHECK_EQUAL(HT_INSN_ON, insn.flow);
  CHECK(DECODE(0x48, 0x8b, 0x05, 1, 0, 0, 0)); // mov 1(%rip), %rax
  CHECK_EQUAL(3, insn.rip_at);
  CHECK(DECODE(0x80, 0x3d, 1, 0, 0, 0, 0)); // cmpb $0, 1(%rip)
  CHECK_EQUAL(2, insn.rip_at);
  CHECK_EQUAL(7, insn.length);
  CHECK(DECODE(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8)); // movabs
  CHECK_EQUAL(10, insn.length);
  CHECK_EQUAL(0, insn.rip_at);
  CHECK(DECODE(0xeb, 0xfe));
  CHECK_EQUAL(HT_INSN_JUMP, insn.flow);
  CHECK_EQUAL(0, insn.target);
  CHECK(DECODE(0x0f, 0x84, 0, 1, 0, 0));
  CHECK_EQUAL(HT_INSN_BRANCH, insn.flow);
  CHECK_EQUAL(4, insn.condition);
  CHECK_EQUAL(0x106, insn.target);
  CHECK(DECODE(0xe8, 0xfb, 0xff, 0xff, 0xff));
  CHECK_EQUAL(HT_INSN_CALL, insn.flow);
  CHECK(DECODE(0xff, 0x15, 0, 0, 0, 0)); // call *0(%rip)
  CHECK_EQUAL(HT_INSN_CALL_FAR, insn.flow);
  CHECK(DECODE(0xff, 0x25, 0, 0, 0, 0)); // jmp *0(%rip)
  CHECK_EQUAL(HT_INSN_END, insn.flow);
  CHECK(DECODE(0xc3));
  CHECK_EQUAL(HT_INSN_END, insn.flow);
  CHECK(DECODE(0xe3, 0x10)); // jrcxz
  CHECK_EQUAL(HT_INSN_LOOP, insn.flow);
  CHECK(DECODE(0xc7, 0xf8, 0, 0, 0, 0)); // xbegin
  CHECK_EQUAL(HT_INSN_CALL_FAR, insn.flow);
  CHECK(!DECODE(0x06));                         // push %es
  CHECK(!DECODE(0x66, 0xe9, 0, 0, 0, 0));       // a displacement of 16 or of 32 bits
  CHECK(!DECODE(0x48, 0x66, 0x90));             // a prefix behind REX
  CHECK(!DECODE(0xd5, 0x00, 0x90));             // REX2
  CHECK(!DECODE(0x8f, 0xe9, 0x78, 0x80, 0xc0)); // XOP
  CHECK(!DECODE(0xe9, 0xff, 0xff, 0xff, 0x7f)); // out of the address space
}

// No input makes it read past its end or claim more than there is.
static void noise(void) {
  uint64_t state = 0x9e3779b97f4a7c15ull;
  for (int i = 0; i < 2000000; i++) {
    uint8_t code[HT_INSN_MOST];
    for (unsigned k = 0; k < sizeof code; k++) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      code[k] = (uint8_t)(state >> 56);
    }
    size_t room = (state >> 32) % (sizeof code + 1);
    ht_insn insn;
    if (ht_insn_decode(code + sizeof code - room, room, &insn)) {
      if (insn.length == 0 || insn.length > room) CHECK(!"a length within bounds");
      if (insn.rip_at + 4u > room && insn.rip_at != 0) CHECK(!"a displacement within bounds");
    }
  }
}

int main(int count, char **files) {
  by_hand();
  noise();
  int compared = 0;
  for (int i = 1; i < count; i++) compared += whole_file(files[i]);
  if (count > 1 && compared == 0) {
    fprintf(stderr, "nothing to compare with: no objdump, or none of the files\n");
    return 77;
  }
  return check_report();
}
