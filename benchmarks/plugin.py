"""Measures what the pytest plugin costs: a test without a mark; a marked one; pytest-memray's.

    python -m benchmarks.plugin [--rounds N] [--tests N] [--json FILE] [--instructions]

Run it in an environment that heaptide and pytest-memray are installed in. Each round runs all
variants in turn; costs are what a test takes longer than one that nothing measures, in processor
time (that of heaptide's collector with it) and by the clock, medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import machine

_BODY = """
import json

class Node:
    def __init__(self, depth):
        self.depth, self.children = depth, []

def tree(depth):
    node = Node(depth)
    if depth:
        node.children = [tree(depth - 1) for _ in range(3)]
    return node

def work():
    tree(8)
    rows = [{"number": i, "names": [str(i)] * 3} for i in range(5000)]
    json.loads(json.dumps(rows))
"""
_TEST = "import pytest\nfrom body import work\n{tests}"
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist", "-p", "no:cov")


@dataclass(frozen=True)
class Variant:
    """A way to run the tests: their mark, and options of pytest."""

    name: str
    mark: str = ""
    options: tuple[str, ...] = ()


VARIANTS = (
    Variant("neither plugin", options=("-p", "no:heaptide", "-p", "no:memray")),
    Variant("heaptide installed, no mark", options=("-p", "no:memray")),
    Variant("heaptide, peak", '@pytest.mark.memory(peak="100 MB")', ("-p", "no:memray")),
    Variant(
        "pytest-memray, limit_memory",
        '@pytest.mark.limit_memory("100 MB")',
        ("-p", "no:heaptide", "--memray"),
    ),
    Variant(
        "pytest-memray, limit_memory, Python objects too",
        '@pytest.mark.limit_memory("100 MB")',
        ("-p", "no:heaptide", "--memray", "--trace-python-allocators"),
    ),
    Variant(
        "pytest-memray, limit_leaks",
        '@pytest.mark.limit_leaks("100 MB")',
        ("-p", "no:heaptide", "--memray"),
    ),
)


@dataclass
class Cost:
    """Seconds a test, above one that nothing measures."""

    variant: str
    processor: float
    clock: float


def _run(folder: Path, variant: Variant, tests: int) -> tuple[float, float]:
    """Processor and clock seconds of a whole run of pytest."""
    text = "".join(f"{variant.mark}\ndef test_{i}():\n    work()\n" for i in range(tests))
    (folder / "test_it.py").write_text(_TEST.format(tests=text))
    command = [sys.executable, "-m", "pytest", *_QUIET, *variant.options, "test_it.py"]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    clock = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{variant.name}: {' '.join(command)} failed:\n{output}")
    return usage.ru_utime + usage.ru_stime + _orphans(), clock


def _adopt_orphans() -> None:
    """heaptide's collector is no child of the tests; it becomes one of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit(f"prctl: {os.strerror(ctypes.get_errno())}")


def _orphans() -> float:
    """Processor seconds of what a run has left behind, once that has ended."""
    seconds = 0.0
    with contextlib.suppress(ChildProcessError):
        while True:
            usage = os.wait4(-1, 0)[2]
            seconds += usage.ru_utime + usage.ru_stime
    return seconds


def measure(rounds: int, tests: int) -> list[Cost]:
    """All variants, in turn. Start-up is taken off by runs of one test."""
    readings: dict[str, list[tuple[float, float]]] = {variant.name: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body.py").write_text(_BODY)
        for _ in range(rounds):
            for variant in VARIANTS:
                few, many = (_run(folder, variant, count) for count in (1, 1 + tests))
                readings[variant.name].append(
                    ((many[0] - few[0]) / tests, (many[1] - few[1]) / tests)
                )
    medians = {
        name: tuple(statistics.median(column) for column in zip(*pairs))
        for name, pairs in readings.items()
    }
    base = medians[VARIANTS[0].name]
    return [
        Cost(name, found[0] - base[0], found[1] - base[1]) for name, found in medians.items()
    ] + [Cost("the test itself", base[0], base[1])]


def instructions(tests: int) -> dict[str, int]:
    """What a test that does nothing and has no mark takes, by callgrind: the same each time."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variant in VARIANTS[:2]:
            few, many = (_count(folder, variant, count) for count in (1, 1 + tests))
            found[variant.name] = (many - few) // tests
    return found


def _count(folder: Path, variant: Variant, tests: int) -> int:
    """Instructions of a whole run of pytest."""
    text = "".join(f"def test_{i}():\n    pass\n" for i in range(tests))
    (folder / "test_it.py").write_text(text)
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*callgrind, sys.executable, "-m", "pytest", *_QUIET, *variant.options, "test_it.py"]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    collected = re.search(r"Collected : (\d+)", done.stderr)
    assert collected is not None, done.stderr
    return int(collected[1])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tests", type=int, default=40)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--instructions", action="store_true", help="count them, by valgrind")
    options = parser.parse_args(arguments)
    if options.instructions:
        for name, count in instructions(400).items():
            print(f"{name:50} {count:12,} instructions a test that does nothing")
        return 0
    _adopt_orphans()
    costs = measure(options.rounds, options.tests)
    print(f"{machine.processor()}, {options.rounds} rounds of {options.tests} tests")
    for one in costs:
        print(f"{one.variant:50} {one.processor * 1e3:8.2f} ms CPU {one.clock * 1e3:8.2f} ms")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in costs], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
