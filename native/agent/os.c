// Raw system calls and the agent's lock. Nothing here sets errno or calls into libc.
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "agent.h"

long ht_syscall(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

void *ht_os_map(size_t bytes) {
  long p = ht_syscall(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p < 0 && p > -4096 ? NULL : (void *)p;
}

void ht_os_unmap(void *p, size_t bytes) {
  ht_syscall(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0);
}

int ht_os_open(const char *path, int flags) {
  return (int)ht_syscall(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0, 0, 0);
}

long ht_os_read(int fd, void *buffer, size_t bytes) {
  return ht_syscall(SYS_read, fd, (long)buffer, (long)bytes, 0, 0, 0);
}

void ht_os_close(int fd) { ht_syscall(SYS_close, fd, 0, 0, 0, 0, 0); }

void ht_os_sleep_ns(long ns) {
  struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  ht_syscall(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0);
}

uint64_t ht_os_now_ns(void) {
  struct timespec now = {0};
  ht_syscall(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0, 0, 0);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int ht_os_tid(void) { return (int)ht_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0); }
int ht_os_pid(void) { return (int)ht_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0); }

// 0 free, 1 taken, 2 taken and somebody may sleep.
void ht_lock_take(ht_lock *lock) {
  for (int spin = 0; spin < 200; spin++) {
    uint32_t expected = 0;
    if (atomic_compare_exchange_strong_explicit(&lock->word, &expected, 1, memory_order_acquire,
                                                memory_order_relaxed)) {
      return;
    }
    __builtin_ia32_pause();
  }
  while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0) {
    ht_syscall(SYS_futex, (long)&lock->word, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
  }
}

void ht_lock_drop(ht_lock *lock) {
  if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2) {
    ht_syscall(SYS_futex, (long)&lock->word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
  }
}
