// How long blocks live, counted in further allocations of their thread, and what is live at the
// highest moment.
#include "truth.h"

// Freed with 0, 1, 7, 8 and 63 further allocations made since: the edges of the definitions of
// temporary (0) and short-lived (fewer than 8).
ALONE static void *subject(void) {
  //@ subject
  //= allocations=50 total_bytes=50*100 temporary_allocations=10 short_lived_allocations=30
  //= alive_at_exit_bytes=0
  void *p = malloc(100);
  keep(p);
  return p;
}

ALONE static void *other(void) {
  //@ other
  //= allocations=10*(1+7+8+63) total_bytes=10*10*(1+7+8+63) alive_at_exit_bytes=10*10*(1+7+8+63)
  void *p = malloc(10);
  keep(p);
  return p;
}

ALONE static void live_for(int further) {
  void *p = subject();
  for (int i = 0; i < further; i++) other();
  free(p);
}

// Address reuse is not identity: each block here is the same address, freed at once; the blocks in
// between make it neither longer nor shorter lived.
ALONE static void same_address(void) {
  //@ same_address
  for (int i = 0; i < 1000; i++) {
    //= allocations=1000 temporary_allocations=0 short_lived_allocations=1000 alive_at_exit_bytes=0
    void *a = malloc(48);
    keep(a);
    //= allocations=1000 temporary_allocations=1000 short_lived_allocations=1000
    //= alive_at_exit_bytes=0
    void *b = malloc(48);
    keep(b);
    free(b);
    free(a);
  }
}

// Freed in the order they were made, or in reverse: only the last block is temporary in the first
// case and, in the second, too: when it is freed no other has been made, and none is made later.
ALONE static void queue_order(void) {
  //@ queue_order
  void *p[100];
  for (int i = 0; i < 100; i++) {
    //= allocations=100 temporary_allocations=1 short_lived_allocations=8 alive_at_exit_bytes=0
    p[i] = malloc(72);
    keep(p[i]);
  }
  for (int i = 0; i < 100; i++) free(p[i]);
}

ALONE static void stack_order(void) {
  //@ stack_order
  void *p[100];
  for (int i = 0; i < 100; i++) {
    //= allocations=100 temporary_allocations=1 short_lived_allocations=8 alive_at_exit_bytes=0
    p[i] = malloc(73);
    keep(p[i]);
  }
  for (int i = 99; i >= 0; i--) free(p[i]);
}

// The peak: a first hill of 60 MB, the highest one of 100 MB, a third of 80 MB. What is live at the
// top of the second is what a recording must show, and not what each function had at its own peak.
static char *base_blocks[1000];

ALONE static void hill_base(void) {
  //@ hill_base
  for (int i = 0; i < 1000; i++) {
    //= allocations=1000 total_bytes=10000000 peak_bytes=7500000 alive_at_exit_bytes=5000000
    base_blocks[i] = malloc(10000);
    keep(base_blocks[i]);
  }
}

ALONE static void hill_first(void) {
  //@ hill_first
  //= allocations=1 total_bytes=50000000 peak_bytes=0 alive_at_exit_bytes=0
  void *p = malloc(50000000);
  keep(p);
  free(p);
}

ALONE static void hill_second(void) {
  //@ hill_second
  //= allocations=1 peak_bytes=30000000 alive_at_exit_bytes=0
  void *p = malloc(30000000);
  keep(p);
  //= allocations=1 peak_bytes=62500000 alive_at_exit_bytes=0
  void *q = malloc(62500000);
  keep(q);
  free(q);
  free(p);
}

ALONE static void hill_third(void) {
  //@ hill_third
  //= allocations=1 peak_bytes=0 alive_at_exit_bytes=75000000
  void *p = malloc(75000000);
  keep(p);
}

ALONE static void drop_base(int from, int to) {
  for (int i = from; i < to; i++) free(base_blocks[i]);
}

int main(void) {
  const int further[] = {0, 1, 7, 8, 63};
  for (int round = 0; round < 10; round++)
    for (size_t i = 0; i < COUNT(further); i++) live_for(further[i]);
  same_address();
  queue_order();
  stack_order();
  hill_base();
  hill_first();
  drop_base(0, 250);
  hill_second();
  drop_base(250, 500);
  hill_third();
  return 0;
}
