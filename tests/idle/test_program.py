"""A program as a whole: whether it has ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from heaptide._procfs import Process
from heaptide.idle._clock import Clock
from heaptide.idle._errors import StartError
from heaptide.idle._log import Log
from heaptide.idle._program import Program
from heaptide.recorder.target import Target


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[Program]:
    """One whose first process has ended with status 0."""
    target = Target("/bin/true", ("true",), "true")
    program = Program(target, os.environ, Log(tmp_path / "log"), clock=Clock(), patience=1.0)
    with program:
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        yield program


def test_a_daemon_that_one_look_misses_is_no_end(
    ended: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was forked after the list of processes was made, by one that ended before it was read."""
    daemon = Process(2**22 + 1, "daemon", "S", os.getpid(), 1, 1, 1)  # above all that there can be
    looks: list[dict[int, Process]] = [{}, {}, {daemon.pid: daemon}]
    monkeypatch.setattr(ended.procfs, "processes", lambda: looks.pop(0) if looks else {})
    assert ended.check("at once") == [daemon]


def test_a_program_without_processes_has_ended(ended: Program) -> None:
    """However often it is looked at."""
    with pytest.raises(StartError, match="true ended with status 0 at once"):
        ended.check("at once")
