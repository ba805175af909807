// Takes malloc's and free's addresses in its code. Linked at a fixed address (-no-pie) it has symbols of
// its own for them, without having the functions.
#include <stdlib.h>

int main(void) {
  void *(*volatile get)(size_t) = malloc;
  void (*volatile give)(void *) = free;
  for (int i = 0; i < 100; i++) give(get(100));
  return 0;
}
