// Anonymous mappings: grown, cut, holed, replaced by MAP_FIXED; the program break; and mappings of
// files, which are no allocations.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "truth.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *checked(void *p) {
  require(p != MAP_FAILED, "mmap failed");
  keep(p);
  return p;
}

ALONE static void map_hold(void) {
  //@ map_hold
  //= allocations=1 total_bytes=256*4096 alive_at_exit_bytes=256*4096 peak_bytes=256*4096
  char *p = checked(mmap(NULL, 256 * PAGE, RW, ANON, -1, 0));
  p[0] = 1;
  //= allocations=1 total_bytes=3*4096 alive_at_exit_bytes=0
  char *q = checked(mmap64(NULL, 3 * PAGE, RW, ANON, -1, 0));
  munmap(q, 3 * PAGE);
}

ALONE static void map_grow(void) {
  //@ map_grow
  //= total_bytes=256*4096 alive_at_exit_bytes=0
  char *p = checked(mmap(NULL, 256 * PAGE, RW, ANON, -1, 0));
  //= total_bytes=2048*4096 alive_at_exit_bytes=2048*4096 peak_bytes=2048*4096
  checked(mremap(p, 256 * PAGE, 2048 * PAGE, MREMAP_MAYMOVE));
}

ALONE static void map_shrink(void) {
  //@ map_shrink
  //= total_bytes=8*4096
  char *p = checked(mmap(NULL, 8 * PAGE, RW, ANON, -1, 0));
  //= alive_at_exit_bytes=3*4096
  checked(mremap(p, 8 * PAGE, 3 * PAGE, 0));
}

ALONE static void map_partial(void) {
  //@ map_partial
  //= allocations=1 total_bytes=16*4096 alive_at_exit_bytes=9*4096 peak_bytes=9*4096
  char *p = checked(mmap(NULL, 16 * PAGE, RW, ANON, -1, 0));
  munmap(p + 4 * PAGE, 4 * PAGE);
  munmap(p + 14 * PAGE, 2 * PAGE);
  munmap(p, PAGE);
  munmap(p + 4 * PAGE, 4 * PAGE); // a hole already: nothing
}

ALONE static void map_fixed(void) {
  //@ map_fixed
  //= allocations=1 total_bytes=100*4096 alive_at_exit_bytes=0 peak_bytes=0
  char *p = checked(mmap(NULL, 100 * PAGE, RW, ANON, -1, 0));
  for (int i = 0; i < 5; i++) {
    //= allocations=5 total_bytes=500*4096 alive_at_exit_bytes=100*4096 peak_bytes=100*4096
    checked(mmap(p, 100 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
  }
}

ALONE static void map_fixed_inside(void) {
  //@ map_fixed_inside
  //= total_bytes=10*4096 alive_at_exit_bytes=6*4096
  char *p = checked(mmap(NULL, 10 * PAGE, RW, ANON, -1, 0));
  //= total_bytes=4*4096 alive_at_exit_bytes=4*4096
  checked(mmap(p + 3 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
}

// One unmapping over three neighbours that were mapped apart.
ALONE static void map_span(void) {
  //@ map_span
  //= alive_at_exit_bytes=1*4096
  char *p = checked(mmap(NULL, 12 * PAGE, RW, ANON, -1, 0));
  //= alive_at_exit_bytes=0
  checked(mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  //= alive_at_exit_bytes=2*4096
  checked(mmap(p + 8 * PAGE, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
  munmap(p + PAGE, 9 * PAGE);
}

// A file mapped over anonymous memory takes its place; a file's mapping is no allocation.
ALONE static void map_file(void) {
  //@ map_file
  int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  require(fd >= 0, "open");
  //= allocations=0 total_bytes=0
  checked(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
  //= total_bytes=6*4096 alive_at_exit_bytes=4*4096
  char *p = checked(mmap(NULL, 6 * PAGE, RW, ANON, -1, 0));
  //= allocations=0 total_bytes=0
  checked(mmap(p, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0));
  close(fd);
}

// A mapping moved to an address given, over another one.
ALONE static void map_move_over(void) {
  //@ map_move_over
  //= alive_at_exit_bytes=3*4096
  char *target = checked(mmap(NULL, 8 * PAGE, RW, ANON, -1, 0));
  //= alive_at_exit_bytes=0
  char *p = checked(mmap(NULL, 5 * PAGE, RW, ANON, -1, 0));
  //= alive_at_exit_bytes=5*4096
  char *q = checked(mremap(p, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target));
  require(q == target, "mremap to a fixed address");
}

// Pages moved away from a mapping that stays. Linux before 5.7 knows nothing of it.
ALONE static void map_keep_old(void) {
  //@ map_keep_old
  //= total_bytes=5*4096 alive_at_exit_bytes=5*4096
  char *p = checked(mmap(NULL, 5 * PAGE, RW, ANON, -1, 0));
  //= allocations=1 total_bytes=5*4096 alive_at_exit_bytes=5*4096
  char *q = mremap(p, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */, NULL);
  require(q != MAP_FAILED && q != p, "mremap that keeps the old mapping");
  keep(q);
}

ALONE static void breaks(void) {
  //@ breaks
  //= allocations=1 total_bytes=64*1024 alive_at_exit_bytes=48*1024
  void *p = sbrk(64 * 1024);
  require(p != (void *)-1, "sbrk");
  keep(p);
  sbrk(-16 * 1024);
  //= allocations=0
  keep(sbrk(0));
}

// Address space without access is no memory yet.
ALONE static void map_reserve(void) {
  //@ map_reserve
  //= allocations=0 total_bytes=0
  char *p = checked(mmap(NULL, 500 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
  //= allocations=1 total_bytes=20*4096 alive_at_exit_bytes=5*4096
  checked(mmap(p, 20 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
  munmap(p + 5 * PAGE, 495 * PAGE);
}

// Long enough over all else to be the moment of the peak.
ALONE static void top(void) {
  //@ top
  //= peak_bytes=20000*4096 alive_at_exit_bytes=0
  char *p = checked(mmap(NULL, 20000 * PAGE, RW, ANON | MAP_NORESERVE, -1, 0));
  munmap(p, 20000 * PAGE);
}

int main(void) {
  map_hold();
  map_grow();
  map_shrink();
  map_partial();
  map_fixed();
  map_fixed_inside();
  map_span();
  map_file();
  map_move_over();
  map_keep_old();
  map_reserve();
  top();
  breaks();
  return 0;
}
