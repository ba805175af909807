// Calls that fail, and sizes that do not fit in 32 bits: a failed allocation is no allocation.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <sys/mman.h>

#include "truth.h"

// Read at run time: the compiler must not see that these are too large.
static volatile size_t huge = SIZE_MAX / 4;
static volatile size_t half = SIZE_MAX / 2 + 2;

ALONE static void fail_all(void) {
  //@ fail_all
  for (int i = 0; i < 6; i++) {
    errno = 0;
    //= allocations=0 total_bytes=0 peak_bytes=0
    void *p = malloc(huge);
    require(p == NULL && errno == ENOMEM, "malloc should fail with ENOMEM");
    //= allocations=0 total_bytes=0
    p = calloc(huge, 8);
    require(p == NULL, "calloc should fail");
    //= allocations=0 total_bytes=0
    p = calloc(half, 2);
    require(p == NULL, "calloc should see the overflow");
    errno = 0;
    //= allocations=0 total_bytes=0
    p = reallocarray(NULL, half, 2);
    require(p == NULL && errno == ENOMEM, "reallocarray should see the overflow");
    //= allocations=0 total_bytes=0
    p = aligned_alloc(4096, huge);
    require(p == NULL, "aligned_alloc should fail");
    errno = 0;
    p = (void *)16;
    //= allocations=0 total_bytes=0
    int status = posix_memalign(&p, 3, 100);
    require(status == EINVAL && p == (void *)16, "posix_memalign should refuse 3");
    require(errno == 0, "posix_memalign does not set errno");
    //= allocations=0 total_bytes=0
    status = posix_memalign(&p, 64, huge);
    require(status == ENOMEM, "posix_memalign should fail");
    //= allocations=0 total_bytes=0
    p = mmap(NULL, huge, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(p == MAP_FAILED, "mmap should fail");
  }
}

// A realloc that fails leaves the block where and what it was.
ALONE static void fail_realloc(void) {
  //@ fail_realloc
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=10*200 alive_at_exit_bytes=10*200 alive_at_exit_allocations=10
    char *p = malloc(200);
    keep(p);
    p[199] = 7;
    //= allocations=0 reallocations=0 total_bytes=0 copied_bytes=0
    void *q = realloc(p, huge);
    require(q == NULL && errno == ENOMEM && p[199] == 7, "realloc should fail and keep");
    //= allocations=0 reallocations=0 total_bytes=0
    q = reallocarray(p, half, 2);
    require(q == NULL && p[199] == 7, "reallocarray should fail and keep");
  }
}

// Address space, not memory: nothing touches these blocks.
ALONE static void very_large(void) {
  //@ very_large
  const size_t five_gib = 5ull << 30;
  //= allocations=1 total_bytes=5*1024**3 peak_bytes=0
  void *p = malloc(five_gib);
  if (p == NULL) exit(77);
  keep(p);
  //= reallocations=1 total_bytes=5*1024**3+4096 alive_at_exit_bytes=0
  p = realloc(p, five_gib + 4096);
  require(p != NULL, "realloc to more than 5 GiB");
  keep(p);
  free(p);
  //= allocations=1 total_bytes=4*1024**3+8 alive_at_exit_bytes=0
  p = calloc(1, (4ull << 30) + 8);
  require(p != NULL, "calloc of more than 4 GiB");
  keep(p);
  free(p);
  //= allocations=1 total_bytes=6*1024**3 alive_at_exit_bytes=6*1024**3
  p = mmap(NULL, 6ull << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(p != MAP_FAILED, "mmap of 6 GiB");
  keep(p);
}

ALONE static void errno_stands(void) {
  void *p = malloc(1000);
  keep(p);
  errno = EXDEV;
  free(p);
  require(errno == EXDEV, "free changed errno");
  p = malloc(1000);
  require(errno == EXDEV, "malloc changed errno");
  p = realloc(p, 2000000);
  require(errno == EXDEV, "realloc changed errno");
  free(p);
  require(errno == EXDEV, "free of a mapping changed errno");
}

int main(void) {
  fail_all();
  fail_realloc();
  errno_stands();
  very_large();
  return 0;
}
