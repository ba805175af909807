// std::map<uint64_t, std::string>: insert, erase, temporary strings.
// usage: cpp_churn ITERATIONS   (about 2.5 allocations each)
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "clock.h"

static uint64_t state = 88172645463325252ull;

static inline uint64_t next() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

struct Store {
  std::map<uint64_t, std::string> map;

  __attribute__((noinline)) void put(uint64_t key) {
    std::string value(24 + (key & 63), 'x');
    map[key] = std::move(value);
  }

  __attribute__((noinline)) void drop(uint64_t key) {
    auto found = map.lower_bound(key);
    if (found != map.end()) map.erase(found);
  }

  __attribute__((noinline)) size_t temporary(uint64_t key) {
    std::string text = "temporary-key-number-" + std::to_string(key);
    return text.size();
  }
};

int main(int argc, char **argv) {
  const uint64_t n = argc > 1 ? strtoull(argv[1], nullptr, 10) : 2000000;
  clock_start();
  auto *store = new Store; // never freed
  size_t sum = 0;
  for (uint64_t i = 0; i < n; ++i) {
    uint64_t key = next() & 0xfffff;
    store->put(key);
    sum += store->temporary(key);
    if (store->map.size() > 50000) store->drop(next() & 0xfffff);
  }
  clock_report(static_cast<double>(n));
  printf("%zu %zu\n", store->map.size(), sum);
  return 0;
}
