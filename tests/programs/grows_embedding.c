// A C program whose figures are read by the Python in it: runs the file it is given, which calls grow and
// drop as the program's own functions.
#include <Python.h>

#include "grows.h"

int main(int argc, char **argv) {
  FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (file == NULL) return 2;
  Py_InitializeEx(0);
  int failed = PyRun_SimpleFileEx(file, argv[1], 1);
  return Py_FinalizeEx() != 0 || failed;
}
