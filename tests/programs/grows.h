// Blocks of a known size, allocated and freed in known numbers, each of their pages touched.
#include <stdlib.h>
#include <string.h>

static void **blocks;
static size_t number;

void grow(size_t count, size_t size) {
  blocks = malloc(count * sizeof *blocks);
  number = count;
  for (size_t i = 0; i < count; i++) blocks[i] = memset(malloc(size), 1, size);
}

// Every other one, so that no page of small blocks becomes empty.
void drop_half(void) {
  for (size_t i = 0; i < number; i += 2) {
    free(blocks[i]);
    blocks[i] = NULL;
  }
}

void drop_all(void) {
  for (size_t i = 0; i < number; i++) free(blocks[i]);
  free(blocks);
  number = 0;
}
