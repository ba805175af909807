"""Signal handlers that allocate, fork, or jump out of what they have interrupted: us, too."""

from __future__ import annotations

import pytest

from heaptide.recording import Recording
from tests.conftest import Record
from tests.support.building import Builder
from tests.support.recorded import Recorded

REPEATS = 3  # what is interrupted is a matter of chance


def lost_events(recorded: Recorded) -> int:
    with Recording.open(recorded.path) as recording:
        return int(recording.processes.lost_events.sum())


def test_handlers_that_jump(build: Builder, record: Record) -> None:
    """What comes after a jump out of the recorder is recorded."""
    program = build("handler_jumps.c", "-g", "-O1")
    for _ in range(REPEATS):
        recorded = record([program, "40"])
        assert recorded.status == 0, recorded.stderr
        assert recorded.site("keep")["allocations"] == 1000
        assert recorded.site("keep")["alive_at_exit_bytes"] == 5_000_000
        assert lost_events(recorded) <= 40  # one event that a jump has cut off, each


def test_handlers_that_allocate(build: Builder, record: Record) -> None:
    """However much a handler allocates, it is counted."""
    program = build("handler_works.c", "-g", "-O1")
    for _ in range(REPEATS):
        recorded = record([program, "0"])
        assert recorded.status == 0, recorded.stderr
        allocations = int(recorded.stdout.split()[0])
        summary = recorded.show("function")["summary"]
        assert summary["allocations"] == summary["deallocations"] == allocations
        assert lost_events(recorded) == 0


def test_handlers_that_fork(build: Builder, record: Record) -> None:
    """A child that a handler forks returns from it and goes on."""
    program = build("handler_works.c", "-g", "-O1")
    for _ in range(REPEATS):
        recorded = record([program, "60"])
        assert recorded.status == 0, recorded.stderr
        assert recorded.stdout.split()[1] == "0"
        assert recorded.summary["processes"] == 61


@pytest.mark.parametrize("way", ["prctl", "syscall", "strict"])
def test_sandbox(way: str, build: Builder, record: Record) -> None:
    """A sandbox does not kill for the recorder's system calls: the recording ends before it."""
    recorded = record([build("sandbox.c", "-g", "-O1"), way])
    if recorded.status == 77:
        pytest.skip("no seccomp here")
    assert recorded.status == 6, recorded.stderr
    assert recorded.site("before")["allocations"] == 1000
    assert recorded.site("inside")["allocations"] == 0
    (note,) = [note for note in recorded.show("function")["notes"] if "sandbox" in note["text"]]
    assert "not recorded to its end" in note["text"]
