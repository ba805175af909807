// Allocates and frees as its input says, a letter each: g 100 MB in blocks of 2000 bytes, h every other
// one, d all. Says "ok" after each.
#include "grows.h"

#include <stdio.h>

int main(void) {
  for (int letter; (letter = getchar()) != EOF;) {
    if (letter == 'g') grow(50000, 2000);
    if (letter == 'h') drop_half();
    if (letter == 'd') drop_all();
    if (letter == '\n') continue;
    puts("ok");
    fflush(stdout);
  }
  return 0;
}
