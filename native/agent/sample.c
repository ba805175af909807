// Poisson sampling by bytes, and the filter that tells the frees of sampled blocks from the others.
//
// A free costs one probe of an 8 KiB bitmap (in the first-level cache). Bits are cleared again: each
// counts the sampled blocks behind it. The exact set of sampled addresses is only read on a hit.
#include "record.h"
#include "session.h"

#define SET_FIRST 1024u

uint64_t ht_sample_bitmap[HT_SAMPLE_BITS / 64];
static uint16_t counts[HT_SAMPLE_BITS];
static uintptr_t *set; // open addressing, 0 empty
static uint32_t set_mask, set_used;
static ht_lock lock;

static inline uint64_t hash(uintptr_t p) { return (uint64_t)p * 0x9e3779b97f4a7c15ull; }

// -ln(u) for u uniform in (0, 1], by the exponent and a polynomial for the mantissa; relative error
// below 1e-4, far under the noise of sampling.
static double exponential(ht_ctx *ctx) {
  uint32_t a = ctx->sample_state[0], b = ctx->sample_state[1];
  ctx->sample_state[0] = b;
  a ^= a << 13, a ^= a >> 17, a ^= b ^ (b << 5);
  ctx->sample_state[1] = a | 1;
  union {
    double value;
    uint64_t bits;
  } u = {.value = ((double)(a ^ (b * 2654435761u)) + 1.0) / 4294967296.0};
  int exponent = (int)((u.bits >> 52) & 0x7ff) - 1023;
  u.bits = (u.bits & 0xfffffffffffffull) | 0x3ff0000000000000ull;
  // ln(m) on [1, 2) by atanh: 2 (t + t^3/3 + t^5/5 + t^7/7), t = (m - 1) / (m + 1).
  double t = (u.value - 1) / (u.value + 1), t2 = t * t;
  double ln_m = 2 * t * (1 + t2 * (1.0 / 3 + t2 * (1.0 / 5 + t2 * (1.0 / 7 + t2 / 9))));
  return -(exponent * 0.69314718055994530942 + ln_m);
}

void ht_sample_arm(ht_ctx *ctx) {
  double bytes = exponential(ctx) * (double)ht.sample_interval;
  ctx->left = (int64_t)bytes + 1;
}

static bool grow(void) {
  uint32_t old_slots = set == NULL ? 0 : set_mask + 1;
  uint32_t slots = set == NULL ? SET_FIRST : old_slots * 2;
  uintptr_t *bigger = ht_os_map(slots * sizeof *bigger);
  if (bigger == NULL) return false;
  for (uint32_t i = 0; i < old_slots; i++) {
    if (set[i] == 0) continue;
    uint32_t at = (uint32_t)(hash(set[i]) >> 20) & (slots - 1);
    while (bigger[at] != 0) at = (at + 1) & (slots - 1);
    bigger[at] = set[i];
  }
  if (set != NULL) ht_os_unmap(set, old_slots * sizeof *set);
  set = bigger;
  set_mask = slots - 1;
  return true;
}

bool ht_sample_alloc(ht_ctx *ctx, const void *block) {
  uintptr_t p = (uintptr_t)block;
  ht_sample_arm(ctx);
  if (p == 0) return false;
  // In a signal handler that may have interrupted us here.
  if (ctx->busy && !ht_abandoned(ctx)) return false;
  ctx->busy = HT_BUSY_CAPTURE;
  ht_lock_take(&lock);
  bool added = (uint64_t)set_used * 2 < (uint64_t)set_mask || grow();
  if (added) {
    uint32_t at = (uint32_t)(hash(p) >> 20) & set_mask;
    while (set[at] != 0 && set[at] != p) at = (at + 1) & set_mask;
    if (set[at] == 0) {
      set[at] = p;
      set_used++;
      uint32_t bit = ht_sample_bit(p);
      if (counts[bit] != UINT16_MAX) counts[bit]++;
      __atomic_fetch_or(&ht_sample_bitmap[bit / 64], 1ull << (bit % 64), __ATOMIC_RELEASE);
    }
  }
  ht_lock_drop(&lock);
  ctx->busy = 0;
  return added;
}

static bool forget(uintptr_t p) {
  ht_lock_take(&lock);
  uint32_t at = (uint32_t)(hash(p) >> 20) & set_mask;
  while (set != NULL && set[at] != 0 && set[at] != p) at = (at + 1) & set_mask;
  bool found = set != NULL && set[at] == p;
  if (found) {
    // Backward shift: what probed past this slot moves up.
    uint32_t hole = at;
    for (uint32_t next = (hole + 1) & set_mask; set[next] != 0; next = (next + 1) & set_mask) {
      uint32_t home = (uint32_t)(hash(set[next]) >> 20) & set_mask;
      if (((next - home) & set_mask) >= ((next - hole) & set_mask)) {
        set[hole] = set[next];
        hole = next;
      }
    }
    set[hole] = 0;
    set_used--;
    uint32_t bit = ht_sample_bit(p);
    if (counts[bit] != UINT16_MAX && --counts[bit] == 0) {
      __atomic_fetch_and(&ht_sample_bitmap[bit / 64], ~(1ull << (bit % 64)), __ATOMIC_RELEASE);
    }
  }
  ht_lock_drop(&lock);
  return found;
}

bool ht_sample_free(ht_ctx *ctx, const void *block) {
  uintptr_t p = (uintptr_t)block;
  if (HT_LIKELY(!ht_sample_maybe(block))) return false;
  if (ctx->busy && !ht_abandoned(ctx)) return false;
  ctx->busy = HT_BUSY_CAPTURE;
  bool found = forget(p);
  ctx->busy = 0;
  return found;
}

void ht_sample_reset(void) {
  ht_lock_take(&lock);
  if (set != NULL) ht_os_unmap(set, (set_mask + 1) * sizeof *set);
  set = NULL;
  set_mask = set_used = 0;
  for (uint32_t i = 0; i < HT_SAMPLE_BITS; i++) {
    if (counts[i] != 0) counts[i] = 0;
  }
  for (uint32_t i = 0; i < HT_SAMPLE_BITS / 64; i++) {
    __atomic_store_n(&ht_sample_bitmap[i], 0, __ATOMIC_RELAXED);
  }
  ht_lock_drop(&lock);
}

void ht_sample_after_fork(void) { atomic_store(&lock.word, 0); }
