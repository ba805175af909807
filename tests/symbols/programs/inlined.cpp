// Calls of malloc whose functions, files and lines the tests know by the marks "at:".
#include <cstdio>
#include <cstdlib>
#include <map>

namespace shop {

inline __attribute__((always_inline)) void *inner(int n) {
  return malloc(n); // at: inner
}

inline __attribute__((always_inline)) void *middle(int n) {
  return inner(n + 1); // at: middle
}

__attribute__((noinline)) void *outer(int n) {
  void *p = middle(n); // at: outer
  printf("%p\n", p);
  return p;
}

template <class Key, class Value>
struct Shelf {
  __attribute__((noinline)) Value *make(Key n) {
    void *p = malloc(sizeof(Value) * n); // at: make
    printf("%p\n", p);
    return static_cast<Value *>(p);
  }
};

} // namespace shop

extern "C" __attribute__((noinline)) void *plain_c(int n) {
  void *p = malloc(n); // at: plain_c
  printf("%p\n", p);
  return p;
}

int main() {
  shop::outer(3);
  shop::Shelf<long, std::map<int, double>>().make(3);
  plain_c(4);
  return 0;
}
