#define _GNU_SOURCE
#include "unwind_oracle.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unwind.h>

#include "unwind_fake.h"

__thread ht_ctx *ctx;
__thread stack *oracle, *ours;
__thread unsigned compared, differing;
bool on_fiber;

enum { MOST = sizeof((stack *)NULL)->pc / sizeof(uintptr_t) };

void oracle_start(void) {
  ctx = fake_ctx();
  oracle = malloc(sizeof *oracle);
  ours = malloc(sizeof *ours);
}

void oracle_end(void) {
  ht_native_release(ctx);
  free(oracle);
  free(ours);
}

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *closure) {
  stack *s = closure;
  int exact = 0;
  uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
  if (s->count == MOST || pc == 0) return _URC_END_OF_STACK;
  s->pc[s->count] = exact ? pc : pc - 1;
  s->exact[s->count++] = exact;
  return _URC_NO_REASON;
}

static void expand(uint32_t node, stack *s) {
  s->count = 0;
  for (; node > HT_NODE_ROOT_NATIVE && s->count < MOST; node = fake_nodes[node].parent) {
    s->pc[s->count] = (uintptr_t)fake_nodes[node].call;
    s->module[s->count++] = fake_nodes[node].module;
  }
}

static void print(const char *what) {
  if (++differing > 3) return;
  fprintf(stderr, "%s:\n", what);
  for (unsigned i = 0; i < 24 && (i < oracle->count || i < ours->count); i++) {
    Dl_info o = {0}, n = {0};
    if (i < oracle->count) dladdr((void *)oracle->pc[i], &o);
    if (i < ours->count) dladdr((void *)ours->pc[i], &n);
    fprintf(stderr, "  %2u %14lx %-24s %14lx %-24s\n", i, i < oracle->count ? oracle->pc[i] : 0,
            o.dli_sname ? o.dli_sname : "?", i < ours->count ? ours->pc[i] : 0,
            n.dli_sname ? n.dli_sname : "?");
  }
  fprintf(stderr, "  (%u and %u frames)\n", oracle->count, ours->count);
}

// Whether `ours` is what the oracle has from its frame `skip` on. A signal trampoline stands for
// itself with us, while the oracle takes it for called; so does the function that ends a fiber.
static bool same_from(unsigned skip) {
  if (oracle->count - skip != ours->count) return false;
  for (unsigned i = 0; i < ours->count; i++) {
    unsigned o = i + skip;
    bool trampoline = o + 1 < oracle->count ? oracle->exact[o + 1] : on_fiber;
    if (ours->pc[i] != oracle->pc[o] && !(trampoline && ours->pc[i] == oracle->pc[o] + 1))
      return false;
  }
  return true;
}

void reset(ht_native_cache *cache) { cache->first = cache->capacity; }

__attribute__((noinline)) void compare_here(void *closure) {
  uintptr_t pc = HT_CALLER_PC, sp = HT_CALLER_SP, bp = HT_CALLER_BP;
  uint32_t node = ht_native_stack(ctx, pc, sp, bp);
  uint32_t again = ht_native_stack(ctx, pc, sp, bp);
  if (closure) reset(&ctx->native);
  uint32_t cold = closure ? ht_native_stack(ctx, pc, sp, bp) : node;
  oracle->count = 0;
  _Unwind_Backtrace(collect, oracle);
  unsigned skip = 0;
  while (skip < oracle->count && oracle->pc[skip] != pc - 1) skip++;
  expand(node, ours);
  compared++;
  if (!same_from(skip)) print("differs");
  if (node != again || node != cold) {
    differing++;
    fprintf(stderr, "nodes differ: %u, again %u, without cache %u\n", node, again, cold);
  }
}

bool has_function(const char *name) {
  void *at = dlsym(RTLD_DEFAULT, name);
  for (unsigned i = 0; at && i < ours->count; i++) {
    Dl_info info;
    if (dladdr((void *)ours->pc[i], &info) && info.dli_saddr == at) return true;
  }
  return false;
}

__attribute__((noinline)) void expand_here(void *closure) {
  (void)closure;
  expand(ht_native_stack(ctx, HT_CALLER_PC, HT_CALLER_SP, HT_CALLER_BP), ours);
}
