"""Pairs of malloc and free in C, called below 14 Python functions.
usage: py_pairs.py LIBRARY tight|set PAIRS"""

from __future__ import annotations

import ctypes
import sys


def below(depth: int, library: ctypes.CDLL, is_set: int, pairs: int) -> None:
    if depth:
        below(depth - 1, library, is_set, pairs)
    else:
        library.run_pairs(is_set, ctypes.c_uint64(pairs))


if __name__ == "__main__":
    # The module's own frame is the first of the fourteen.
    below(12, ctypes.PyDLL(sys.argv[1]), int(sys.argv[2] == "set"), int(sys.argv[3]))
