// A session for unit tests: a plain piece of memory.
#define _GNU_SOURCE
#include "fake_session.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../hooks.h"
#include "../session.h"

ht_global ht;
char *memory;
const char *fake_variable = "HEAPTIDE_SESSION=/proc/1/fd/3";

bool ht_session_start(void) { return true; }
uint64_t *ht_session_ring(uint32_t i) {
  return i < RINGS ? (uint64_t *)(memory + HT_RINGS_OFFSET + (uint64_t)i * HT_RING_BYTES) : NULL;
}
void ht_session_announce(ht_ctx *ctx) { (void)ctx; }
ht_ctx *ht_session_quiet_context(void) { return ht_os_map(4096); }
const char *ht_session_variable(void) { return fake_variable; }
const char *ht_session_library(void) { return "/opt/lib/libheaptide.so"; }

// A Python stack is 0, a native one the sum of where it is taken.
bool ht_python_present;
uint32_t ht_python_stack(ht_ctx *ctx, bool gil_held) { return (void)ctx, gil_held; }
uint32_t ht_native_stack(ht_ctx *ctx, uintptr_t pc, uintptr_t sp, uintptr_t bp) {
  return (void)ctx, (uint32_t)(pc + sp + bp);
}
ht_real_functions ht_real;

void new_session(uint64_t interval) {
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

const uint64_t *next_event(ring_reader *reader) {
  ht_ring_header *ring = (ht_ring_header *)(memory + HT_RING_HEADERS_OFFSET);
  for (;;) {
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    const uint64_t *words =
        ht_session_ring(0) + reader->block % HT_RING_BLOCKS * HT_BLOCK_WORDS + reader->at;
    if (reader->at < HT_BLOCK_WORDS && __atomic_load_n(words, __ATOMIC_ACQUIRE) != 0) return words;
    if (reader->block >= head) return NULL;
    *reader = (ring_reader){reader->block + 1, 1};
    __atomic_store_n(&ring->tail, reader->block, __ATOMIC_RELEASE);
  }
}

void *in_thread(void *(*work)(void *), void *argument) {
  pthread_t thread;
  void *result = NULL;
  pthread_create(&thread, NULL, work, argument);
  pthread_join(thread, &result);
  return result;
}
