// Mappings, and the bounds of stacks.
#define _GNU_SOURCE
#include "stacks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PAGE 4096u

// ------------------------------------------------------------------------------------- mappings

// ioctl of Linux 6.11 on /proc/PID/maps: one mapping by address (linux/fs.h).
typedef struct procmap_query {
  uint64_t size, flags, address;
  uint64_t start, end, vma_flags, page_size, offset, inode;
  uint32_t major, minor, name_size, build_id_size;
  uint64_t name, build_id;
} procmap_query;
#define PROCMAP_QUERY_CALL 0xc0686611ul // _IOWR('f', 17, 104 bytes)
#define PROCMAP_FLAGS 7u                // readable, writable, executable: as HT_MAPPING_*
_Static_assert(sizeof(procmap_query) == 104, "struct procmap_query");

static bool query_kernel(int fd, uintptr_t at, ht_mapping *mapping, char *path, size_t room,
                         bool *answered) {
  procmap_query q = {
      .size = sizeof q, .address = at, .name = (uintptr_t)path, .name_size = (uint32_t)room};
  long error = ht_syscall(SYS_ioctl, fd, (long)PROCMAP_QUERY_CALL, (long)&q, 0, 0, 0);
  *answered = error == 0 || error == -2 /* ENOENT: no mapping there */;
  if (error != 0) return false;
  mapping->low = q.start;
  mapping->high = q.end;
  mapping->flags = q.vma_flags & PROCMAP_FLAGS;
  return !path || q.name_size > 0;
}

// Reads the text of /proc/self/maps: "start-end perms offset dev inode   path". A state machine
// over characters, so that the buffer can be small: the thread may run on a tiny stack.
static bool query_text(int fd, uintptr_t at, ht_mapping *mapping, char *path, size_t room) {
  char buffer[512];
  ht_mapping line = {0, 0, 0};
  unsigned field = 0; // 0 start, 1 end, 2 perms, 3.. the rest, 7 path
  size_t length = 0;
  bool blank = false;
  for (;;) {
    long n = ht_os_read(fd, buffer, sizeof buffer);
    if (n <= 0) return false;
    for (long i = 0; i < n; i++) {
      char c = buffer[i];
      if (c == '\n') {
        if (at - line.low < line.high - line.low) {
          *mapping = line;
          if (path) path[length] = '\0';
          return !path || length > 0;
        }
        line = (ht_mapping){0, 0, 0};
        field = 0;
        length = 0;
        blank = false;
        continue;
      }
      if (field < 2) {
        uintptr_t *number = field == 0 ? &line.low : &line.high;
        if (c == '-' || c == ' ') {
          field++;
        } else {
          *number = *number * 16 + (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        continue;
      }
      if (field == 2 && c != ' ') {
        if (c == 'r') line.flags |= HT_MAPPING_READ;
        if (c == 'w') line.flags |= HT_MAPPING_WRITE;
        if (c == 'x') line.flags |= HT_MAPPING_EXECUTE;
      }
      if (c == ' ' && field < 6) {
        if (!blank) field++;
      } else if (field >= 6 && (c != ' ' || length) && path && length + 1 < room) {
        path[length++] = c;
      }
      blank = c == ' ' && field >= 6;
    }
  }
}

static bool query(uintptr_t at, ht_mapping *mapping, char *path, size_t room) {
  int fd = ht_os_open("/proc/self/maps", O_RDONLY);
  if (fd < 0) return false;
  bool answered;
  bool found = query_kernel(fd, at, mapping, path, room, &answered);
  if (!answered) found = query_text(fd, at, mapping, path, room);
  ht_os_close(fd);
  return found;
}

// Without /proc: asks page by page what can be read upwards from `at`, 16 pages a system call.
static bool probe(uintptr_t at, ht_mapping *mapping) {
  enum { STEP = 16, MOST = 64u << 20 };
  uintptr_t low = at & -(uintptr_t)PAGE, high = low;
  while (high - low < MOST) {
    struct iovec remote[STEP];
    char bytes[STEP];
    struct iovec local = {bytes, STEP};
    for (unsigned i = 0; i < STEP; i++)
      remote[i] = (struct iovec){(void *)(high + i * (uintptr_t)PAGE), 1};
    long n = ht_syscall(SYS_process_vm_readv, ht_os_pid(), (long)&local, 1, (long)remote, STEP, 0);
    if (n > 0) high += (uintptr_t)n * PAGE;
    if (n < STEP) break;
  }
  *mapping = (ht_mapping){low, high, HT_MAPPING_READ | HT_MAPPING_WRITE};
  return high > at;
}

bool ht_mapping_find(uintptr_t at, ht_mapping *mapping) { return query(at, mapping, NULL, 0); }

bool ht_mapping_path(uintptr_t at, char *path, size_t room) {
  ht_mapping mapping;
  return query(at, &mapping, path, room);
}

bool ht_executable(uintptr_t pc) {
  enum { KEPT = 8 };
  static _Atomic uintptr_t low[KEPT], high[KEPT]; // torn pairs only make it guess; nothing is read
  static _Atomic uint32_t next;
  for (unsigned i = 0; i < KEPT; i++) {
    if (pc >= atomic_load_explicit(&low[i], memory_order_relaxed) &&
        pc < atomic_load_explicit(&high[i], memory_order_relaxed))
      return true;
  }
  ht_mapping mapping;
  if (!ht_mapping_find(pc, &mapping) || !(mapping.flags & HT_MAPPING_EXECUTE)) return false;
  uint32_t i = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % KEPT;
  atomic_store_explicit(&low[i], mapping.low, memory_order_relaxed);
  atomic_store_explicit(&high[i], mapping.high, memory_order_relaxed);
  return true;
}

// --------------------------------------------------------------------------------------- stacks

// The kernel keeps this distance free below a stack that grows (its stack_guard_gap of 256 pages,
// less some slack), so whatever runs there runs on that stack.
#define GROWTH (240u * PAGE)

// [architecture] The thread control block: the C library puts it at the top of a thread's stack.
static uintptr_t thread_pointer(void) {
  uintptr_t tp;
#if defined(__x86_64__)
  __asm__("mov %%fs:0, %0" : "=r"(tp));
#elif defined(__aarch64__)
  __asm__("mrs %0, tpidr_el0" : "=r"(tp));
#else
#error "unknown architecture"
#endif
  return tp;
}

static void use(ht_native_cache *cache, uintptr_t low, uintptr_t high, bool own) {
  cache->stack_low = low;
  cache->stack_high = high & -(uintptr_t)sizeof(uintptr_t);
  cache->stack_own = own;
}

bool ht_stack_find(ht_native_cache *cache, uintptr_t sp, bool afresh) {
  if (sp - cache->own_low < cache->own_high - cache->own_low) {
    use(cache, cache->own_low, cache->own_high, true);
    return true;
  }
  for (unsigned i = 0; !afresh && i < HT_OTHER_STACKS; i++) {
    ht_stack_range *r = &cache->others[i];
    if (sp - r->low < r->high - r->low) {
      use(cache, r->low, r->high, false);
      return true;
    }
  }
  ht_mapping mapping;
  if (!query(sp, &mapping, NULL, 0)) {
    // A page below a growing stack that has not been touched yet has no mapping: sp may be just
    // there, in a hook whose caller keeps nothing below its return address. Ask a page higher.
    if (!query(sp + PAGE, &mapping, NULL, 0) && !probe(sp, &mapping)) return false;
    if (mapping.low > sp) mapping.low = sp;
  }
  if ((mapping.flags & 3) != (HT_MAPPING_READ | HT_MAPPING_WRITE)) return false;
  uintptr_t top = getauxval(AT_RANDOM); // lies above the frames of the first thread
  uintptr_t tp = thread_pointer();
  if (top - mapping.low < mapping.high - mapping.low && sp < top) {
    cache->own_low = mapping.low > GROWTH ? mapping.low - GROWTH : 0;
    cache->own_high = top;
    use(cache, cache->own_low, cache->own_high, true);
  } else if (tp - mapping.low < mapping.high - mapping.low && sp < tp) {
    cache->own_low = mapping.low;
    cache->own_high = tp;
    use(cache, mapping.low, tp, true);
  } else {
    cache->others[cache->other_next++ % HT_OTHER_STACKS] =
        (ht_stack_range){mapping.low, mapping.high};
    use(cache, mapping.low, mapping.high, false);
  }
  return true;
}
