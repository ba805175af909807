// Functions that the compiler merges into their callers: the debug information still tells them
// apart, and so must the recording. Built with optimisation only.
#include <cstdio>
#include <cstdlib>

#define MERGED inline __attribute__((always_inline))
#define ALONE __attribute__((noipa))

namespace {

void keep(void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

MERGED void inner_most(size_t n) {
  //@ inner_most
  //= allocations=9+10 total_bytes=9*90+10*100 alive_at_exit_bytes=9*90+10*100
  void *p = malloc(n);
  keep(p);
}

MERGED void middle(size_t n) { inner_most(n); }

ALONE void outer_nine() {
  for (int i = 0; i < 9; i++) middle(90);
}

ALONE void outer_ten() {
  for (int i = 0; i < 10; i++) middle(100);
}

} // namespace

int main() {
  outer_nine();
  outer_ten();
  return 0;
}
