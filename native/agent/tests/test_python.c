// A collector for tests: runs a program under the agent and prints what the rings say, one line an
// event. check_python.py reads it.
//
//   test_python LIBRARY CONFIG INTERVAL MINIMUM PROGRAM [ARGUMENT...]
//
// CONFIG: ht_config_flags; INTERVAL: sampling interval; MINIMUM: allocations below this size are only
// counted. Lines, numbers in decimal, text in hexadecimal:
//   alloc PROCESS KIND SIZE PYTHON NATIVE ADDRESS     end PROCESS KIND SIZE PYTHON NATIVE ADDRESS OLD
//   free PROCESS KIND ADDRESS                         (of addresses shown before)
//   node PROCESS ID AUX WORD PARENT                   code PROCESS ID LINE VERSION FILE NAME TABLE
//   range PROCESS START END      note PROCESS TEXT    process SLOT PARENT NODES CODES VERSION STATUS
//   count PROCESS KIND EVENTS BYTES NO-STACK          broken TEXT
//   exit STATUS
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire/wire.h"

#define KINDS 16
#define SHOWN (1u << 20)

typedef struct ring_state {
  uint64_t block;
  unsigned word;        // next one to look at in `block`
  uint64_t realloc_old; // of a REALLOC_BEGIN without its END yet
  uint8_t *meta;
  size_t meta_used;
} ring_state;

static uint8_t *session_bytes;
static ht_session_header *session;
static ring_state rings[HT_MAX_RINGS];
static uint64_t minimum;
static uint64_t counts[HT_MAX_PROCESSES][KINDS][3];
static uint64_t shown[SHOWN]; // addresses of allocations that were shown, a plain hash set
static bool broken;

static void fail(const char *what) {
  printf("broken %s\n", what);
  broken = true;
}

static uint64_t *shown_slot(uint64_t address) {
  uint64_t at = address * 0x9e3779b97f4a7c15ull >> 40;
  while (shown[at % SHOWN] != 0 && shown[at % SHOWN] != address) at++;
  return &shown[at % SHOWN];
}

static void print_hex(const uint8_t *data, uint32_t length) {
  printf(" x");
  for (uint32_t i = 0; i < length; i++) printf("%02x", data[i]);
}

static uint32_t take_u32(const uint8_t **at) {
  uint32_t value;
  memcpy(&value, *at, 4);
  *at += 4;
  return value;
}

static void print_string(const uint8_t **at) {
  uint32_t length = take_u32(at);
  print_hex(*at, length);
  *at += length;
}

static void on_meta(uint32_t process, unsigned type, const uint8_t *at) {
  uint64_t bounds[2];
  switch (type) {
    case HT_META_CODE:
      printf("code %u", process);
      for (int i = 0; i < 3; i++) printf(" %u", take_u32(&at));
      for (int i = 0; i < 3; i++) print_string(&at);
      printf("\n");
      break;
    case HT_META_EVAL_RANGE:
      memcpy(bounds, at, sizeof bounds);
      printf("range %u %" PRIu64 " %" PRIu64 "\n", process, bounds[0], bounds[1]);
      break;
    case HT_META_NOTE:
      printf("note %u", process);
      print_string(&at);
      printf("\n");
      break;
    default:
      break;
  }
}

static void on_alloc(uint32_t process, ring_state *r, const uint64_t *w) {
  bool end = HT_OP(w[0]) == HT_OP_REALLOC_END;
  unsigned aux = HT_AUX(w[0]), kind = aux & 15, at = 2;
  uint64_t size = w[1] & 0xffffffff, first = w[1] >> 32, native = 0;
  if (aux & HT_ALLOC_NATIVE) native = w[at++];
  if (aux & HT_ALLOC_BIG) size = w[at];
  counts[process][kind][0]++;
  counts[process][kind][1] += size;
  counts[process][kind][2] += first == 0;
  if (end && r->realloc_old == 0) fail("REALLOC_END without BEGIN");
  if (size >= minimum || (end && *shown_slot(r->realloc_old) != 0)) {
    *shown_slot(HT_VALUE(w[0])) = HT_VALUE(w[0]);
    printf("%s %u %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %llu", end ? "end" : "alloc", process,
           kind, size, first, native, HT_VALUE(w[0]));
    if (end) printf(" %" PRIu64, r->realloc_old);
    printf("\n");
  }
  if (end) r->realloc_old = 0;
}

// One event at `w`; its length in words.
static unsigned on_event(uint32_t process, ring_state *r, const uint64_t *w) {
  unsigned aux = HT_AUX(w[0]), words;
  unsigned op = HT_OP(w[0]);
  if (r->realloc_old != 0 && op != HT_OP_REALLOC_END && op != HT_OP_NODE && op != HT_OP_META &&
      !(op == HT_OP_ALLOC && (aux & 15) == HT_KIND_ARENA) &&
      !(op == HT_OP_UNMAP && (aux & 15) == HT_KIND_ARENA)) {
    fail("an event between REALLOC_BEGIN and END");
  }
  switch (op) {
    case HT_OP_FREE:
      if (*shown_slot(HT_VALUE(w[0])) != 0) {
        printf("free %u %u %llu\n", process, aux & 15, HT_VALUE(w[0]));
      }
      return 1;
    case HT_OP_ALLOC:
    case HT_OP_REALLOC_END:
      on_alloc(process, r, w);
      return 2 + ((aux & HT_ALLOC_NATIVE) != 0) + ((aux & HT_ALLOC_BIG) != 0);
    case HT_OP_REALLOC_BEGIN:
      r->realloc_old = HT_VALUE(w[0]);
      return 1;
    case HT_OP_UNMAP:
      return 2;
    case HT_OP_REMAP:
      return 5;
    case HT_OP_NODE:
      printf("node %u %llu %u %" PRIu64 " %" PRIu64 "\n", process, HT_VALUE(w[0]), aux, w[1],
             w[2] & 0xffffffff);
      return 3;
    case HT_OP_META:
      words = HT_VALUE(w[0]) & 0xffff;
      r->meta = realloc(r->meta, r->meta_used + words * 8);
      memcpy(r->meta + r->meta_used, w + 1, words * 8);
      r->meta_used += words * 8;
      if ((HT_VALUE(w[0]) >> 24 & 1) == 0) {
        on_meta(process, HT_VALUE(w[0]) >> 16 & 0xff, r->meta);
        r->meta_used = 0;
      }
      return words + 1;
    default:
      fail("an unknown event");
      return HT_BLOCK_WORDS;
  }
}

// Reads what ring `index` has; true if that was anything.
static bool drain(uint32_t index) {
  ht_ring_header *h = (ht_ring_header *)(session_bytes + HT_RING_HEADERS_OFFSET +
                                         (uint64_t)index * HT_RING_HEADER_BYTES);
  ring_state *r = &rings[index];
  if (__atomic_load_n(&h->state, __ATOMIC_ACQUIRE) != HT_RING_LIVE) return false;
  uint64_t *blocks =
      (uint64_t *)(session_bytes + HT_RINGS_OFFSET + (uint64_t)index * HT_RING_BYTES);
  uint64_t head = __atomic_load_n(&h->head, __ATOMIC_ACQUIRE);
  bool any = false;
  for (;; r->block++, r->word = 1) {
    uint64_t *block = blocks + r->block % HT_RING_BLOCKS * HT_BLOCK_WORDS;
    if (r->word == 0) r->word = 1;
    while (r->word < HT_BLOCK_WORDS) {
      if (__atomic_load_n(&block[r->word], __ATOMIC_ACQUIRE) == 0) break;
      r->word += on_event(h->process, r, block + r->word);
      any = true;
    }
    if (r->block >= head) break;
  }
  __atomic_store_n(&h->tail, r->block, __ATOMIC_RELEASE);
  return any;
}

static void drain_all(void) {
  __atomic_fetch_add(&session->heartbeat, 1, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < session->rings_used && i < HT_MAX_RINGS; i++) drain(i);
}

static void start_session(uint32_t config, uint64_t interval) {
  int fd = memfd_create("session", 0);
  if (fd < 0 || ftruncate(fd, HT_SESSION_BYTES) != 0 || dup2(fd, HT_SESSION_FD) < 0) abort();
  session_bytes = mmap(NULL, HT_SESSION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                       HT_SESSION_FD, 0);
  if (session_bytes == MAP_FAILED) abort();
  session = (ht_session_header *)session_bytes;
  session->version = HT_WIRE_VERSION;
  session->magic = HT_WIRE_MAGIC;
  session->collector_pid = (uint32_t)getpid();
  session->config = config;
  session->sample_interval = interval;
  session->state = HT_STATE_RECORDING;
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: test_python LIBRARY CONFIG INTERVAL MINIMUM PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  minimum = strtoull(argv[4], NULL, 0);
  start_session((uint32_t)strtoul(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
  char value[64];
  snprintf(value, sizeof value, "/proc/%d/fd/%d", (int)getpid(), HT_SESSION_FD);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    setenv("HEAPTIDE_SESSION", value, 1);
    setenv("LD_PRELOAD", argv[1], 1);
    dup2(2, 1); // our stdout is for the events
    execvp(argv[5], argv + 5);
    _exit(127);
  }
  int status;
  while (waitpid(child, &status, WNOHANG) == 0) {
    drain_all();
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
  }
  drain_all();
  ht_process *processes = (ht_process *)(session_bytes + HT_PROCESSES_OFFSET);
  for (uint32_t i = 0; i < session->processes_used; i++) {
    ht_process *p = &processes[i];
    printf("process %u %u %u %u %u %u\n", i, p->parent_slot, p->inherited_nodes, p->inherited_codes,
           p->python_version, p->python_status);
    for (unsigned k = 0; k < KINDS; k++) {
      if (counts[i][k][0] == 0) continue;
      printf("count %u %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", i, k, counts[i][k][0],
             counts[i][k][1], counts[i][k][2]);
    }
  }
  printf("exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  return broken;
}
