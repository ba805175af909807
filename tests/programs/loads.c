// Loads plugin_a and plugin_b in turn, each several times: constructors and destructors allocate,
// and the same addresses come to hold other code.
#include <dlfcn.h>

#include "truth.h"

static void use(const char *path, const char *function) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
  void (*call)(void) = NULL;
  *(void **)&call = dlsym(library, function);
  require(call != NULL, "dlsym");
  call();
  require(dlclose(library) == 0, "dlclose");
}

// malloc by a pointer from dlsym, as foreign function interfaces call it.
ALONE static void by_pointer(void) {
  //@ by_pointer
  void *(*allocate)(size_t) = NULL;
  *(void **)&allocate = dlsym(RTLD_DEFAULT, "malloc");
  void (*release)(void *) = NULL;
  *(void **)&release = dlsym(RTLD_DEFAULT, "free");
  for (int i = 0; i < 50; i++) {
    //= allocations=50 total_bytes=5000000 alive_at_exit_bytes=0 temporary_allocations=50
    void *p = allocate(100000);
    keep(p);
    release(p);
  }
}

// A failed dlopen, with its error message.
static void fail(void) {
  require(dlopen("/nonexistent/library.so", RTLD_NOW) == NULL, "dlopen of nothing");
  require(dlerror() != NULL, "dlerror");
}

int main(int argc, char **argv) {
  require(argc == 3, "usage: loads PLUGIN_A PLUGIN_B");
  for (int round = 0; round < 5; round++) {
    use(argv[1], "call_a");
    use(argv[2], "call_b");
  }
  fail();
  by_pointer();
  return 0;
}
