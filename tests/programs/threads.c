// Allocations by many threads, frees by others, threads that die, and destructors of thread data.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "truth.h"

enum { THREADS = 4, EACH = 5000, MORTALS = 300, MORTAL_BLOCKS = 7, ITEMS = 30000, QUEUE = 64 };

static pthread_t start(void *(*run)(void *), void *argument) {
  pthread_t thread;
  require(pthread_create(&thread, NULL, run, argument) == 0, "pthread_create");
  return thread;
}

// Each thread keeps all of its blocks.
ALONE static void *worker(void *unused) {
  //@ worker
  for (int i = 0; i < EACH; i++) {
    //= allocations=4*5000 total_bytes=4*5000*32 alive_at_exit_bytes=4*5000*32
    //= alive_at_exit_allocations=4*5000 temporary_allocations=0
    void *p = malloc(32);
    keep(p);
  }
  return unused;
}

// Each thread frees at once: temporary, whatever the other threads do meanwhile.
ALONE static void *churner(void *unused) {
  //@ churner
  for (int i = 0; i < EACH; i++) {
    //= allocations=4*5000 total_bytes=4*5000*64 alive_at_exit_bytes=0 temporary_allocations=4*5000
    //= short_lived_allocations=4*5000
    void *p = malloc(64);
    keep(p);
    free(p);
  }
  return unused;
}

// Made by one thread, freed by another.
static void *handed[1000];

ALONE static void make_handed(void) {
  //@ make_handed
  for (int i = 0; i < 1000; i++) {
    //= allocations=1000 total_bytes=128000 alive_at_exit_bytes=0 alive_at_exit_allocations=0
    handed[i] = malloc(128);
    keep(handed[i]);
  }
}

ALONE static void *free_handed(void *unused) {
  for (int i = 0; i < 1000; i++) free(handed[i]);
  return unused;
}

// Threads that live for a few allocations and leave them behind.
ALONE static void *mortal(void *unused) {
  //@ mortal
  for (int i = 0; i < MORTAL_BLOCKS; i++) {
    //= allocations=300*7 total_bytes=300*7*24 alive_at_exit_bytes=300*7*24
    //= alive_at_exit_allocations=300*7
    void *p = malloc(24);
    keep(p);
  }
  return unused;
}

// A bounded queue: the producer's blocks are freed by the consumer, their addresses made again by
// the producer at once. Every address goes back and forth between the two threads.
static void *_Atomic slots[QUEUE];

ALONE static void *producer(void *unused) {
  //@ producer
  for (int i = 0; i < ITEMS; i++) {
    //= allocations=30000 total_bytes=30000*24 alive_at_exit_bytes=0 alive_at_exit_allocations=0
    void *p = malloc(16 + (i & 1) * 16);
    keep(p);
    while (atomic_load(&slots[i % QUEUE]) != NULL) sched_yield();
    atomic_store(&slots[i % QUEUE], p);
  }
  return unused;
}

ALONE static void *consumer(void *unused) {
  for (int i = 0; i < ITEMS; i++) {
    void *p;
    while ((p = atomic_load(&slots[i % QUEUE])) == NULL) sched_yield();
    atomic_store(&slots[i % QUEUE], NULL);
    free(p);
  }
  return unused;
}

// Destructors of thread data run when the thread has ended as far as it knows.
static pthread_key_t key;

ALONE static void late_free(void *value) {
  //@ late_free
  free(value);
  //= allocations=20 total_bytes=20*40 alive_at_exit_bytes=20*40
  void *p = malloc(40);
  keep(p);
  //= allocations=20 total_bytes=20*41 alive_at_exit_bytes=0 temporary_allocations=20
  void *q = malloc(41);
  keep(q);
  free(q);
}

ALONE static void *with_value(void *unused) {
  //@ with_value
  //= allocations=20 total_bytes=20*200 alive_at_exit_bytes=0
  void *value = malloc(200);
  keep(value);
  pthread_setspecific(key, value);
  return unused;
}

// A detached thread that still runs when main returns loses nothing of what it did before.
static atomic_int detached_done;

ALONE static void *detached(void *unused) {
  //@ detached
  for (int i = 0; i < 100; i++) {
    //= allocations=100 total_bytes=100*56 alive_at_exit_bytes=100*56
    void *p = malloc(56);
    keep(p);
  }
  atomic_store(&detached_done, 1);
  for (;;) sched_yield();
  return unused;
}

int main(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) threads[i] = start(worker, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; i++) threads[i] = start(churner, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  make_handed();
  pthread_join(start(free_handed, NULL), NULL);
  for (int i = 0; i < MORTALS; i++) pthread_join(start(mortal, NULL), NULL);
  pthread_t made = start(producer, NULL);
  pthread_t used = start(consumer, NULL);
  pthread_join(made, NULL);
  pthread_join(used, NULL);
  pthread_key_create(&key, late_free);
  for (int i = 0; i < 20; i++) pthread_join(start(with_value, NULL), NULL);
  pthread_detach(start(detached, NULL));
  while (!atomic_load(&detached_done)) sched_yield();
  return 0;
}
