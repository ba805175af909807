"""Programs whose Python has other allocators than it has begun with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inside.running import run
from tests.support.building import Builder

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


MAPPED = """\
import ctypes, heaptide, mmap, sys
library = ctypes.CDLL(sys.argv[1])

def maps():
    mapping = mmap.mmap(-1, 1 << 20)
    mapping.resize(2 << 20)
    mapping.close()

with heaptide.record("a.tide", symbols=False):
    maps()
with heaptide.measure("thread") as m:
    library.blocks(500)
    maps()
print(m.bytes, m.live)
"""


def test_an_allocator_that_maps_by_number(tmp_path: Path, build: Builder) -> None:
    """Its mapping functions are behind our hooks, and its system calls before them: a mapping is
    one, whoever makes it."""
    allocator = build("own_allocator.c", "-O1", "-fPIC", "-shared", "-fno-builtin")
    library = build("counted.c", "-O1", "-fPIC", "-shared")
    done = run(MAPPED, tmp_path, [str(library)], env={"LD_PRELOAD": str(allocator)})
    (tmp_path / "a.tide").unlink()
    assert done.stdout == run(MAPPED, tmp_path, [str(library)]).stdout


BOUND_DEEP = """\
import ctypes, heaptide, os, sys

def measure(library, function, count):
    with heaptide.measure("thread") as m:
        getattr(library, function)(count)
    return m.allocations

deep = os.RTLD_LAZY | os.RTLD_DEEPBIND
before = ctypes.CDLL(sys.argv[1], mode=deep)
plain = ctypes.CDLL(sys.argv[2])
for turn in range(3):
    measure(before, "blocks", 100)
    assert measure(plain, "blocks", 100) == 100 or turn == 0
after = ctypes.CDLL(sys.argv[3], mode=deep)
measure(after, "blocks", 100)
measure(after, "chain", 100)
print("fine")
"""


def test_libraries_bound_to_another_allocator(tmp_path: Path, build: Builder) -> None:
    """With RTLD_DEEPBIND they free by libc what they have allocated by it, also where their calls
    are not bound before the first one."""
    allocator = build("own_allocator.c", "-O1", "-fPIC", "-shared", "-fno-builtin")
    libraries = [
        str(build("counted.c", "-O1", "-fPIC", "-shared", "-Wl,-z,lazy", f"-DNUMBER={number}"))
        for number in range(3)
    ]
    done = run(BOUND_DEEP, tmp_path, libraries, env={"LD_PRELOAD": str(allocator)})
    assert done.stdout == "fine\n"
