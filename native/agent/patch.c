// Planning a jump at a function's entry, building what it leads to, writing it.
//
// Code pages are never writable and executable at once.
#include "patch.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "insn.h"

#define PAGE 4096u
#define JUMP 5u            // bytes of `jmp rel32`
#define REACH 0x7fff0000ll // of such a jump, with some slack

// What stands behind one function's entry. 32 to a page.
typedef struct ht_patch_room {
  ht_slot slot;
  const void *hook;
  uint8_t stub[16]; // lea slot(%rip), %r9; notrack jmp *hook(%rip)
  uint8_t copy[64]; // endbr64; displaced instructions; jmp to the rest
  uint8_t original[8];
} room;
_Static_assert(sizeof(room) == 128, "a power of two");

// ---------------------------------------------------------------------------------------- plan

static const uint8_t endbr64[4] = {0xf3, 0x0f, 0x1e, 0xfa};

// Whether a jump anywhere in the function leads into the bytes [from, to) of it. Then they cannot be
// replaced: nor the first of them, because what jumps there need not have the arguments in place.
static const char *check_body(const uint8_t *entry, size_t size, size_t from, size_t to) {
  for (size_t at = 0; at < size;) {
    ht_insn insn;
    if (!ht_insn_decode(entry + at, size - at, &insn)) return "it has instructions of unknown form";
    long target = (long)at + insn.target;
    bool inside = target >= (long)from && target < (long)to;
    bool at_entry = target == 0 || target == (long)from;
    if (insn.flow == HT_INSN_CALL) {
      if (inside && !at_entry) return "it calls into its own beginning";
    } else if (insn.flow == HT_INSN_JUMP || insn.flow == HT_INSN_BRANCH ||
               insn.flow == HT_INSN_LOOP) {
      if (inside || at_entry) return "it jumps to its own beginning";
    }
    at += insn.length;
  }
  return NULL;
}

// call *displacement(%rip): how code without a PLT calls.
static bool is_call_through(const uint8_t *code, const ht_insn *insn) {
  return insn->length == 6 && code[0] == 0xff && code[1] == 0x15;
}

// Whether the processor checks on a stack of its own that returns go where calls came from.
static bool returns_are_guarded(void) {
  uint64_t shadow = 0;
  __asm__ volatile("rdsspq %0" : "+r"(shadow)); // does nothing where there is none
  return shadow != 0;
}

// Whether nothing but padding follows the function, which ends before the byte `to`, up to that. Only
// in the 16 bytes that it begins, for who aligns one function so aligns all of them.
static bool is_padded(const uint8_t *entry, size_t size, size_t to) {
  if ((uintptr_t)entry % 16 != 0 || to > 16) return false;
  for (size_t at = size; at < to;) {
    ht_insn insn;
    if (!ht_insn_decode(entry + at, 16 - at, &insn)) return false;
    const uint8_t *opcode = entry + at;
    while (*opcode == 0x66 || *opcode == 0x2e) opcode++;
    if (*opcode != 0x90 && *opcode != 0xcc && !(opcode[0] == 0x0f && opcode[1] == 0x1f))
      return false;
    at += insn.length;
  }
  return true;
}

static const char *plan(ht_patch *p) {
  const uint8_t *entry = p->entry;
  size_t at = 0;
  ht_insn insn = {0};
  p->forwards = NULL;
  if (p->size >= sizeof endbr64 && memcmp(entry, endbr64, sizeof endbr64) == 0) at = sizeof endbr64;
  p->skip = (uint8_t)at;
  while (at - p->skip < JUMP) {
    if (at >= p->size && (insn.flow == HT_INSN_JUMP || insn.flow == HT_INSN_END)) {
      if (!is_padded(entry, p->size, p->skip + JUMP)) return "it is too short";
      at = p->skip + JUMP;
      break;
    }
    if (at >= p->size || !ht_insn_decode(entry + at, p->size - at, &insn))
      return "it begins with unknown instructions";
    if (insn.flow == HT_INSN_JUMP && at == p->skip) p->forwards = entry + at + insn.target;
    bool call = insn.flow == HT_INSN_CALL || is_call_through(entry + at, &insn);
    if (call && returns_are_guarded()) return "it begins with a call, and returns are guarded here";
    if (insn.flow == HT_INSN_CALL_FAR && !call) return "it begins with an indirect call";
    if (insn.flow == HT_INSN_LOOP || (insn.rip_at != 0 && insn.narrow))
      return "it begins with instructions that cannot be moved";
    size_t end = at + insn.length;
    // Out of line code may come back to what follows such a branch.
    bool leaves = insn.flow == HT_INSN_BRANCH && (size_t)((long)at + insn.target) >= p->size;
    if (leaves && end - p->skip < JUMP) return "it begins with a branch to elsewhere";
    at = end;
  }
  p->displaced = (uint8_t)(at - p->skip);
  return check_body(entry, p->size, p->skip, at);
}

void ht_patch_plan(ht_patch *patch) { patch->unfit = plan(patch); }

// --------------------------------------------------------------------------------------- build

static bool put_relative(uint8_t *at, const uint8_t *from, const uint8_t *to) {
  int64_t by = to - from;
  int32_t value = (int32_t)by;
  memcpy(at, &value, sizeof value);
  return by == value;
}

static bool put_jump(uint8_t *at, const uint8_t *to) {
  at[0] = 0xe9;
  return put_relative(at + 1, at + JUMP, to);
}

// A call has to return into the function itself, not into the copy, of which no unwinder knows. It is
// the last of what is displaced, being as long as a jump: so what it returns to is still there.
#define PUSH_RETURN 13u
static uint8_t *put_return(uint8_t *to, const uint8_t *address) {
  uint32_t halves[2];
  memcpy(halves, &address, sizeof halves);
  to[0] = 0x68; // push
  memcpy(to + 1, &halves[0], 4);
  memcpy(to + 5, (const uint8_t[]){0xc7, 0x44, 0x24, 0x04}, 4); // movl, to the upper half of it
  memcpy(to + 9, &halves[1], 4);
  return to + PUSH_RETURN;
}

static bool build(const ht_patch *p, room *r) {
  if (p->unfit != NULL || p->displaced < JUMP) return false;
  r->slot = p->slot;
  r->slot.real = r->copy;
  r->hook = p->hook;
  static const uint8_t stub[] = {0x4c, 0x8d, 0x0d, 0, 0, 0, 0, 0x3e, 0xff, 0x25, 0, 0, 0, 0};
  memcpy(r->stub, stub, sizeof stub);
  bool fits = put_relative(r->stub + 3, r->stub + 7, (const uint8_t *)&r->slot) &&
              put_relative(r->stub + 10, r->stub + 14, (const uint8_t *)&r->hook);
  memcpy(r->copy, endbr64, sizeof endbr64);
  const uint8_t *limit = r->copy + sizeof r->copy;
  uint8_t *to = r->copy + sizeof endbr64;
  const uint8_t *from = p->entry + p->skip, *end = from + p->displaced;
  for (const uint8_t *code = p->entry + p->size; from < end && from < code;) {
    ht_insn insn;
    if (to + PUSH_RETURN + HT_INSN_MOST + JUMP > limit) return false;
    if (!ht_insn_decode(from, (size_t)(code - from), &insn)) return false;
    if (insn.flow == HT_INSN_JUMP) {
      fits &= put_jump(to, from + insn.target);
      to += JUMP;
    } else if (insn.flow == HT_INSN_BRANCH) {
      to[0] = 0x0f;
      to[1] = 0x80 | insn.condition;
      fits &= put_relative(to + 2, to + 6, from + insn.target);
      to += 6;
    } else if (insn.flow == HT_INSN_CALL) {
      to = put_return(to, from + insn.length);
      fits &= put_jump(to, from + insn.target);
      to += JUMP;
    } else {
      if (is_call_through(from, &insn)) to = put_return(to, from + insn.length);
      memcpy(to, from, insn.length);
      if (is_call_through(from, &insn)) to[1] = 0x25; // jmp
      if (insn.rip_at != 0) {
        int32_t by;
        memcpy(&by, from + insn.rip_at, sizeof by);
        fits &= put_relative(to + insn.rip_at, to + insn.length, from + insn.length + by);
      }
      to += insn.length;
    }
    from += insn.length;
  }
  return fits && put_jump(to, end);
}

// --------------------------------------------------------------------------------------- write

#define FAILED(result) ((result) < 0 && (result) > -4096)

// Memory whence every address of [low, high) can be reached, below it if there is any: what follows a
// program is the heap's.
static void *map_near(uintptr_t low, uintptr_t high, size_t bytes) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | 0x100000 /* MAP_FIXED_NOREPLACE */;
  for (unsigned side = 0; side < 2; side++) {
    uintptr_t step = 16 * PAGE;
    for (uintptr_t away = step; away < REACH; away += step) {
      if (away > 64 * step) step = 1 << 20;
      uintptr_t at = side == 0 ? low - away - bytes : high + away;
      at &= -(uintptr_t)PAGE;
      uintptr_t reach = side == 0 ? high - at : at + bytes - low;
      if (at < 16 * PAGE || at >> 47 != 0 || reach > REACH) break;
      long p = ht_syscall(SYS_mmap, (long)at, (long)bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
      if (FAILED(p)) continue;
      if ((uintptr_t)p == at) return (void *)p;
      ht_os_unmap((void *)p, bytes); // a kernel that takes it for a hint
    }
  }
  return NULL;
}

static bool protect(const void *from, size_t bytes, int access) {
  uintptr_t low = (uintptr_t)from & -(uintptr_t)PAGE;
  size_t all = (((uintptr_t)from + bytes + PAGE - 1) & -(uintptr_t)PAGE) - low;
  return ht_syscall(SYS_mprotect, (long)low, (long)all, access, 0, 0, 0) == 0;
}

// Whether this system lets changed code run, tried on a copy of the page: once the real one has been
// changed there must be a way back.
static bool rehearse(int fd, uint64_t offset, int access) {
  long p = ht_syscall(SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd,
                      (long)(offset & -(uint64_t)PAGE));
  if (FAILED(p)) return false;
  *(volatile uint8_t *)p = 0xcc;
  bool allowed = protect((void *)p, PAGE, access);
  ht_os_unmap((void *)p, PAGE);
  return allowed;
}

static bool write_code(const uint8_t *at, const uint8_t *bytes, int access) {
  if (!protect(at, JUMP, PROT_READ | PROT_WRITE)) return false;
  memcpy((uint8_t *)(uintptr_t)at, bytes, JUMP);
  return protect(at, JUMP, access);
}

static const char *write_all(ht_patch *patches, unsigned count, int access) {
  uint64_t every = ~0ull, before = 0;
  ht_syscall(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&every, (long)&before, 8, 0, 0);
  const char *why = NULL;
  unsigned done = 0;
  for (; done < count && why == NULL; done++) {
    ht_patch *p = &patches[done];
    const uint8_t *at = p->entry + p->skip;
    uint8_t jump[JUMP] = {0xe9};
    put_relative(jump + 1, at + JUMP, p->room->stub);
    if (!write_code(at, jump, access)) why = "its code could not be changed";
  }
  while (why != NULL && done-- > 0) {
    const ht_patch *p = &patches[done];
    write_code(p->entry + p->skip, p->room->original, access);
  }
  ht_syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&before, 0, 8, 0, 0);
  return why;
}

const char *ht_patch_apply(ht_patch *patches, unsigned count, uintptr_t low, uintptr_t high, int fd,
                           uint64_t offset, int access) {
  if (!rehearse(fd, offset, access)) return "this system forbids changing code";
  size_t bytes = (count * sizeof(room) + PAGE - 1) & -(size_t)PAGE;
  room *rooms = map_near(low, high, bytes);
  if (rooms == NULL) return "there is no room near it";
  bool fits = true;
  for (unsigned i = 0; i < count; i++) patches[i].room = &rooms[i];
  for (unsigned i = 0; i < count; i++) {
    ht_patch *p = &patches[i];
    fits &= build(p, p->room);
    memcpy(p->room->original, p->entry + p->skip, JUMP);
    for (unsigned k = 0; k < count; k++) {
      if (p->slot.companion == &patches[k].slot) p->room->slot.companion = &rooms[k].slot;
    }
  }
  const char *why = fits ? NULL : "it begins with instructions that cannot be moved";
  if (why == NULL && !protect(rooms, bytes, PROT_READ | PROT_EXEC))
    why = "this system forbids changing code";
  if (why == NULL) why = write_all(patches, count, access);
  if (why != NULL) ht_os_unmap(rooms, bytes);
  return why;
}
