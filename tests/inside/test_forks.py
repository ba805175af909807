"""Children by fork of programs that measure and record themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inside.running import run

pytestmark = pytest.mark.interpreters

CHILDREN = """\
import heaptide, os, sys, threading

def work():
    with heaptide.measure() as m:
        kept = [bytes(1000) for _ in range(100)]
    assert 100 <= m.allocations < 150, m

def record():
    with heaptide.record(f"{os.getpid()}.tide", symbols=False):
        kept = [bytes(1000) for _ in range(100)]
    work()

def in_child(function):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, function
"""

PAUSED = (
    CHILDREN
    + """
work()
in_child(work)
in_child(record)
def twice():
    work()
    in_child(work)
in_child(twice)
with heaptide.measure():
    in_child(work)
    in_child(record)
with heaptide.record("parent.tide", follow=False, symbols=False):
    in_child(work)
    in_child(record)
work()
"""
)


def test_a_child_measures_and_records_for_itself(tmp_path: Path) -> None:
    """Between two measurements of its parent, in the middle of one, and of a recording."""
    run(PAUSED, tmp_path)
    assert len(list(tmp_path.glob("*.tide"))) == 4


INHERITED = (
    CHILDREN
    + """
def descriptors():
    return len(os.listdir("/proc/self/fd"))
before = descriptors()
work()
def measure():
    work()
    heaptide.record("a.tide", symbols=False).start().stop()
    assert descriptors() == before, (descriptors(), before)
in_child(measure)
m = heaptide.measure()
m.__enter__()
def leave():
    with heaptide.measure() as own:
        try:
            m.__exit__(None, None, None)
        except heaptide.HeaptideError as error:
            assert "parent" in str(error)
        kept = [bytes(1000) for _ in range(100)]
    assert 100 <= own.allocations < 250, own
in_child(leave)
m.__exit__(None, None, None)
"""
)


def test_what_a_child_inherits(tmp_path: Path) -> None:
    """Its parent's descriptors are given back, and its parent's block is none of its own."""
    run(INHERITED, tmp_path)


FROM_A_THREAD = (
    CHILDREN
    + """
heaptide.record  # imported now: what a thread is about to import, its forked child waits for
def fork():
    for _ in range(40):
        in_child(record)
thread = threading.Thread(target=fork)
thread.start()
turn = 0
while thread.is_alive():
    turn += 1
    heaptide.record("a.tide", force=True, symbols=False).start().stop()
    work()
thread.join()
"""
)


def test_forks_while_another_thread_begins_or_ends(tmp_path: Path) -> None:
    """What that thread has locked is open in the child."""
    run(FROM_A_THREAD, tmp_path)
