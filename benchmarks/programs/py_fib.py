"""Calls and hardly an allocation: recursive Fibonacci. usage: py_fib.py N"""

from __future__ import annotations

import sys

from bench_clock import Clock


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


if __name__ == "__main__":
    number = int(sys.argv[1])
    fib(number - 5)
    clock = Clock()
    fib(number)
    clock.report(number)
