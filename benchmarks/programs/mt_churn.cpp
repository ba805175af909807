// Threads that allocate and free without pause. usage: mt_churn ITERATIONS THREADS
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "clock.h"

__attribute__((noinline)) static void *get(size_t n) {
  void *p = malloc(n);
  *static_cast<volatile char *>(p) = 1;
  return p;
}

__attribute__((noinline)) static void work(uint64_t seed, uint64_t iterations) {
  void *slots[256] = {};
  uint64_t x = seed;
  for (uint64_t i = 0; i < iterations; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    unsigned s = x & 255;
    free(slots[s]);
    slots[s] = get(16 + ((x >> 8) & 511));
  }
  for (void *p : slots) free(p);
}

int main(int argc, char **argv) {
  const uint64_t iterations = argc > 1 ? strtoull(argv[1], nullptr, 10) : 10000000;
  const unsigned count = argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 2;
  clock_start();
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < count; ++t) {
    threads.emplace_back(work, 0x9E3779B97F4A7C15ull * (t + 1), iterations);
  }
  for (auto &thread : threads) thread.join();
  clock_report(static_cast<double>(iterations) * count);
  return 0;
}
