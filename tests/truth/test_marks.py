"""Marks of programs, and what they cut the time into."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heaptide.profile import Profile, Selection, summarize
from heaptide.recording import Recording
from tests.conftest import Record
from tests.support.building import Builder

pytestmark = pytest.mark.interpreters

PYTHON = """\
import threading
import heaptide

def some(count, size):
    return [bytes(size) for _ in range(count)]

some(10, 100_000)
heaptide.mark("serving")
held = some(100, 20_000)
heaptide.mark("cl\\u00f6sing")
del held
thread = threading.Thread(target=heaptide.mark, args=("in a thread",))
thread.start()
thread.join()
"""


def total(recording: Recording, start: int, end: int | None) -> int:
    """Of the first process: what a child does at that moment may be on either side."""
    ends = None if end is None else end / 1e9
    return summarize(
        Profile(recording, Selection(start=start / 1e9, end=ends, processes=(0,)))
    ).total_bytes


def test_compiled(build: Builder, record: Record) -> None:
    """Phases are exact to the byte, with thousands of marks too."""
    with Recording.open(record([build("marks.c", "-g", "-O0"), "x"]).path) as recording:
        marks = recording.marks
        own = [row for row in range(len(marks)) if marks.process[row] == 0]
        [child] = [row for row in range(len(marks)) if marks.process[row] == 1]
        assert marks.name[child] == "child"
        names = [marks.name[row] for row in own]
        times = [int(marks.time[row]) for row in own]
        assert names[:2] == ["second", "turns"]
        assert names[2:3002] == ["turn"] * 3000
        assert names[3002:] == ["x" * 400, "x" + "ü" * 199, ""]
        assert times == sorted(times)
        assert total(recording, times[0], times[1]) == 200 * 1000
        assert total(recording, times[1], times[9]) == 80
        assert len(recording.slices) <= 2000


def test_not_recorded(build: Builder) -> None:
    assert subprocess.run([build("marks.c", "-g", "-O0")], check=False).returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", "import heaptide; print(heaptide.mark('x'))"],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"None\n"


@pytest.mark.parametrize("options", [[], ["--sample", "10000"]])
def test_python(tmp_path: Path, record: Record, options: list[str]) -> None:
    script = tmp_path / "marks.py"
    script.write_text(PYTHON, encoding="utf-8")
    with Recording.open(record([script], *options).path) as recording:
        marks = recording.marks
        assert [marks.name[row] for row in range(len(marks))] == [
            "serving",
            "clösing",
            "in a thread",
        ]
        assert marks.thread[2] != marks.thread[0]
        serving = total(recording, int(marks.time[0]), int(marks.time[1]))
        assert serving == pytest.approx(2_000_000, rel=0.02 if not options else 0.3)


def test_none_while_paused(tmp_path: Path, record: Record) -> None:
    script = tmp_path / "marks.py"
    script.write_text(PYTHON, encoding="utf-8")
    with Recording.open(record([script], "--start-after", "60s").path) as recording:
        assert len(recording.marks) == 0


def test_marks_in_signal_handlers(tmp_path: Path, record: Record) -> None:
    """The first one comes while a module is imported, perhaps the one that marks need."""
    script = tmp_path / "handler.py"
    script.write_text(
        "import signal, heaptide\n"
        "signal.signal(signal.SIGALRM, lambda *_: heaptide.mark('handler'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)\n"
        "import ctypes, json, decimal, email.message, http.client\n"
        "for i in range(300):\n"
        "    heaptide.mark(str(i))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0, 0)\n"
    )
    done = record([script])
    assert done.status == 0, done.stderr
    with Recording.open(done.path) as recording:
        names = [recording.marks.name[row] for row in range(len(recording.marks))]
    assert [name for name in names if name != "handler"] == [str(i) for i in range(300)]
    assert "handler" in names


def test_names_are_text(record: Record) -> None:
    """Recorded or not, the same is an error."""
    program = "import heaptide\ntry:\n    heaptide.mark(b'x')\nexcept TypeError:\n    print('no')"
    assert record([sys.executable, "-c", program]).stdout == "no\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"no\n"
