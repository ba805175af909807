"""Memory of known ages: each function's blocks are born, and die, in a phase of their own."""

import mmap
import os
import threading
import time

PHASE = 0.4  # seconds: longer than the recorder's counts are apart


def early():
    return [bytearray(10_000) for _ in range(50)]


def middle():
    return [bytearray(20_000) for _ in range(50)]


def late():
    return [bytearray(30_000) for _ in range(50)]


def churn(seconds):
    """Blocks of all ages, reallocated ones too."""
    kept = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kept.append([n for n in range(40)])
        kept.append(mmap.mmap(-1, 8192)) if len(kept) % 50 == 0 else None
        if len(kept) > 500:
            del kept[:200]


def main():
    first = early()
    time.sleep(PHASE)
    second = middle()
    threads = [threading.Thread(target=churn, args=(PHASE,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    child = os.fork()
    if child == 0:
        grown = late()
        churn(PHASE / 2)
        os._exit(len(grown) != 50)
    for thread in threads:
        thread.join()
    os.waitpid(child, 0)
    del second
    time.sleep(PHASE)
    third = late()
    time.sleep(PHASE)
    return first, third


held = main()
