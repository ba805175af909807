"""Python, C, Python, C: one stack. usage: bridge.py LIBRARY"""

from __future__ import annotations

import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
callback_type = ctypes.CFUNCTYPE(None, ctypes.c_size_t)


def py_inner(size: int) -> None:
    library.c_inner(ctypes.c_size_t(size))


def py_outer(size: int) -> None:
    library.c_outer(callback_type(py_inner), ctypes.c_size_t(size))


def main() -> None:
    for _ in range(10):
        py_outer(654321)


main()
