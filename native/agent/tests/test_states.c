// A thread's context in all its states: interrupted, jumped out of, paused, apart, with nobody to read what
// it writes.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "../hooks.h"
#include "../record.h"
#include "../session.h"
#include "check.h"
#include "fake_session.h"

// -------------------------------------------------------------------------------- interrupted

// A thread that is stopped after every single instruction of the recording. Once in 128 times, by chance,
// the handler records too. Both number their events; a reader demands each, whole and in order.
// What both write fits in the ring. With a sanitizer's own instructions each takes ten times as long.
#ifdef __SANITIZE_ADDRESS__
#define STEPPED_EVENTS 1200u
#else
#define STEPPED_EVENTS 6000u
#endif
#define BY_HANDLER 0x40u

static volatile uint32_t handled;

static void record_step(int number) {
  static uint32_t state = 12345;
  (void)number;
  state = state * 1664525u + 1013904223u;
  if (state >> 25 != 0) return;
  ht_record_free(ht_tls, (void *)(uintptr_t)(handled + 1), BY_HANDLER);
  handled++;
}

#define TRAP_FLAG(operation, value)        \
  __asm__ volatile(                        \
      "lea -128(%%rsp), %%rsp\n\t"         \
      "pushfq\n\t" operation               \
      " %0, (%%rsp)\n\t"                   \
      "popfq\n\t"                          \
      "lea 128(%%rsp), %%rsp" ::"i"(value) \
      : "memory", "cc")

static void *write_stepped(void *argument) {
  (void)argument;
  start();
  TRAP_FLAG("orq", 0x100);
  for (uint64_t i = 1; i <= STEPPED_EVENTS; i++) {
    void *p = (void *)(uintptr_t)i;
    switch (i % 3) {
      case 0:
        if (i % 2 == 0 || HT_STATE(ht_tls) != HT_STATE_READY ||
            !ht_write_free(ht_tls, HT_OP_FREE, p, 0, HT_STATE_READY)) {
          ht_record_free_at(ht_tls, HT_OP_FREE, p, 0);
        } else if (ht_tls->limit == NULL) {
          ht_take_aside(ht_tls);
        }
        break;
      case 1:
        ht_record_alloc_inline(ht_tls, p, i, 0, 0, 0, 0);
        break;
      default:
        ht_record_alloc_at(ht_tls, HT_OP_ALLOC, p, i << 32, 0, HT_STACKS(i, i));
    }
  }
  TRAP_FLAG("andq", -0x101);
  return NULL;
}

static void *read_stepped(void *argument) {
  (void)argument;
  ht_ring_header *ring = (ht_ring_header *)(memory + HT_RING_HEADERS_OFFSET);
  while (__atomic_load_n(&ring->state, __ATOMIC_ACQUIRE) != HT_RING_LIVE) usleep(10);
  ring_reader reader = {0, 1};
  uint64_t own = 0, theirs = 0, wrong = 0;
  bool ended = false;
  for (;;) {
    bool last = *(volatile bool *)argument;
    const uint64_t *event = next_event(&reader);
    if (event == NULL) {
      if (ended) break;
      ended = last;
      continue;
    }
    if (HT_AUX(*event) & BY_HANDLER) {
      wrong += HT_VALUE(*event) != ++theirs;
      reader.at++;
      continue;
    }
    uint64_t i = ++own;
    wrong += HT_VALUE(*event) != i || HT_OP(*event) != (i % 3 == 0 ? HT_OP_FREE : HT_OP_ALLOC);
    if (i % 3 == 1) wrong += event[1] != i;
    if (i % 3 == 2) wrong += event[1] != i << 32 || event[2] != i || event[3] != i << 32;
    reader.at += (unsigned[]){1, 2, 4}[i % 3];
  }
  wrong += theirs != handled || own != STEPPED_EVENTS;
  return (void *)wrong;
}

static void test_interrupted_anywhere(void) {
  new_session(0);
  ht.config = 0;
  struct sigaction action = {.sa_handler = record_step};
  CHECK_EQUAL(0, sigaction(SIGTRAP, &action, NULL));
  pthread_t reader;
  void *wrong;
  bool over = false;
  pthread_create(&reader, NULL, read_stepped, &over);
  in_thread(write_stepped, NULL);
  *(volatile bool *)&over = true;
  pthread_join(reader, &wrong);
  CHECK_EQUAL(0, (uintptr_t)wrong);
  CHECK_EQUAL(0, ht.process->lost_events);
  CHECK(handled > STEPPED_EVENTS / 12);
}

// A handler that jumps out of the writing of an event leaves nobody to end it: the thread's events go on.
static void *write_after_a_jump(void *argument) {
  (void)argument;
  ht_ctx *ctx = start();
  ht_reserve(&ctx, 2); // and never committed
  for (uint64_t i = 1; i <= 1000; i++) ht_record_free_at(ht_tls, HT_OP_FREE, (void *)i, BY_HANDLER);
  return (void *)(uintptr_t)(ctx->limit == NULL);
}

static void test_jumped_out(void) {
  new_session(0);
  CHECK_EQUAL(0, (uintptr_t)in_thread(write_after_a_jump, NULL));
  ht_ring_header *ring = (ht_ring_header *)(memory + HT_RING_HEADERS_OFFSET);
  uint64_t found = 0;
  for (uint64_t block = 0; block <= ring->head; block++) {
    const uint64_t *words = ht_session_ring(0) + block * HT_BLOCK_WORDS;
    for (unsigned i = 1; i < HT_BLOCK_WORDS; i++) found += (HT_AUX(words[i]) & BY_HANDLER) != 0;
  }
  CHECK_EQUAL(1000, found);
  CHECK_EQUAL(0, ht.process->lost_events);
}

// -------------------------------------------------------------------------------- turned off

static void *fill_until_off(void *argument) {
  (void)argument;
  ht_ctx *ctx = start();
  uint64_t events = 0;
  while (ht_recording(ctx) && events < 10 * HT_RING_BYTES) {
    uint64_t *w = ht_reserve(&ctx, 1);
    ht_commit(ctx, w, 1);
    events++;
  }
  return (void *)events;
}

static void test_collector_dead(void) {
  new_session(0);
  pid_t child = fork();
  if (child == 0) _exit(0);
  usleep(20000); // a zombie now: kill(pid, 0) would still succeed
  ht.session->collector_pid = (uint32_t)child;
  uint64_t events = (uintptr_t)in_thread(fill_until_off, NULL);
  CHECK_EQUAL(HT_RING_BLOCKS * (HT_BLOCK_WORDS - 1) + 1, events);
  CHECK_EQUAL(HT_OFF_COLLECTOR_DEAD, ht.process->off_reason);
  CHECK(atomic_load(&ht.off));
}

static void *see_budget(void *argument) {
  ht_ctx *ctx = ht_ready(ht_tls);
  CHECK(!ht_recording(ctx));
  CHECK(ctx->left > 0);
  *(int64_t *)argument = ctx->left;
  return ctx;
}

static void *keep_quiet(void *argument) {
  ht_ctx *ctx = see_budget(argument);
  CHECK_EQUAL(HT_FREES_NONE, ctx->frees);
  return NULL;
}

static void *only_free(void *argument) {
  ht_record_free(ht_tls, argument, HT_KIND_MALLOC);
  return NULL;
}

static void test_states(void) {
  new_session(0);
  int64_t budget = 0;
  ht.session->state = HT_STATE_PAUSED;
  in_thread(see_budget, &budget);
  CHECK(budget < 1 << 20); // looks again soon
  in_thread(only_free, &budget);
  CHECK_EQUAL(0, ht.session->rings_used);
  ht.session->state = HT_STATE_RECORDING;
  in_thread(only_free, &budget); // which need not allocate to see the beginning
  CHECK_EQUAL(HT_OP_FREE, HT_OP(ht_session_ring(0)[1]));
  ht.session->state = HT_STATE_STOPPED;
  in_thread(keep_quiet, &budget);
  CHECK(budget > 1ll << 60); // never again
  CHECK_EQUAL(HT_OFF_SESSION_STOPPED, ht.process->off_reason);
}

static void test_rings_run_out(void) {
  new_session(0);
  for (uint32_t i = 0; i < HT_MAX_RINGS; i++) {
    ((ht_ring_header *)(memory + HT_RING_HEADERS_OFFSET))[i].state = HT_RING_LIVE;
  }
  ht.session->rings_used = HT_MAX_RINGS;
  int64_t budget = 0;
  in_thread(keep_quiet, &budget);
  CHECK_EQUAL(1, ht.session->rings_refused);
  CHECK_EQUAL(1, ht.process->lost_events);
}

// -------------------------------------------------------------------------------------- apart

// What a thread allocates for heaptide's own sake (late.c) is not recorded; what it frees is.
static void *be_apart(void *argument) {
  ht_ctx *ctx = start();
  void *const p = (void *)0x1000, *const q = (void *)0x2000;
  ht_record_alloc(ctx, p, 1, HT_KIND_MALLOC, 0, 0, 0);
  ctx->frees = HT_FREES_ONLY;
  ht_record_alloc(ctx, q, 2, HT_KIND_MALLOC, 0, 0, 0);
  CHECK(ht_record_realloc_begin(ctx, p, HT_KIND_MALLOC) == NULL);
  ht_record_map(ctx, p, 4096, HT_KIND_MMAP, 0, 0, 0);
  ht_record_map(ctx, q, 4096, HT_KIND_ARENA, 0, 0, 0); // what is allocated from it may stay
  ht_record_free(ctx, q, HT_KIND_MALLOC);
  ht_record_unmap(ctx, q, 4096, HT_KIND_ARENA);
  CHECK_EQUAL(HT_FREES_ONLY, ctx->frees);
  if (argument != NULL) {
    // A recording that pauses meanwhile is noticed as by any other thread.
    ht.session->state = HT_STATE_PAUSED;
    ht_recall_threads();
    ht_record_free(ctx, p, HT_KIND_MALLOC);
    CHECK(!ht_recording(ctx));
    return NULL;
  }
  ctx->frees = HT_FREES_ALL;
  ht_record_alloc(ctx, q, 3, HT_KIND_MALLOC, 0, 0, 0);
  return NULL;
}

static void test_apart(void) {
  new_session(0);
  ht.config = 0;
  in_thread(be_apart, NULL);
  const struct {
    unsigned op, kind;
    uint64_t address, size;
  } expected[] = {
      {HT_OP_ALLOC, HT_KIND_MALLOC, 0x1000, 1},   {HT_OP_FREE, HT_KIND_MALLOC, 0x1000, 0},
      {HT_OP_ALLOC, HT_KIND_ARENA, 0x2000, 4096}, {HT_OP_FREE, HT_KIND_MALLOC, 0x2000, 0},
      {HT_OP_UNMAP, HT_KIND_ARENA, 0x2000, 4096}, {HT_OP_ALLOC, HT_KIND_MALLOC, 0x2000, 3},
  };
  const uint64_t *word = ht_session_ring(0) + 1;
  for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
    CHECK_EQUAL(expected[i].op, HT_OP(*word));
    CHECK_EQUAL(expected[i].kind, HT_AUX(*word) & 0xf);
    CHECK_EQUAL(expected[i].address, HT_VALUE(*word));
    if (expected[i].size != 0) CHECK_EQUAL(expected[i].size, (uint32_t)word[1]);
    word += ht_event_words(*word);
  }
  CHECK_EQUAL(0, *word);
  new_session(0);
  in_thread(be_apart, &word);
}

int main(void) {
  test_interrupted_anywhere();
  test_jumped_out();
  test_collector_dead();
  test_states();
  test_rings_run_out();
  test_apart();
  return check_report();
}
