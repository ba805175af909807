// Probes on which other profilers report figures that are not so; which one is argument 1.
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"

#define MIB (1024ul * 1024)

// realloc(p, 0) frees: never more than one block of 1 MB is alive.
ALONE static void realloc_to_zero(void) {
  for (int i = 0; i < 100; i++) {
    void *p = malloc(1000000);
    keep(p);
    require(realloc(p, 0) == NULL, "realloc(p, 0) kept the block");
  }
}

ALONE static void remap_to_200_mib(void) {
  char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != MAP_FAILED, "mmap");
  p = mremap(p, MIB, 200 * MIB, MREMAP_MAYMOVE);
  require(p != MAP_FAILED, "mremap");
  keep(p);
}

ALONE static void replace_100_mib(void) {
  char *p = mmap(NULL, 100 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != MAP_FAILED, "mmap");
  for (int i = 0; i < 5; i++) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    require(mmap(p, 100 * MIB, PROT_READ, flags, -1, 0) == p, "mmap");
  }
}

ALONE static void break_10_mb(void) { require(sbrk(10000000) != (void *)-1, "sbrk"); }

ALONE static void call_the_kernel(void) {
  long p = syscall(SYS_mmap, NULL, 10 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(p != -1, "mmap");
}

// `second` has its own greatest moment when `first` is gone already.
ALONE static void *first(size_t n) {
  void *p = malloc(n);
  keep(p);
  return p;
}

ALONE static void *second(size_t n) {
  void *p = malloc(n);
  keep(p);
  return p;
}

static void apart(void) {
  free(first(10000));
  free(second(1000));
  first(64);
}

// A million live blocks.
ALONE static void million(void) {
  for (int i = 0; i < 1000000; i++) {
    void *p = malloc(24);
    keep(p);
  }
}

ALONE static void million_temporary(void) {
  for (int i = 0; i < 1000000; i++) {
    void *p = malloc(24);
    keep(p);
    free(p);
  }
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } probes[] = {
      {"realloc_to_zero", realloc_to_zero},
      {"remap_to_200_mib", remap_to_200_mib},
      {"replace_100_mib", replace_100_mib},
      {"break_10_mb", break_10_mb},
      {"call_the_kernel", call_the_kernel},
      {"apart", apart},
      {"million", million},
      {"million_temporary", million_temporary},
  };
  for (size_t i = 0; i < COUNT(probes); i++) {
    if (argc > 1 && strcmp(argv[1], probes[i].name) == 0) {
      probes[i].run();
      return 0;
    }
  }
  return 1;
}
