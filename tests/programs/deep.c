// An allocation below a recursion of 10,000 frames, and one below 70: each stack must keep its
// outermost frame, main.
#include "truth.h"

ALONE static void deep_leaf(void) {
  //@ deep_leaf
  for (int i = 0; i < 3; i++) {
    //= allocations=6 total_bytes=6*333 alive_at_exit_bytes=6*333
    void *p = malloc(333);
    keep(p);
  }
}

ALONE static int descend(int depth) {
  if (depth == 0) {
    deep_leaf();
    return 0;
  }
  volatile int below = descend(depth - 1);
  return below + 1;
}

int main(void) {
  require(descend(10000) == 10000, "descend");
  require(descend(70) == 70, "descend");
  return 0;
}
