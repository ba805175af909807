// What the unwinder needs of the rest of the agent, in memory: a trie that remembers its nodes, and
// the modules announced.
#ifndef HEAPTIDE_TESTS_UNWIND_FAKE_H
#define HEAPTIDE_TESTS_UNWIND_FAKE_H

#include "../agent.h"

typedef struct fake_node {
  uint64_t key, call;
  uint32_t parent, module;
} fake_node;

typedef struct fake_module {
  uint32_t id;
  uint64_t bias, start, end;
  char path[300];
  uint32_t build_id_bytes;
} fake_module;

extern fake_node *fake_nodes;         // by id
extern fake_module fake_modules[512]; // in the order announced
extern uint32_t fake_modules_count;
extern ht_process fake_process;
extern __thread unsigned fake_finds; // look-ups in the trie, each of which is a frame walked

void fake_start(void);
ht_ctx *fake_ctx(void); // a new context

#endif
