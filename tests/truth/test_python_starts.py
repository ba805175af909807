"""Interpreters started in unusual ways, and from programs that embed them: recorded as ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Record
from tests.support.building import PROGRAMS, embed_python
from tests.support.recorded import Recorded
from tests.truth.test_python_programs import check

pytestmark = pytest.mark.interpreters

FILL = """unit = b"x"
def fill(shelf):
    for i in range(len(shelf)):
        shelf[i] = unit * 2000
kept = [None] * 100
fill(kept)
"""
HEADER = sys.getsizeof(b"")


def filled(recorded: Recorded, line: int) -> tuple[int, int]:
    """Allocations and bytes of one line of `fill`."""
    rows = [r for r in recorded.sites("line") if (r["function"], r["line"]) == ("fill", line)]
    assert len(rows) == 1, (rows, recorded.stderr)
    return rows[0]["allocations"], rows[0]["total_bytes"]


@pytest.mark.parametrize("options", ["-I", "-E", "-S", "-B -u", "-X dev", "-X importtime"])
def test_options(options: str, record: Record) -> None:
    recorded = record([sys.executable, *options.split(), str(PROGRAMS / "lines.py")])
    check(recorded, "lines.py")


@pytest.mark.parametrize("allocator", ["malloc_debug", "pymalloc_debug", "default"])
@pytest.mark.parametrize("options", ["", "-X dev"])
def test_allocators(allocator: str, options: str, record: Record) -> None:
    """The debug hooks ask for more, which nobody asked for."""
    command = [sys.executable, *options.split(), str(PROGRAMS / "lines.py")]
    check(record(command, env={"PYTHONMALLOC": allocator}), "lines.py")


@pytest.mark.parametrize("start", ["PYTHONMALLOC=pymalloc", "PYTHONMALLOC=debug"])
def test_allocators_named_at_the_start(start: str, record: Record) -> None:
    """The interpreter takes the hooks off before its first object. What it starts with counts."""
    name, _, value = start.partition("=")
    command = [sys.executable, "-c", "pass"]
    plain, other = record(command).summary, record(command, env={name: value}).summary
    assert other["allocations"] == pytest.approx(plain["allocations"], rel=0.01)
    assert other["peak_bytes"] == pytest.approx(plain["peak_bytes"], rel=0.05)


def test_sampling_leaves_out_what_pymalloc_needs(record: Record) -> None:
    """Its tree of arenas, 393 kB in CPython 3.10 and 3.11, is no object of the program's."""
    command = [sys.executable, "-c", "pass"]
    every = record(command).summary
    for _ in range(2):
        sampled = record(command, "--sample", "256").summary
        # Of 3 MB one sample every 256 bytes: the estimate is within 1 % two times in three.
        assert sampled["total_bytes"] == pytest.approx(every["total_bytes"], rel=0.06)
        assert sampled["peak_bytes"] == pytest.approx(every["peak_bytes"], rel=0.1)


def bases() -> list[str]:
    """The interpreter that the tests' virtual environment is made of, and the system's."""
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    found = [base, Path(f"/usr/bin/python3.{sys.version_info.minor}")]
    return sorted({str(path) for path in found if path.exists()})


@pytest.mark.parametrize("python", bases())
def test_outside_of_an_environment(python: str, record: Record) -> None:
    check(record([python, PROGRAMS / "lines.py"]), "lines.py")


TRACED = """
import sys, tracemalloc; unit = b"x"
def fill(shelf):
    for i in range(len(shelf)):
        shelf[i] = unit * 2000
def again(shelf):
    for i in range(len(shelf)):
        shelf[i] = unit * 2000
if not tracemalloc.is_tracing():
    tracemalloc.start(5)
kept = [None] * 100
fill(kept)
snapshot = tracemalloc.take_snapshot()
current, peak = tracemalloc.get_traced_memory()
rows = [s for s in snapshot.statistics("lineno") if s.traceback[0].filename == __file__]
print(*sorted((row.traceback[0].lineno, row.count, row.size) for row in rows))
tracemalloc.stop()
more = [None] * 100
again(more)
"""


@pytest.mark.parametrize("allocator", ["pymalloc", "malloc", "debug"])
@pytest.mark.parametrize("start", ["-X tracemalloc=5", ""], ids=["from the start", "later"])
def test_tracemalloc(start: str, allocator: str, record: Record, tmp_path: Path) -> None:
    """tracemalloc in the program says the same of each line; what comes after it is recorded."""
    program = tmp_path / "traced.py"
    program.write_text(TRACED)
    command = [sys.executable, *start.split(), str(program)]
    env = {"PYTHONMALLOC": allocator}
    plain = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    recorded = record(command, env=env)
    assert recorded.status == 0, recorded.stderr
    assert recorded.stdout == plain.stdout and f"(5, 100, {100 * (2000 + HEADER)})" in plain.stdout
    rows = [r for r in recorded.sites("line") if (r["function"], r["line"]) == ("again", 8)]
    assert [(r["allocations"], r["total_bytes"]) for r in rows] == [(100, 100 * (2000 + HEADER))]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with this interpreter in it."""
    return embed_python("embedder.c", tmp_path_factory.mktemp("embedder") / "embedder")


def test_embedded(embedder: Path, record: Record, tmp_path: Path) -> None:
    """An interpreter in a program, ended and started again: both times recorded."""
    (tmp_path / "fill.py").write_text(FILL)
    env = {"PYTHONHOME": sys.base_prefix}
    recorded = record([embedder, "fill.py"], cwd=tmp_path, env=env)
    assert recorded.status == 0, recorded.stderr
    assert filled(recorded, 4) == (200, 200 * (2000 + HEADER))


def test_subinterpreters(record: Record) -> None:
    """Interpreters in one process, in one thread and in several at once."""
    recorded = record([sys.executable, PROGRAMS / "subinterpreters.py"])
    assert (recorded.status, recorded.stdout) == (0, "done\n"), recorded.stderr
    for size in (2000, 2010, 2020, 3050, 3060, 3070):
        assert filled(recorded, 4 + size % 100) == (100, 100 * (size + HEADER)), size
