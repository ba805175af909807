// Chains of reallocations: how many, how much was asked for, and how much was copied because the
// block moved. Whether it moves is libc's affair: the program watches the addresses and prints.
#include "truth.h"

static uint64_t grow_copied, shrink_copied, pinned_copied;

ALONE static void grow(void) {
  //@ grow
  //= allocations=1 reallocations=0 total_bytes=16 alive_at_exit_bytes=0
  char *p = malloc(16);
  keep(p);
  size_t size = 16;
  for (int i = 0; i < 1000; i++) {
    uintptr_t old = (uintptr_t)p;
    //= allocations=0 reallocations=1000 total_bytes=1000*16+100*1000*1001//2
    //= copied_bytes=$grow_copied alive_at_exit_bytes=0 alive_at_exit_allocations=0
    p = realloc(p, size + 100);
    keep(p);
    if ((uintptr_t)p != old) grow_copied += size;
    size += 100;
  }
  free(p);
}

ALONE static void shrink(void) {
  //@ shrink
  for (int i = 0; i < 100; i++) {
    //= allocations=100 total_bytes=100*5000 alive_at_exit_bytes=0 alive_at_exit_allocations=0
    char *p = malloc(5000);
    keep(p);
    uintptr_t old = (uintptr_t)p;
    //= allocations=0 reallocations=100 total_bytes=100*50 copied_bytes=$shrink_copied
    //= alive_at_exit_bytes=100*50 alive_at_exit_allocations=100
    p = realloc(p, 50);
    keep(p);
    if ((uintptr_t)p != old) shrink_copied += 50;
  }
}

// A block behind each one keeps it from growing in place: it must move every time.
ALONE static void pinned(void) {
  //@ pinned
  for (int i = 0; i < 50; i++) {
    //= allocations=50 total_bytes=50*2000 alive_at_exit_bytes=0
    char *p = malloc(2000);
    keep(p);
    //= allocations=50 total_bytes=50*2000 alive_at_exit_bytes=50*2000
    char *wall = malloc(2000);
    keep(wall);
    uintptr_t old = (uintptr_t)p;
    //= reallocations=50 total_bytes=50*3000 copied_bytes=$pinned_copied alive_at_exit_bytes=50*3000
    //= peak_bytes=50*3000
    p = realloc(p, 3000);
    keep(p);
    if ((uintptr_t)p != old) pinned_copied += 2000;
  }
}

// The same size again: a reallocation, nothing copied when it stays.
ALONE static void same(void) {
  //@ same
  //= allocations=1
  char *p = malloc(64);
  keep(p);
  for (int i = 0; i < 10; i++) {
    //= allocations=0 reallocations=10 total_bytes=640 copied_bytes=0 alive_at_exit_bytes=64
    //= alive_at_exit_allocations=1
    p = realloc(p, 64);
    keep(p);
  }
}

ALONE static void top(void) {
  //@ top
  //= peak_bytes=40000000
  void *p = malloc(40000000);
  keep(p);
  free(p);
}

int main(void) {
  grow();
  shrink();
  pinned();
  same();
  top();
  print_figure("grow_copied", grow_copied);
  print_figure("shrink_copied", shrink_copied);
  print_figure("pinned_copied", pinned_copied);
  return 0;
}
