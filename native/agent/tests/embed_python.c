// A program that embeds Python the hard way, for check_python.py: loads libpython privately when it is
// already running threads that allocate, and starts and ends the interpreter several times. The last
// time, Python threads are still running when it ends: CPython itself does not start again after that.
//
//   embed_python LIBPYTHON ROUNDS local|global
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static atomic_int stop;

static void *churn(void *unused) {
  (void)unused;
  while (!atomic_load(&stop)) {
    void *volatile p = malloc(100);
    free(p);
  }
  return NULL;
}

// Allocates 2,000,000 bytes twice: once at the end of the interpreter, unless threads outlive it.
static const char program[] =
    "import sys, threading, time\n"
    "try:\n" // extension modules find no libpython that was loaded with RTLD_LOCAL
    "    import ctypes\n"
    "    libc = ctypes.CDLL(None)\n"
    "    libc.malloc.restype = ctypes.c_void_p\n"
    "    libc.free.argtypes = [ctypes.c_void_p]\n"
    "    def without_the_gil():\n"
    "        libc.free(libc.malloc(77))\n"
    "except ImportError:\n"
    "    def without_the_gil():\n"
    "        time.sleep(0)\n"
    "go_on = True\n"
    "def busy():\n"
    "    while go_on:\n"
    "        without_the_gil()\n"
    "        list(map(str, range(30)))\n"
    "threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]\n"
    "for thread in threads:\n"
    "    thread.start()\n"
    "def leaf():\n"
    "    return bytes(2000000)\n"
    "class AtTheEnd:\n"
    "    def __init__(self):\n"
    "        self.leaf = leaf\n"
    "    def __del__(self):\n"
    "        self.leaf()\n"
    "held = AtTheEnd()\n"
    "leaf()\n"
    "time.sleep(0.02)\n";
static const char join[] =
    "go_on = False\n"
    "for thread in threads:\n"
    "    thread.join()\n";

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  pthread_t thread;
  pthread_create(&thread, NULL, churn, NULL);
  void *python = dlopen(argv[1], RTLD_NOW | (argv[3][0] == 'g' ? RTLD_GLOBAL : RTLD_LOCAL));
  if (python == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  void (*initialize)(int) = (void (*)(int))dlsym(python, "Py_InitializeEx");
  int (*run)(const char *) = (int (*)(const char *))dlsym(python, "PyRun_SimpleString");
  int (*finalize)(void) = (int (*)(void))dlsym(python, "Py_FinalizeEx");
  int failures = 0;
  for (int i = atoi(argv[2]); i > 0; i--) {
    initialize(0);
    failures += run(program) != 0;
    if (i > 1) failures += run(join) != 0;
    failures += finalize() != 0;
    void *volatile p = malloc(3000); // with no interpreter
    free(p);
  }
  atomic_store(&stop, 1);
  pthread_join(thread, NULL);
  return failures != 0;
}
