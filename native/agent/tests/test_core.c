// The agent's core apart from any program: interning, rings, variable data, sampling, environment.
// The session is a plain piece of memory, its collector a thread of this test.
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../hooks.h"
#include "../record.h"
#include "../session.h"
#include "check.h"

// ------------------------------------------------------------------------------ a small session

#define RINGS 8u
ht_global ht;
static char *memory;
static const char *fake_variable = "HEAPTIDE_SESSION=/proc/1/fd/3";

bool ht_session_start(void) { return true; }
uint64_t *ht_session_ring(uint32_t i) {
  return i < RINGS ? (uint64_t *)(memory + HT_RINGS_OFFSET + (uint64_t)i * HT_RING_BYTES) : NULL;
}
void ht_session_announce(ht_ctx *ctx) { (void)ctx; }
ht_ctx *ht_session_quiet_context(void) { return ht_os_map(4096); }
const char *ht_session_variable(void) { return fake_variable; }
const char *ht_session_library(void) { return "/opt/lib/libheaptide.so"; }

// No stacks here.
bool ht_python_present;
uint32_t ht_python_stack(ht_ctx *ctx, bool gil_held) { return (void)ctx, gil_held; }
uint32_t ht_native_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  return (void)ctx, (uint32_t)(pc + sp + bp);
}
ht_real_functions ht_real;

static void new_session(uint64_t interval) {
  size_t bytes = HT_RINGS_OFFSET + RINGS * HT_RING_BYTES;
  if (memory != NULL) munmap(memory, bytes);
  memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ht.session = (ht_session_header *)memory;
  ht.session->state = HT_STATE_RECORDING;
  ht.session->sample_interval = interval;
  ht.sample_interval = interval;
  ht.session->collector_pid = (uint32_t)getpid();
  ht.process = (ht_process *)(memory + HT_PROCESSES_OFFSET);
  ht.process->pid = (uint32_t)getpid();
  atomic_store(&ht.off, 0);
}

static ht_ring_header *ring_of(const ht_ctx *ctx) { return ctx->ring; }

// ---------------------------------------------------------------------------------- a thread

typedef struct job {
  void *(*work)(void *);
  void *argument, *result;
} job;

static void *in_thread(void *(*work)(void *), void *argument) {
  pthread_t thread;
  void *result = NULL;
  pthread_create(&thread, NULL, work, argument);
  pthread_join(thread, &result);
  return result;
}

static ht_ctx *start(void) {
  ht_ctx *ctx = ht_ready(ht_tls);
  CHECK(ht_recording(ctx));
  CHECK(ctx == ht_tls);
  return ctx;
}

// -------------------------------------------------------------------------------------- trie

#define NODES 100000u
static uint32_t ids[4][NODES];

static void *add_nodes(void *argument) {
  uint32_t *mine = argument;
  ht_ctx *ctx = start();
  for (uint32_t i = 0; i < NODES; i++) {
    uint32_t parent = i < 10 ? HT_NODE_ROOT_NATIVE : mine[i / 10];
    uint64_t key = 0x7f0000001000ull + i * 7;
    mine[i] = ht_trie_find(parent, key);
    if (mine[i] == 0) mine[i] = ht_trie_add(ctx, parent, key, 0, key, 1);
  }
  return NULL;
}

static _Atomic bool draining;
static uint64_t nodes_seen, words_seen;

// A collector that follows every ring and counts NODE events.
static void *drain(void *argument) {
  (void)argument;
  bool last = false;
  for (;;) {
    bool stop = !atomic_load(&draining);
    for (uint32_t r = 0; r < RINGS; r++) {
      ht_ring_header *ring = (ht_ring_header *)(memory + HT_RING_HEADERS_OFFSET) + r;
      uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
      uint64_t end = last ? head + 1 : head; // the open blocks too, once all threads are done
      if (__atomic_load_n(&ring->state, __ATOMIC_ACQUIRE) != HT_RING_LIVE) continue;
      for (uint64_t b = ring->tail; b < end; b++) {
        uint64_t *block = ht_session_ring(r) + b % HT_RING_BLOCKS * HT_BLOCK_WORDS;
        for (unsigned i = 1; i < HT_BLOCK_WORDS && block[i] != 0;) {
          nodes_seen += HT_OP(block[i]) == HT_OP_NODE;
          i += HT_OP(block[i]) == HT_OP_NODE ? 3 : 1;
          words_seen++;
        }
      }
      __atomic_store_n(&ring->tail, end, __ATOMIC_RELEASE);
    }
    ht.session->heartbeat++;
    if (last) return NULL;
    last = stop;
    usleep(100);
  }
}

static bool in_second_half(uint64_t key, void *closure) {
  (void)closure;
  return key >= 0x7f0000001000ull + NODES / 2 * 7;
}

static void test_trie(void) {
  new_session(0);
  atomic_store(&draining, true);
  nodes_seen = 0;
  pthread_t collector, threads[4];
  pthread_create(&collector, NULL, drain, NULL);
  for (int t = 0; t < 4; t++) pthread_create(&threads[t], NULL, add_nodes, ids[t]);
  for (int t = 0; t < 4; t++) pthread_join(threads[t], NULL);
  atomic_store(&draining, false);
  pthread_join(collector, NULL);
  CHECK_EQUAL(0, memcmp(ids[0], ids[1], sizeof ids[0]));
  CHECK_EQUAL(0, memcmp(ids[0], ids[2], sizeof ids[0]));
  CHECK_EQUAL(0, memcmp(ids[0], ids[3], sizeof ids[0]));
  CHECK_EQUAL(HT_NODE_FIRST - 1 + NODES, ht_trie_count());
  CHECK_EQUAL(NODES, nodes_seen); // each node announced exactly once
  static bool used[NODES + HT_NODE_FIRST];
  uint32_t distinct = 0;
  for (uint32_t i = 0; i < NODES; i++) {
    distinct += !used[ids[0][i]];
    used[ids[0][i]] = true;
  }
  CHECK_EQUAL(NODES, distinct);
  ht_trie_forget(in_second_half, NULL);
  CHECK_EQUAL(0, ht_trie_find(ids[0][(NODES - 1) / 10], 0x7f0000001000ull + (NODES - 1) * 7ull));
  CHECK_EQUAL(ids[0][3], ht_trie_find(HT_NODE_ROOT_NATIVE, 0x7f0000001000ull + 21));
}

// -------------------------------------------------------------------------------------- rings

static void *write_meta(void *argument) {
  ht_ctx *ctx = start();
  const char *text = argument;
  ht_meta m;
  ht_meta_begin(&m, ctx, HT_META_MARK);
  ht_meta_u64(&m, 42);
  ht_meta_bytes(&m, text, (uint32_t)strlen(text));
  ht_meta_end(&m);
  ht_note(ctx, "once");
  ht_note(ctx, "once");
  return ctx;
}

static void test_meta(void) {
  new_session(0);
  static char text[5001], stream[8192];
  for (int i = 0; i < 5000; i++) text[i] = (char)('a' + i % 26);
  ht_ctx *ctx = in_thread(write_meta, text);
  size_t used = 0;
  int records = 0, notes = 0, fragments = 0;
  for (uint64_t b = 0; b <= ring_of(ctx)->head; b++) {
    uint64_t *block = ctx->blocks + b * HT_BLOCK_WORDS;
    CHECK(block[0] != 0);
    for (unsigned i = 1; i < HT_BLOCK_WORDS && block[i] != 0;) {
      CHECK_EQUAL(HT_OP_META, HT_OP(block[i]));
      unsigned words = HT_VALUE(block[i]) & 0xffff, type = HT_VALUE(block[i]) >> 16 & 0xff;
      bool more = HT_VALUE(block[i]) >> 24 & 1;
      if (type == HT_META_MARK) {
        memcpy(stream + used, &block[i + 1], words * 8);
        used += words * 8;
        fragments++;
        records += !more;
      }
      notes += type == HT_META_NOTE;
      i += 1 + words;
    }
  }
  CHECK_EQUAL(1, records);
  CHECK(fragments > 1);
  CHECK_EQUAL(1, notes);
  uint64_t mark;
  uint32_t length;
  memcpy(&mark, stream, 8);
  memcpy(&length, stream + 8, 4);
  CHECK_EQUAL(42, mark);
  CHECK_EQUAL(5000, length);
  CHECK_EQUAL(0, memcmp(stream + 12, text, 5000));
}

#define EVENTS 3000000u

static void *write_events(void *argument) {
  ht_ctx *ctx = start();
  (void)argument;
  for (uint64_t i = 1; i <= EVENTS; i++) {
    unsigned words = 1 + i % 4;
    uint64_t *w = ht_reserve(&ctx, words);
    for (unsigned k = 1; k < words; k++) w[k] = i ^ k;
    ht_commit(ctx, w, i << 8 | words);
  }
  return ctx;
}

// Reads the one ring as it is written, open block included, and demands every event whole, in order.
static void *read_events(void *argument) {
  (void)argument;
  ht_ring_header *ring = (ht_ring_header *)(memory + HT_RING_HEADERS_OFFSET);
  while (__atomic_load_n(&ring->state, __ATOMIC_ACQUIRE) != HT_RING_LIVE) usleep(10);
  uint64_t block = 0, next = 1, wrong = 0;
  unsigned at = 1;
  while (next <= EVENTS) {
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    uint64_t *words = ht_session_ring(0) + block % HT_RING_BLOCKS * HT_BLOCK_WORDS;
    uint64_t word = at < HT_BLOCK_WORDS ? __atomic_load_n(&words[at], __ATOMIC_ACQUIRE) : 0;
    if (word == 0) {
      if (block < head) {
        block++;
        at = 1;
        __atomic_store_n(&ring->tail, block, __ATOMIC_RELEASE);
      } else {
        usleep(next % 7 == 0 ? 300 : 1);
      }
      continue;
    }
    wrong += word >> 8 != next;
    for (unsigned k = 1; k < (word & 0xff); k++) wrong += words[at + k] != (next ^ k);
    at += word & 0xff;
    next++;
  }
  return (void *)wrong;
}

static void test_ring(void) {
  new_session(0);
  pthread_t reader;
  void *wrong;
  pthread_create(&reader, NULL, read_events, NULL);
  in_thread(write_events, NULL);
  pthread_join(reader, &wrong);
  CHECK_EQUAL(0, (uintptr_t)wrong);
  CHECK(ht.process->wait_ns > 0); // the reader dawdled, so the writer had to wait
}

// A thread that is stopped after every single instruction of the recording. Once in 128 times, by chance,
// the handler records too. Both number their events; a reader demands each, whole and in order.
#define STEPPED_EVENTS 6000u // what both write fits in the ring
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
  uint64_t block = 0, own = 0, theirs = 0, wrong = 0;
  unsigned at = 1;
  bool ended = false;
  for (;;) {
    bool last = *(volatile bool *)argument;
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    uint64_t *words = ht_session_ring(0) + block % HT_RING_BLOCKS * HT_BLOCK_WORDS;
    uint64_t word = at < HT_BLOCK_WORDS ? __atomic_load_n(&words[at], __ATOMIC_ACQUIRE) : 0;
    if (word == 0) {
      if (block < head) {
        block++;
        at = 1;
        __atomic_store_n(&ring->tail, block, __ATOMIC_RELEASE);
      } else if (ended) {
        break;
      }
      ended = last;
      continue;
    }
    if (HT_AUX(word) & BY_HANDLER) {
      wrong += HT_VALUE(word) != ++theirs;
      at++;
      continue;
    }
    uint64_t i = ++own;
    wrong += HT_VALUE(word) != i || HT_OP(word) != (i % 3 == 0 ? HT_OP_FREE : HT_OP_ALLOC);
    if (i % 3 == 1) wrong += words[at + 1] != i;
    if (i % 3 == 2) {
      wrong += words[at + 1] != i << 32 || words[at + 2] != i || words[at + 3] != i << 32;
    }
    at += (unsigned[]){1, 2, 4}[i % 3];
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
  CHECK(handled > 500);
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

// ------------------------------------------------------------------------------------ sampling

static void *sample(void *argument) {
  double *result = argument;
  ht_ctx *ctx = start();
  CHECK_EQUAL(HT_FREES_SAMPLED, ctx->frees);
  const double interval = (double)ht.session->sample_interval;
  const uint32_t blocks = 2000000;
  uint32_t state = 12345, sampled = 0, wrong = 0;
  double bytes = 0, estimate = 0;
  static uint8_t chosen[2000000];
  for (uint32_t i = 0; i < blocks; i++) {
    state = state * 1664525u + 1013904223u;
    size_t size = 16 + (state >> 20);
    bytes += (double)size;
    if ((ctx->left -= (int64_t)size) > 0) continue;
    chosen[i] = ht_sample_alloc(ctx, (void *)(0x10000000ull + i * 16ull));
    sampled += chosen[i];
    estimate += (double)size / (1 - exp(-(double)size / interval));
  }
  for (uint32_t i = 0; i < blocks; i++) {
    wrong += ht_sample_free(ctx, (void *)(0x10000000ull + i * 16ull)) != chosen[i];
  }
  for (uint32_t i = 0; i < blocks; i++) { // all forgotten
    wrong += ht_sample_free(ctx, (void *)(0x10000000ull + i * 16ull));
  }
  CHECK_EQUAL(0, wrong);
  CHECK(sampled > 1000);
  *result = estimate / bytes;
  return NULL;
}

static void test_sampling(void) {
  // About 31,000 samples of 4 GB: the estimate's standard deviation is 0.6 %.
  new_session(131072);
  double ratio = 0;
  in_thread(sample, &ratio);
  CHECK(ratio > 0.96 && ratio < 1.04);
}

// --------------------------------------------------------------------------------- environment

static void test_environment(void) {
  char only[] = "LD_PRELOAD=/opt/lib/libheaptide.so";
  CHECK(ht_without_library(only) == NULL);
  char first[] = "LD_PRELOAD=/opt/lib/libheaptide.so:/a.so";
  CHECK(ht_without_library(first) == first && strcmp(first, "LD_PRELOAD=/a.so") == 0);
  char last[] = "LD_PRELOAD=/a.so /b.so:/opt/libheaptide.so";
  CHECK(ht_without_library(last) == last && strcmp(last, "LD_PRELOAD=/a.so:/b.so") == 0);

  char *plain[] = {"A=1", "LD_PRELOAD=/a.so", "B=2", NULL};
  ht_environment size = ht_environment_measure(plain);
  char *array[8], preload[256];
  CHECK_EQUAL(6, size.entries);
  CHECK(size.preload_bytes <= sizeof preload);
  char **with = ht_environment_build(plain, size, array, preload);
  CHECK(strcmp(with[0], fake_variable) == 0);
  CHECK(strcmp(with[1], "LD_PRELOAD=/opt/lib/libheaptide.so:/a.so") == 0);
  CHECK(strcmp(with[2], "A=1") == 0 && strcmp(with[3], "B=2") == 0 && with[4] == NULL);
  CHECK_EQUAL(strlen(with[1]) + 1, size.preload_bytes);
  CHECK_EQUAL(0, ht_environment_measure(with).entries); // already in a session
  CHECK_EQUAL(3, ht_environment_measure(NULL).entries);
  fake_variable = "";
  CHECK_EQUAL(0, ht_environment_measure(plain).entries); // no session to take along
}

int main(void) {
  test_trie();
  test_meta();
  test_ring();
  test_interrupted_anywhere();
  test_jumped_out();
  test_collector_dead();
  test_states();
  test_rings_run_out();
  test_sampling();
  test_environment();
  return check_report();
}
