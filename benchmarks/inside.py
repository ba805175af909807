"""What recording and measuring from within costs: ``python -m benchmarks.inside [--quick]``.

Each figure is of a process of its own (``--case NAME`` runs one in this process), the median of
several, with the lowest and the highest. A table in Markdown, as docs/api.md has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import memory_bytes, processor, versions

ROUNDS, QUICK_ROUNDS = 9, 3
TURNS = 1000


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _each(function: Callable[[], object], turns: int = TURNS) -> float:
    """Seconds of the median turn."""
    return statistics.median(_seconds(function) for _ in range(turns))


def _empty() -> None:
    import heaptide

    with heaptide.measure():
        pass


def _work(count: int) -> None:
    """Two blocks each time, one of the C library's, freed at once."""
    for _ in range(count):
        bytearray(600)


def _imports() -> dict[str, float]:
    def load() -> None:
        import heaptide.inside  # noqa: F401

    return {"import of what measures, NumPy with it": _seconds(load)}


def _first() -> dict[str, float]:
    import heaptide.inside  # noqa: F401

    return {"the first measurement": _seconds(_empty)}


def _further() -> dict[str, float]:
    import heaptide

    _empty()
    found = {"each further measurement": _each(_empty)}
    with heaptide.measure():
        found["a measurement within another"] = _each(_empty)
        found["`stats()`"] = _each(heaptide.stats)
    return found


def _recording() -> dict[str, float]:
    import heaptide

    with tempfile.TemporaryDirectory() as folder:

        def record(name: str, symbols: bool) -> None:
            with heaptide.record(Path(folder) / name, symbols=symbols):
                pass

        record("first.tide", False)  # loads what the others use too
        return {
            "a recording, begun and ended": _seconds(lambda: record("a.tide", False)),
            "the same, with function names": _seconds(lambda: record("b.tide", True)),
        }


def _slowdown() -> dict[str, float]:
    """Of code that does nothing but allocate, a call in seconds."""
    import heaptide

    count = 200_000
    plain = statistics.median(_seconds(lambda: _work(count)) for _ in range(3)) / count
    _empty()
    after = statistics.median(_seconds(lambda: _work(count)) for _ in range(3)) / count
    with heaptide.measure():
        within = statistics.median(_seconds(lambda: _work(count)) for _ in range(3)) / count
    return {
        "`bytearray(600)`, nothing ever measured": plain,
        "the same between two measurements": after,
        "the same in a measurement": within,
    }


def _stacks() -> dict[str, float]:
    import heaptide

    with heaptide.measure() as m:
        kept = [json.loads(json.dumps({"n": n})) for n in range(10_000)]
    return {f"`stacks()` of a block of {len(kept):,} JSON documents": _seconds(m.stacks)}


def _pytest(count: int, *options: str) -> float:
    """Seconds of a session of ``count`` small tests."""
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(f"def test_{n}(): kept = [0] * 100\n" for n in range(count))
        (Path(folder) / "test_it.py").write_text(lines)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "heaptide.testing.plugin", *options]
        environment = {
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path))),
        }
        return _seconds(
            lambda: subprocess.run(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True
            )
        )


def _tests() -> dict[str, float]:
    many, few = 300, 10
    plain = _pytest(many)
    one = _pytest(1, "--memory-all") - _pytest(1)
    return {
        "pytest, the first measured test": one,
        "pytest, each further one": (_pytest(many, "--memory-all") - plain - one) / (many - 1),
        "pytest, each with a leak check": (
            _pytest(few, "--memory-limit=leaked=0") - _pytest(few) - one
        )
        / few,
        "pytest, each isolated": (_pytest(few, "--memory-all", "--memory-isolate") - _pytest(few))
        / few,
    }


CASES: dict[str, Callable[[], dict[str, float]]] = {
    "imports": _imports,
    "first": _first,
    "further": _further,
    "recording": _recording,
    "slowdown": _slowdown,
    "stacks": _stacks,
    "tests": _tests,
}


def _in_a_process(case: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.inside", "--case", case],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _shown(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def main() -> None:
    """Prints the table, or the figures of one case as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds only")
    parser.add_argument("--case", choices=CASES, help="measure here, print JSON")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(CASES[options.case]()))
        return
    figures: dict[str, list[float]] = {}
    for _ in range(QUICK_ROUNDS if options.quick else ROUNDS):
        for case in CASES:
            for name, value in _in_a_process(case).items():
                figures.setdefault(name, []).append(value)
    named = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"Machine: {processor()}, {memory_bytes() / 2**30:.0f} GiB. {named}.\n")
    print("| | median | lowest to highest |\n|---|---:|---|")
    for name, values in figures.items():
        low, high = _shown(min(values)), _shown(max(values))
        print(f"| {name} | {_shown(statistics.median(values))} | {low} to {high} |")


if __name__ == "__main__":
    main()
