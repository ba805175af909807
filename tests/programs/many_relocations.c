// A library that takes the loader a while to fill in: a table that is locked afterwards.
#include <stdlib.h>

#define A malloc,
#define B A A A A A A A A A A
#define C B B B B B B B B B B
#define D C C C C C C C C C C
#define E D D D D D D D D D D
#define F E E E E E E E E E E

void call(int count);

void *(*const table[])(size_t) = {F F F};

void call(int count) {
  for (int i = 0; i < count; i++) free(table[i * 1000](10));
}
