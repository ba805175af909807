// Holds as many blocks of 1,000 bytes as its argument says, frees every second one, and ends with the status of its
// second argument, or by its own hand below 0.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 1000;
  char **held = malloc((size_t)count * sizeof *held);
  for (int i = 0; i < count; i++) {
    held[i] = malloc(1000);
    if (held[i] == NULL) return 100;
    memset(held[i], i, 1000);
  }
  printf("kept %d\n", count);
  for (int i = 0; i < count; i += 2) free(held[i]);
  int status = argc > 2 ? atoi(argv[2]) : 0;
  if (status) fprintf(stderr, "ending with %d\n", status);
  if (status < 0) raise(-status);
  return status;
}
