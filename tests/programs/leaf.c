// Allocates in a function named after the way that it was started (argument 1).
#include "truth.h"

#define LEAF(way, count, size)          \
  ALONE static void leaf_##way(void) {  \
    for (int i = 0; i < (count); i++) { \
      void *p = malloc(size);           \
      keep(p);                          \
    }                                   \
  }

//@ leaf_execve
//= allocations=21 total_bytes=21*1001 alive_at_exit_bytes=21*1001
LEAF(execve, 21, 1001)
//@ leaf_execvp
//= allocations=22 total_bytes=22*1002 alive_at_exit_bytes=22*1002
LEAF(execvp, 22, 1002)
//@ leaf_execle
//= allocations=23 total_bytes=23*1003 alive_at_exit_bytes=23*1003
LEAF(execle, 23, 1003)
//@ leaf_fexecve
//= allocations=24 total_bytes=24*1004 alive_at_exit_bytes=24*1004
LEAF(fexecve, 24, 1004)
//@ leaf_spawn
//= allocations=25 total_bytes=25*1005 alive_at_exit_bytes=25*1005
LEAF(spawn, 25, 1005)
//@ leaf_spawnp
//= allocations=26 total_bytes=26*1006 alive_at_exit_bytes=26*1006
LEAF(spawnp, 26, 1006)
//@ leaf_system
//= allocations=27 total_bytes=27*1007 alive_at_exit_bytes=27*1007
LEAF(system, 27, 1007)
//@ leaf_popen
//= allocations=28 total_bytes=28*1008 alive_at_exit_bytes=28*1008
LEAF(popen, 28, 1008)
//@ leaf_self
//= allocations=29 total_bytes=29*1009 alive_at_exit_bytes=29*1009
LEAF(self, 29, 1009)
//@ leaf_wrapper
//= allocations=30 total_bytes=30*1010 alive_at_exit_bytes=30*1010
LEAF(wrapper, 30, 1010)

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } ways[] = {
      {"execve", leaf_execve},   {"execvp", leaf_execvp}, {"execle", leaf_execle},
      {"fexecve", leaf_fexecve}, {"spawn", leaf_spawn},   {"spawnp", leaf_spawnp},
      {"system", leaf_system},   {"popen", leaf_popen},   {"self", leaf_self},
      {"wrapper", leaf_wrapper},
  };
  for (size_t i = 0; i < COUNT(ways); i++) {
    if (argc > 1 && strcmp(argv[1], ways[i].name) == 0) {
      ways[i].run();
      return 0;
    }
  }
  return 1;
}
