// A program that embeds Python: runs the file it is given in the main interpreter, twice in a row, each
// time in an interpreter started anew.
#include <Python.h>

static int run(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) return 2;
  Py_InitializeEx(0);
  int failed = PyRun_SimpleFileEx(file, path, 1);
  return Py_FinalizeEx() != 0 || failed;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  return run(argv[1]) || run(argv[1]);
}
