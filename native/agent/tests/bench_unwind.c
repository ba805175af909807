// What a native stack costs: ns per capture, the best of several rounds.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../agent.h"

// The rest of the agent: the real trie, and a ring that nobody reads.
ht_global ht;
static uint64_t block[HT_BLOCK_WORDS];
ht_ctx *ht_make_room(ht_ctx *ctx, unsigned words) {
  (void)words;
  ctx->w = block;
  ctx->limit = block + HT_BLOCK_WORDS;
  return ctx;
}
ht_ctx *ht_aside(ht_ctx *ctx, unsigned words) { return (void)words, ctx; }
bool ht_abandoned(ht_ctx *ctx) { return (void)ctx, false; }
void ht_take_aside(ht_ctx *ctx) { (void)ctx; }
void ht_meta_begin(ht_meta *m, ht_ctx *ctx, enum ht_meta_type type) {
  (void)type;
  m->ctx = ctx;
}
void ht_meta_u32(ht_meta *m, uint32_t value) { (void)m, (void)value; }
void ht_meta_u64(ht_meta *m, uint64_t value) { (void)m, (void)value; }
void ht_meta_bytes(ht_meta *m, const void *data, uint32_t length) {
  (void)m, (void)data, (void)length;
}
void ht_meta_end(ht_meta *m) { (void)m; }

static ht_ctx *ctx;
static volatile uint32_t sink;
static unsigned captures;

__attribute__((noinline)) void capture(void) {
  captures++;
  sink = ht_native_stack(ctx, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP);
}

__attribute__((noinline)) void empty(void) {
  captures++;
  sink = (uint32_t)(HT_CALLER_PC + HT_CALLER_SP + HT_CALLER_BP);
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define PLAIN __attribute__((noinline, noclone, optimize("omit-frame-pointer")))

static unsigned turns = 5000;
static volatile unsigned zero;

PLAIN static void step4(void (*hook)(void)) {
  hook();
  sink++;
}
PLAIN static void step3(void (*hook)(void)) {
  step4(hook);
  sink++;
}
PLAIN static void step2(void (*hook)(void)) {
  step3(hook);
  sink++;
}
PLAIN static void step1(void (*hook)(void)) {
  step2(hook);
  sink++;
}

static int shape; // what the innermost function of a measurement does
PLAIN static void innermost(void (*hook)(void)) {
  for (unsigned i = 0; i < turns; i++) {
    if (shape == 0) {
      hook();
    } else if (shape == 1) { // two call sites in turns
      if (i & 1) {
        hook();
      } else {
        hook();
        sink++;
      }
    } else { // four frames come and go
      step1(hook);
      hook();
    }
  }
}

PLAIN static void at_depth(unsigned depth, void (*hook)(void)) {
  if (depth == 0) {
    innermost(hook);
  } else {
    at_depth(depth - 1 + zero, hook);
  }
  sink++;
}

PLAIN static void tree(unsigned depth, void (*hook)(void)) {
  hook();
  if (depth == 0) return;
  tree(depth - 1, hook);
  sink++;
  tree(depth - 1, hook);
  sink++;
}

static double measure(unsigned depth, void (*hook)(void)) {
  double best = 1e18;
  for (int round = 0; round < 200; round++) {
    captures = 0;
    double before = now_ns();
    at_depth(depth, hook);
    double each = (now_ns() - before) / captures;
    if (each < best) best = each;
  }
  return best;
}

static double measure_tree(unsigned depth, void (*hook)(void), int rounds) {
  double best = 1e18;
  for (int round = 0; round < rounds; round++) {
    captures = 0;
    double before = now_ns();
    tree(depth, hook);
    double each = (now_ns() - before) / captures;
    if (each < best) best = each;
  }
  return best;
}

int main(void) {
  static const char *const shapes[] = {"same stack", "two call sites in turns",
                                       "4 inner frames come and go"};
  static const unsigned depths[] = {10, 25, 100};
  ctx = ht_os_map(sizeof *ctx);
  ctx->frees = HT_FREES_ALL;
  ht_native_start();
  capture();
  // main, two frames of the C library, _start and the innermost are there besides
  for (shape = 0; shape < 3; shape++) {
    for (unsigned i = 0; i < 3; i++) {
      double cost = measure(depths[i] - 6, capture) - measure(depths[i] - 6, empty);
      printf("%-28s %3u frames %7.1f ns\n", shapes[shape], depths[i], cost);
    }
  }
  double nothing = measure_tree(17, empty, 5);
  for (int seen = 0; seen < 2; seen++) {
    printf("tree of 262,143 stacks, %s %3u frames %7.1f ns\n", seen ? "seen" : "new ", 22,
           measure_tree(17, capture, seen ? 5 : 1) - nothing);
  }
  printf("tree of 4,095 stacks, seen   %3u frames %7.1f ns\n", 16,
         measure_tree(11, capture, 20) - measure_tree(11, empty, 20));
  printf("%u nodes\n", ht_trie_count());
  return 0;
}
