"""Programs whose Python has other allocators than it has begun with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inside.running import run

pytestmark = pytest.mark.interpreters

TRACED = """\
import heaptide, sys, tracemalloc

def work():
    return [bytes(1000) for _ in range(100)]

def record(**options):
    with heaptide.record("a.tide", force=True, symbols=False, **options):
        return work()

def measure():
    with heaptide.measure() as m:
        kept = work()
    return m.allocations

measure()  # the first call of a function has a frame of its own to make, up to 3.10
expected = measure()
for first, then in [({}, {"native": "all"}), ({"native": "all"}, {}), ({}, {"sample": 4096})]:
    for times in range(3):
        recorder = heaptide.record("a.tide", force=True, symbols=False, **first).start()
        tracemalloc.start()
        work()
        if times == 1:
            tracemalloc.stop()
        recorder.stop()
        record(**then)
        record(**first)
        assert measure() >= expected
        tracemalloc.stop()
    tracemalloc.start()
    recorder = heaptide.record("a.tide", force=True, symbols=False, **first).start()
    tracemalloc.stop()
    work()
    recorder.stop()
    record(**then)
    assert measure() == expected
"""


@pytest.mark.parametrize("allocator", ["pymalloc", "malloc", "debug"])
def test_tracemalloc_from_one_recording_to_the_next(tmp_path: Path, allocator: str) -> None:
    """Hooks that it has wrapped meanwhile are not put on top of it a second time."""
    run(TRACED, tmp_path, env={"PYTHONMALLOC": allocator})
