"""A dict of lists of strings, built and dropped. usage: py_containers.py ITERATIONS"""

from __future__ import annotations

from bench_clock import timed


def run(iterations: int) -> int:
    kept: dict[str, list[str]] = {}
    for i in range(iterations):
        kept.setdefault(str(i % 5000), []).append(str(i))
        if i % 50_000 == 49_999:
            kept = {key: value[:2] for key, value in kept.items() if len(value) % 2}
    return len(kept)


if __name__ == "__main__":
    for arguments in timed():
        run(*arguments)
