// A library between two pieces of Python: Python calls c_outer, which calls back into Python, which
// calls c_inner, which allocates.
#include "truth.h"

__attribute__((visibility("default"))) ALONE void c_inner(size_t size) {
  void *p = malloc(size);
  keep(p);
}

__attribute__((visibility("default"))) ALONE void c_outer(void (*callback)(size_t), size_t size) {
  callback(size);
  __asm__ volatile(""); // the call above is no jump
}
