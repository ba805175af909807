// Shared by the truth programs: programs whose allocations are known by construction.
//
// The expected figures stand in the source, before the line that allocates:
//   //@ name             the lines from here on belong to the function `name`
//   //= key=value ...    what a recording must say of the next line; values are integer
//   expressions,
//                        and $name in them is a figure that the program printed (print_figure)
// A figure that is not named is not compared. tests/support/marks.py reads them.
#ifndef TRUTH_H
#define TRUTH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Neither inlined nor cloned nor specialised: the function keeps its name at every level of
// optimisation.
#define ALONE __attribute__((noipa))

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Makes the compiler believe that memory behind p is read and written: it must not remove the
// allocation, nor turn the call before it into a jump.
static inline void keep(void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

// Prints one figure that only the running program can know: a line `figure name value`.
static inline void print_figure(const char *name, uint64_t value) {
  printf("figure %s %llu\n", name, (unsigned long long)value);
}

static inline void require(int condition, const char *what) {
  if (!condition) {
    fprintf(stderr, "truth program: %s\n", what);
    abort();
  }
}

#endif
