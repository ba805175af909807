// CHILDREN processes one after the other: the n-th makes 1000 + n blocks of 24 bytes, frees all but n.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept[2000];

static void work(int n) {
  for (int i = 0; i < 1000 + n; i++) kept[i] = malloc(24);
  for (int i = n; i < 1000 + n; i++) free(kept[i]);
  _exit(0);
}

int main(int argc, char **argv) {
  int children = argc > 1 ? atoi(argv[1]) : 1;
  for (int n = 0; n < children; n++) {
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) work(n);
    waitpid(child, NULL, 0);
    usleep(20000); // over several checkpoints
  }
  return 0;
}
