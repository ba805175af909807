"""`warm` fills the object allocator's pools and keeps one object in a hundred; `leaky` then fills
the gaps. Who holds the memory is a question of objects, not of the arenas that they lie in."""

from __future__ import annotations

import os
import sys

unit = b"x"
header = sys.getsizeof(b"")


def warm(shelf: list[object], size: int) -> None:
    #@ warm partly
    for i in range(len(shelf)):
        #= allocations=200000 total_bytes=200000*(100+$header)
        #= alive_at_exit_bytes=2000*(100+$header) alive_at_exit_allocations=2000
        shelf[i] = unit * size


def leaky(shelf: list[object], size: int) -> None:
    #@ leaky partly
    for i in range(len(shelf)):
        #= allocations=120000 total_bytes=120000*(100+$header)
        #= alive_at_exit_bytes=120000*(100+$header) alive_at_exit_allocations=120000
        shelf[i] = unit * size


first: list[object] = [None] * 200_000
second: list[object] = [None] * 120_000
warm(first, 100)
for i in range(len(first)):
    if i % 100:
        first[i] = None
leaky(second, 100)
print("figure header", header, flush=True)
os._exit(0)
