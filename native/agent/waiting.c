// Waiting for the collector, as long as there is one.
#include <linux/futex.h>
#include <sys/syscall.h>

#include "ring.h"

#define COLLECTOR_STALE_NS 10000000000ull

void ht_wake_collector(void) {
  uint32_t *sleeping = &ht.session->sleeping;
  if (__atomic_load_n(sleeping, __ATOMIC_RELAXED) == 0) return;
  __atomic_store_n(sleeping, 0, __ATOMIC_RELAXED);
  ht_syscall(SYS_futex, (long)sleeping, FUTEX_WAKE, 1, 0, 0, 0);
}

bool ht_collector_gone(void) {
  // A killed collector is a zombie until its parent reaps it: kill(pid, 0) alone would not tell.
  char path[32] = "/proc/", *end = path + 6;
  char digits[12];
  int n = 0;
  for (uint32_t pid = ht.session->collector_pid; pid != 0; pid /= 10)
    digits[n++] = (char)('0' + pid % 10);
  while (n > 0) *end++ = digits[--n];
  for (const char *rest = "/stat"; *rest != 0;) *end++ = *rest++;
  *end = 0;
  int fd = ht_os_open(path, 0);
  if (fd < 0) return fd == -2; // ENOENT; anything else says nothing
  char stat[256];
  long got = ht_os_read(fd, stat, sizeof stat);
  ht_os_close(fd);
  for (long i = got - 1; i > 0; i--) { // "pid (name) S": the last parenthesis ends the name
    if (stat[i] == ')') return i + 2 < got && (stat[i + 2] == 'Z' || stat[i + 2] == 'X');
  }
  return false;
}

bool ht_wait_for_room(ht_ctx *ctx, ht_ring_header *ring, uint64_t block) {
  for (int spin = 0; spin < 300; spin++) {
    ctx->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (block - ctx->tail_seen < HT_RING_BLOCKS) return true;
    __builtin_ia32_pause();
  }
  uint64_t start = ht_os_now_ns(), heartbeat = ht.session->heartbeat, beat_at = start,
           checked = start;
  bool room = false;
  // Not for the child that a signal handler has forked: what it waits for is its parent's.
  while (*(ht_ring_header *volatile *)&ctx->ring != NULL) {
    ht_wake_collector();
    ht_os_sleep_ns(40000);
    ctx->tail_seen = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
    if (block - ctx->tail_seen < HT_RING_BLOCKS) {
      room = true;
      break;
    }
    uint64_t now = ht_os_now_ns();
    uint64_t beat = __atomic_load_n(&ht.session->heartbeat, __ATOMIC_RELAXED);
    if (beat != heartbeat) heartbeat = beat, beat_at = now;
    if (__atomic_load_n(&ht.session->state, __ATOMIC_RELAXED) == HT_STATE_STOPPED) break;
    if (now - checked > 20000000) { // 20 ms
      checked = now;
      if (ht_collector_gone() || now - beat_at > COLLECTOR_STALE_NS) {
        ht_turn_off(HT_OFF_COLLECTOR_DEAD);
        break;
      }
    }
    if (atomic_load_explicit(&ht.off, memory_order_relaxed)) break;
    // Of a part of the recording that has ended nothing more may be read.
    if (ctx->recalls != atomic_load_explicit(&ht_recalls, memory_order_relaxed)) break;
  }
  __atomic_fetch_add(&ht.process->wait_ns, ht_os_now_ns() - start, __ATOMIC_RELAXED);
  return room;
}
