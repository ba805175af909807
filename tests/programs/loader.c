// Loads and unloads a library as long as nobody says stop.
#include <dlfcn.h>

void load_again(const char *path);
void stop_loading(void);

static volatile int stop;

void load_again(const char *path) {
  while (!stop) {
    void *library = dlopen(path, RTLD_NOW);
    if (library != 0) dlclose(library);
  }
}

void stop_loading(void) { stop = 1; }
