// A shared object that allocates when it is loaded, when it is called and when it is unloaded.
// Built twice, as plugin_a (PLUGIN=a) and plugin_b, which are loaded one after the other so that
// the second takes the addresses of the first.
#include "truth.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define NAMED(name) JOIN(name, PLUGIN)

ALONE __attribute__((constructor)) static void NAMED(load_)(void) {
  void *p = malloc(5000000);
  keep(p);
  memset(p, 1, 5000000);
}

ALONE __attribute__((visibility("default"))) void NAMED(call_)(void) {
  for (int i = 0; i < 40; i++) {
    void *p = malloc(700);
    keep(p);
  }
}

ALONE __attribute__((destructor)) static void NAMED(unload_)(void) {
  void *p = malloc(900);
  keep(p);
}
