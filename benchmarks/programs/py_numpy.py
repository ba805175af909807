"""NumPy arrays, small and large, made and dropped in a loop.

usage: py_numpy.py ITERATIONS ELEMENTS EVERY: large ones of ELEMENTS, once in EVERY iterations.
"""

from __future__ import annotations

import numpy as np
from bench_clock import timed


def run(iterations: int, elements: int, every: int) -> float:
    small = np.arange(64.0)
    large = np.arange(float(elements))
    total = 0.0
    for i in range(iterations):
        a = small * i + 1.0
        b = np.sqrt(a) - small
        total += float(b.sum())
        if i % every == 0:
            total += float((large * 0.5 + i).max())
    return total


if __name__ == "__main__":
    for arguments in timed():
        run(*arguments)
