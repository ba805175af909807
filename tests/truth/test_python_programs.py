"""Python programs whose allocations are known by construction, on the interpreter of the tests."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import Record
from tests.support.building import PROGRAMS
from tests.support.marks import (
    differences_by_function,
    differences_by_line,
    printed_figures,
    read_marks,
)
from tests.support.recorded import Recorded

pytestmark = pytest.mark.interpreters


def check(recorded: Recorded, source: str, only: str | None = None) -> None:
    """Everything marked in a source (or one function of it) is as marked."""
    assert recorded.status == 0, recorded.stderr
    marks = [m for m in read_marks(PROGRAMS / source) if only is None or m.function == only]
    assert marks
    figures = printed_figures(recorded.stdout)
    wrong = differences_by_line(marks, recorded.sites("line"), figures)
    wrong += differences_by_function(marks, recorded.sites("function"), figures)
    assert not wrong, "\n".join([*wrong, recorded.stderr])


def run(record: Record, source: str, *options: str) -> Recorded:
    return record([sys.executable, PROGRAMS / source], *options)


@pytest.mark.parametrize("native", ["auto", "all", "off"])
def test_lines(native: str, record: Record) -> None:
    """Functions, methods, generators, coroutines, lambdas: each line as marked."""
    check(run(record, "lines.py", "--native", native), "lines.py")


@pytest.mark.parametrize("allocator", ["malloc", "pymalloc", "debug"])
def test_lines_with_another_allocator(allocator: str, record: Record) -> None:
    """PYTHONMALLOC makes no difference to what objects are asked for."""
    env = {"PYTHONMALLOC": allocator}
    recorded = record([sys.executable, PROGRAMS / "lines.py"], env=env)
    check(recorded, "lines.py")


def test_watched(record: Record) -> None:
    """Profilers, tracers and monitoring take nothing from the recording, nor after them."""
    recorded = run(record, "watched.py")
    check(recorded, "watched.py")
    # The tools have not been kept from seeing what they look at.
    seen = ["lines covered 2", "lines covered 2", "debugger saw 2"]
    assert recorded.stdout.splitlines()[:3] == seen


def test_threads(record: Record) -> None:
    """Four threads on the same line."""
    check(run(record, "pythreads.py"), "pythreads.py", "work")


def test_threads_without_objects(record: Record) -> None:
    """C code that has released the GIL is charged to the Python line that called it."""
    check(run(record, "pythreads.py", "--no-python-objects"), "pythreads.py")


def test_children(record: Record) -> None:
    """Children by fork, by multiprocessing and by subprocess."""
    recorded = run(record, "children.py")
    check(recorded, "children.py")
    # The program, the fork, two forked and two spawned workers, the subprocess; spawning starts a
    # resource tracker.
    assert recorded.summary["processes"] >= 7


def test_generated_code(record: Record) -> None:
    """Code objects that die and whose memory is taken by others are not mixed up."""
    recorded = run(record, "generated.py")
    assert recorded.status == 0, recorded.stderr
    found = {}
    header = sys.getsizeof(b"")
    for row in recorded.sites("function"):
        matched = re.fullmatch(r"made_(\d+)", row["function"])
        if matched:
            index = int(matched.group(1))
            assert row["line"] == 2 + index % 7, row
            assert row["file"] == f"<generated {index % 3}>", row
            found[index] = (row["allocations"], row["alive_at_exit_bytes"])
    assert found == {index: (1, 1000 + index + header) for index in range(300)}


def test_calls_allocate_nothing(record: Record) -> None:
    """A million calls of an empty function: nothing is charged to the program."""
    check(run(record, "calls.py"), "calls.py")


@pytest.mark.parametrize("how", ["script", "module", "code"])
def test_ways_to_start(how: str, record: Record, tmp_path: Path) -> None:
    """`heaptide run` takes a script, -m module or -c code, like python itself."""
    code = "import sys\nkept = [b'x' * int(sys.argv[1]) for _ in range(3)]\nprint(sys.argv[1:])\n"
    (tmp_path / "program.py").write_text(code)
    command = {"script": ["program.py"], "module": ["-m", "program"], "code": ["-c", code]}[how]
    recorded = record([*command, "100000", "--json", "-o"], cwd=tmp_path)
    assert recorded.status == 0, recorded.stderr
    assert "['100000', '--json', '-o']" in recorded.stdout
    # Beside the three blocks the list that they are in, and what it takes to run the loop.
    want = 3 * (100000 + sys.getsizeof(b""))
    assert [row for row in recorded.sites("line") if want <= row["total_bytes"] < want + 10_000]
