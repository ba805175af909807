// A test counts what it checked and fails the program when anything was wrong.
#ifndef HEAPTIDE_CHECK_H
#define HEAPTIDE_CHECK_H

#include <stdio.h>

static int checks_passed, checks_failed;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (condition) {                                                          \
      checks_passed++;                                                        \
    } else {                                                                  \
      checks_failed++;                                                        \
      fprintf(stderr, "%s:%d: %s: not so\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (0)

#define CHECK_EQUAL(expected, actual)                                                      \
  do {                                                                                     \
    long long expected_ = (long long)(expected), actual_ = (long long)(actual);            \
    if (expected_ == actual_) {                                                            \
      checks_passed++;                                                                     \
    } else {                                                                               \
      checks_failed++;                                                                     \
      fprintf(stderr, "%s:%d: %s: expected %lld, got %lld\n", __FILE__, __LINE__, #actual, \
              expected_, actual_);                                                         \
    }                                                                                      \
  } while (0)

static inline int check_report(void) {
  printf("%d passed, %d failed\n", checks_passed, checks_failed);
  return checks_failed != 0 || checks_passed == 0;
}

#endif
