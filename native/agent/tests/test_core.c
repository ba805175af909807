// The agent's core apart from any program: interning, rings, variable data, sampling, environment.
// The collector is a thread of this test.
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../hooks.h"
#include "../record.h"
#include "../session.h"
#include "check.h"
#include "fake_session.h"

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
  for (uint64_t b = 0; b <= ctx->ring->head; b++) {
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
  ring_reader reader = {0, 1};
  uint64_t next = 1, wrong = 0;
  while (next <= EVENTS) {
    const uint64_t *event = next_event(&reader);
    if (event == NULL) {
      usleep(next % 7 == 0 ? 300 : 1);
      continue;
    }
    wrong += *event >> 8 != next;
    for (unsigned k = 1; k < (*event & 0xff); k++) wrong += event[k] != (next ^ k);
    reader.at += *event & 0xff;
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
  test_sampling();
  test_environment();
  return check_report();
}
