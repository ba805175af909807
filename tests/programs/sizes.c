// Sizes at the bounds of the histogram.
#include "truth.h"

// Bounds, inclusive, of all buckets but the last; see docs/format.md.
static const size_t bounds[] = {16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1048576};

ALONE static void take(size_t size) {
  void *p = malloc(size);
  keep(p);
  free(p);
}

// Of each bucket: as many as its number, counted from 1, at its lower bound, and one at its upper.
int main(void) {
  size_t lower = 0;
  for (size_t i = 0; i <= COUNT(bounds); i++) {
    for (size_t k = 0; k <= i; k++) take(lower);
    if (i == COUNT(bounds)) break;
    take(bounds[i]);
    lower = bounds[i] + 1;
  }
  return 0;
}
