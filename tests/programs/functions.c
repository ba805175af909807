// Every allocation function of libc, each in a function of its own.
#define _GNU_SOURCE
#include <malloc.h>
#include <unistd.h>

#include "truth.h"

// C23; libc may not have them yet.
extern void free_sized(void *p, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *p, size_t alignment, size_t size) __attribute__((weak));

ALONE static void by_malloc(void) {
  //@ by_malloc
  for (int i = 0; i < 100; i++) {
    //= allocations=100 total_bytes=100*40 alive_at_exit_bytes=0 temporary_allocations=100
    void *p = malloc(40);
    keep(p);
    free(p);
  }
}

ALONE static void by_calloc(void) {
  //@ by_calloc
  for (int i = 0; i < 50; i++) {
    //= allocations=50 total_bytes=50*63 alive_at_exit_bytes=0 temporary_allocations=50
    unsigned char *p = calloc(7, 9);
    keep(p);
    for (int k = 0; k < 63; k++) require(p[k] == 0, "calloc gave dirty memory");
    memset(p, 0xff, 63);
    free(p);
  }
}

ALONE static void by_realloc(void) {
  //@ by_realloc
  for (int i = 0; i < 20; i++) {
    //= allocations=20 reallocations=0 total_bytes=20*50 alive_at_exit_bytes=0
    void *p = realloc(NULL, 50);
    keep(p);
    free(p);
  }
}

ALONE static void by_reallocarray(void) {
  //@ by_reallocarray
  for (int i = 0; i < 20; i++) {
    //= allocations=20 reallocations=0 total_bytes=20*55 alive_at_exit_bytes=0
    void *p = reallocarray(NULL, 5, 11);
    keep(p);
    //= allocations=0 reallocations=20 total_bytes=20*66 alive_at_exit_bytes=20*66
    p = reallocarray(p, 6, 11);
    keep(p);
  }
}

ALONE static void by_posix_memalign(void) {
  //@ by_posix_memalign
  for (int i = 0; i < 30; i++) {
    void *p = NULL;
    //= allocations=30 total_bytes=30*100 alive_at_exit_bytes=0 temporary_allocations=30
    int status = posix_memalign(&p, 256, 100);
    require(status == 0 && (uintptr_t)p % 256 == 0, "posix_memalign is not aligned");
    keep(p);
    free(p);
  }
}

ALONE static void by_aligned_alloc(void) {
  //@ by_aligned_alloc
  for (int i = 0; i < 30; i++) {
    //= allocations=30 total_bytes=30*384 alive_at_exit_bytes=0 temporary_allocations=30
    void *p = aligned_alloc(128, 384);
    require((uintptr_t)p % 128 == 0, "aligned_alloc is not aligned");
    keep(p);
    free(p);
  }
}

ALONE static void by_memalign(void) {
  //@ by_memalign
  for (int i = 0; i < 30; i++) {
    //= allocations=30 total_bytes=30*72 alive_at_exit_bytes=0 temporary_allocations=30
    void *p = memalign(512, 72);
    require((uintptr_t)p % 512 == 0, "memalign is not aligned");
    keep(p);
    free(p);
  }
}

ALONE static void by_valloc(void) {
  //@ by_valloc
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=10*88 alive_at_exit_bytes=0 temporary_allocations=10
    void *p = valloc(88);
    require((uintptr_t)p % 4096 == 0, "valloc is not aligned");
    keep(p);
    free(p);
  }
}

ALONE static void by_pvalloc(void) {
  //@ by_pvalloc
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=10*104 alive_at_exit_bytes=0 temporary_allocations=10
    void *p = pvalloc(104);
    require((uintptr_t)p % 4096 == 0, "pvalloc is not aligned");
    keep(p);
    free(p);
  }
}

ALONE static void by_free_sized(void) {
  //@ by_free_sized
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=10*56 alive_at_exit_bytes=0 temporary_allocations=10
    void *p = malloc(56);
    keep(p);
    if (free_sized != NULL) {
      free_sized(p, 56);
    } else {
      free(p);
    }
    //= allocations=10 total_bytes=10*192 alive_at_exit_bytes=0 temporary_allocations=10
    void *q = aligned_alloc(64, 192);
    keep(q);
    if (free_aligned_sized != NULL) {
      free_aligned_sized(q, 64, 192);
    } else {
      free(q);
    }
  }
}

// Calls of libc into its own malloc.
ALONE static void by_strdup(void) {
  //@ by_strdup
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=10*25 alive_at_exit_bytes=10*25
    char *p = strdup("twenty-four characters.!");
    keep(p);
    //= allocations=10 total_bytes=10*7 alive_at_exit_bytes=0 temporary_allocations=10
    char *q = strndup("twenty-four characters.!", 6);
    keep(q);
    free(q);
  }
}

// How many blocks asprintf takes on its way is libc's affair; the one that stays is exact.
ALONE static void by_asprintf(void) {
  //@ by_asprintf
  for (int i = 0; i < 10; i++) {
    char *p = NULL;
    //= alive_at_exit_bytes=10*23 alive_at_exit_allocations=10
    int n = asprintf(&p, "%05d-%s", i, "abcdefghijklmnop");
    require(n == 22, "asprintf");
    keep(p);
  }
}

ALONE static void by_getline(void) {
  //@ by_getline partly
  static char text[] = "one\ntwo\nthree\n";
  FILE *f = fmemopen(text, sizeof text - 1, "r");
  require(f != NULL, "fmemopen");
  static char buffer[512];
  setvbuf(f, buffer, _IOFBF, sizeof buffer); // or the first line makes one
  char *line = NULL;
  size_t capacity = 0;
  int lines = 0;
  //= allocations=1 total_bytes=$getline_capacity alive_at_exit_bytes=0
  while (getline(&line, &capacity, f) > 0) lines++;
  require(lines == 3, "getline");
  print_figure("getline_capacity", capacity);
  free(line);
  fclose(f);
}

// malloc(0) gives a block, free(NULL) takes none, and realloc(p, 0) frees.
ALONE static void by_nothing(void) {
  //@ by_nothing
  for (int i = 0; i < 10; i++) {
    //= allocations=10 total_bytes=0 alive_at_exit_bytes=0 alive_at_exit_allocations=0
    //= temporary_allocations=10
    void *p = malloc(0);
    keep(p);
    free(p);
    free(NULL);
    //= allocations=10 total_bytes=10*96 alive_at_exit_bytes=0 alive_at_exit_allocations=0
    void *q = malloc(96);
    keep(q);
    //= allocations=0 reallocations=0 total_bytes=0 alive_at_exit_allocations=0
    q = realloc(q, 0);
    require(q == NULL, "realloc(p, 0) kept the block");
    //= allocations=10 total_bytes=0 alive_at_exit_allocations=10
    void *r = calloc(0, 8);
    keep(r);
  }
}

int main(void) {
  by_malloc();
  by_calloc();
  by_realloc();
  by_reallocarray();
  by_posix_memalign();
  by_aligned_alloc();
  by_memalign();
  by_valloc();
  by_pvalloc();
  by_free_sized();
  by_strdup();
  by_asprintf();
  by_getline();
  by_nothing();
  return 0;
}
