"""Calls that allocate nothing: a recorder that charges its own doings to the program shows here."""

from __future__ import annotations

from itertools import repeat


def nothing() -> None:
    pass


def call_often(times: int) -> None:
    #@ call_often partly
    for _ in repeat(None, times):
        #= allocations=0 total_bytes=0
        nothing()


for _ in range(100):
    nothing()
call_often(1_000_000)
