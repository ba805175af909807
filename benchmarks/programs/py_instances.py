"""Instances made, called and dropped. usage: py_instances.py ITERATIONS"""

from __future__ import annotations

from bench_clock import timed


class Point:
    def __init__(self, x: float, y: float) -> None:
        self.x = x
        self.y = y

    def plus(self, other: Point) -> Point:
        return Point(self.x + other.x, self.y + other.y)

    def scaled(self, by: float) -> Point:
        return Point(self.x * by, self.y * by)


def run(iterations: int) -> Point:
    total = Point(0.0, 0.0)
    step = Point(1.0, 2.0)
    for _ in range(iterations):
        total = total.plus(step.scaled(0.5)).plus(step)
    return total


if __name__ == "__main__":
    for arguments in timed():
        run(*arguments)
