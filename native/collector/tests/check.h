// A test is a function; CHECK counts and goes on. Nothing to install, nothing to learn.
#ifndef HEAPTIDE_COLLECTOR_TESTS_CHECK_H
#define HEAPTIDE_COLLECTOR_TESTS_CHECK_H

#include <sys/resource.h>

#include <cstdint>
#include <iostream>
#include <string>

namespace heaptide::testing {

struct Test {
  Test(const char *name, void (*run)());
  const char *name;
  void (*run)();
  Test *next;
};

void report(bool passed, const char *file, int line, const std::string &what);

template <class A, class B>
void check_equal(const A &expected, const B &actual, const char *file, int line, const char *what) {
  bool passed = expected == actual;
  std::string text = what;
  if (!passed) {
    if constexpr (requires { std::cerr << expected << actual; }) {
      std::cerr << "expected " << expected << ", got " << actual << ": ";
    }
  }
  report(passed, file, line, text);
}

// A scratch directory, removed with all it holds.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  std::string path(const std::string &name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Runs `body` with a limit on file sizes: a disk that is full at a known byte.
template <class Body>
void with_size_limit(rlim_t bytes, Body body) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = {bytes, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  body();
  setrlimit(RLIMIT_FSIZE, &before);
}

// Deterministic, and the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1dull;
  }
  uint64_t below(uint64_t bound) { return (*this)() % bound; }

 private:
  uint64_t state_;
};

} // namespace heaptide::testing

#define TEST(name)                                                            \
  static void test_##name();                                                  \
  static const ::heaptide::testing::Test register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition) \
  ::heaptide::testing::report(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQUAL(expected, actual) \
  ::heaptide::testing::check_equal((expected), (actual), __FILE__, __LINE__, #actual)

#endif
