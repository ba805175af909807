"""Python threads: each allocates on the same line; some while another runs, some in C code that
has released the GIL."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

unit = b"x"
header = sys.getsizeof(b"")
kept: list[list[object]] = [[None] * 1000 for _ in range(4)]
libc = ctypes.CDLL(None)
libc.malloc.restype = None  # the address is not wanted; an int would be an allocation of its own
size = ctypes.c_size_t(54321)


def work(shelf: list[object], length: int) -> None:
    #@ work partly
    for i in range(len(shelf)):
        #= allocations=4000 total_bytes=4000*(500+$header) alive_at_exit_bytes=4000*(500+$header)
        #= alive_at_exit_allocations=4000
        shelf[i] = unit * length


# ctypes releases the GIL around the call. Exact where Python objects are not recorded: the call
# makes some of its own.
def call_c(times: int) -> None:
    #@ call_c partly
    for _ in range(times):
        #= allocations=4*50 total_bytes=4*50*54321 alive_at_exit_bytes=4*50*54321
        libc.malloc(size)


def both(shelf: list[object]) -> None:
    work(shelf, 500)
    call_c(50)


threads = [threading.Thread(target=both, args=(shelf,)) for shelf in kept]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("figure header", header, flush=True)
os._exit(0)
