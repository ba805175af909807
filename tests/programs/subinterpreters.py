"""Fills shelves in interpreters of their own, one after the other in this thread, then in threads
at once; with 3.12 and later each has its own GIL."""

from __future__ import annotations

import os
import sys
import threading

if sys.version_info >= (3, 13):
    import _interpreters as interpreters
else:
    import _xxsubinterpreters as interpreters

SOURCE = """unit = b"x"
def fill(shelf):
    for i in range(len(shelf)):
        shelf[i] = unit * SIZE
kept = [None] * 100
fill(kept)
"""


def run(which: object, size: int) -> None:
    padding = "\n" * (size % 100)  # each size has lines of its own
    interpreters.run_string(which, padding + SOURCE.replace("SIZE", str(size)))


made = [interpreters.create() for _ in range(3)]
for number, which in enumerate(made):
    run(which, 2000 + 10 * number)
threads = [
    threading.Thread(target=run, args=(which, 3050 + 10 * number)) for number, which in enumerate(made)
]
for thread in threads:
    thread.start()
    if sys.version_info < (3, 12):
        thread.join()  # earlier ones do not bear it
for thread in threads:
    thread.join()
print("done", flush=True)
os._exit(0)
