"""fork() called from C, as a server written in C does it: the child ends by sys.exit."""

from __future__ import annotations

import ctypes
import os
import sys

unit = b"x"
header = sys.getsizeof(b"")
libc = ctypes.PyDLL(None)


def in_c_fork(shelf: list[object], size: int) -> None:
    #@ in_c_fork partly
    for i in range(len(shelf)):
        #= allocations=56 total_bytes=56*(1200+$header)
        shelf[i] = unit * size


child = libc.fork()
if child == 0:
    in_c_fork([None] * 56, 1200)
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("figure header", header, flush=True)
