"""How often what is expensive is asked for: by a clock that is made up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from heaptide.allocators import Reader
from heaptide.allocators._limit import Clock, Limiter, Load
from heaptide.allocators._objects import Library
from heaptide.errors import HeaptideError

from .fakes import FakeLibrary, jemalloc, libc, nothing


class Time:
    """Time that passes when it is told to, or when something is read."""

    def __init__(self) -> None:
        self.now = 100.0
        self.used = 5.0
        self.clock = Clock(lambda: self.now, lambda: self.used)

    def take(self, seconds: float, work: float = 0.0) -> None:
        """``work``: processor time that the process uses meanwhile."""
        self.now += seconds
        self.used += work


def limiter(time: Time, cost: float, **options: float) -> tuple[Limiter[int], list[float]]:
    readings: list[float] = []

    def read() -> int:
        readings.append(time.now)
        time.take(cost)
        return len(readings)

    return Limiter(read, interval=options.get("interval", 0.0), clock=time.clock), readings


def test_interval() -> None:
    """Until it is over, what was read last, with its age."""
    time = Time()
    limited, readings = limiter(time, 0.0, interval=60.0)
    assert (limited.get().value, limited.get().age) == (1, 0.0)
    time.take(59.0)
    assert (limited.get().value, limited.get().age) == (1, 59.0)
    time.take(1.0)
    assert (limited.get().value, len(readings)) == (2, 2)


def test_share_of_time() -> None:
    """What takes 30 ms is not read again for 30 s, however short the interval."""
    time = Time()
    limited, readings = limiter(time, 0.03)
    for _ in range(600):
        limited.get()
        time.take(0.1)
    assert len(readings) == 2
    assert readings[1] - readings[0] >= 30


def test_fresh() -> None:
    time = Time()
    limited, readings = limiter(time, 1.0, interval=60.0)
    assert [limited.get(fresh=True).value for _ in range(3)] == [1, 2, 3]
    assert limited.get().value == 3 and len(readings) == 3


def test_load() -> None:
    """More than half of a processor since the last look, measured over a second or more."""
    time = Time()
    load = Load(time.clock)
    assert not load.busy()
    time.take(10.0, work=6.0)
    assert load.busy()
    time.take(0.5)
    assert load.busy()  # too soon to say anything else
    time.take(10.0, work=4.0)
    assert not load.busy()


def glibc(time: Time, **figures: int) -> tuple[Callable[[], list[Library]], list[float]]:
    """Libraries with one whose blocks are as many bytes as it was asked, and when that was."""
    calls: list[float] = []

    def mallinfo2() -> SimpleNamespace:
        calls.append(time.now)
        known = {"arena": 10, "hblkhd": 0, "fordblks": 0, **figures}
        return SimpleNamespace(uordblks=len(calls), **known)

    return (lambda: [libc(mallinfo2=mallinfo2)]), calls


def test_glibc_under_load() -> None:
    """It is not asked while the process is busy; what it told before stays, and grows old."""
    time = Time()
    libraries, calls = glibc(time)
    reader = Reader(clock=time.clock, libraries=libraries)
    time.take(2.0, work=2.0)
    (busy,) = reader.read()
    assert (busy.allocated, calls) == (None, []) and "busy" in busy.reason
    time.take(2.0)
    assert reader.read()[0].allocated == 1
    time.take(100.0, work=90.0)
    (old,) = reader.read()
    assert (old.allocated, old.age) == (1, 100.0)
    time.take(100.0)
    assert reader.read()[0].allocated == 2
    assert len(calls) == 2


def test_between_two_questions() -> None:
    """There is what was told last, older each time; what was given before does not change."""
    time = Time()
    libraries, calls = glibc(time, hblkhd=2, fordblks=4)
    reader = Reader(clock=time.clock, libraries=libraries)
    (first,) = reader.read()
    assert (first.allocated, first.age) == (3, 0.0)
    for age in (20.0, 40.0):
        time.take(20.0)
        (older,) = reader.read()
        assert older == replace(first, age=age)
    assert first.age == 0.0
    time.take(20.0)
    (second,) = reader.read()
    assert (second.allocated, second.age, len(calls)) == (4, 0.0, 2)
    never = Reader(clock=time.clock, libraries=libraries, asking="never")
    assert never.read()[0].age == 0.0
    time.take(20.0)
    assert never.read()[0].age == 0.0  # of nothing


def test_what_is_cheap_is_asked_under_load() -> None:
    time = Time()
    reader = Reader(clock=time.clock, libraries=lambda: [jemalloc("/j.so")])
    for _ in range(5):
        time.take(2.0, work=8.0)
        (found,) = reader.read()
        assert (found.allocated, found.age) == (600, 0.0)


def test_patience() -> None:
    """What took longer than one may wait is read by another thread, and told the next time."""
    time = Time()
    cost = [0.0, 0.5, 0.0, 0.0]
    gate = threading.Event()

    def read() -> int:
        if threading.current_thread() is not threading.main_thread():
            assert gate.wait(60)
        time.take(cost[len(seen)])
        seen.append(threading.current_thread())
        return len(seen)

    seen: list[threading.Thread] = []
    limited = Limiter(read, interval=10.0, patience=0.1, clock=time.clock)
    assert limited.get().value == 1  # expected to be short, and was
    time.take(10)
    assert limited.get().value == 2  # was not
    time.take(500)
    assert (limited.get().value, limited.get().value) == (2, 2)  # the thread waits at the gate
    gate.set()
    while limited.get().value == 2:
        threading.Event().wait(0.001)
    assert seen[:2] == [threading.main_thread()] * 2
    assert threading.main_thread() not in seen[2:]
    time.take(10)
    assert limited.get().value == 4  # short again: who asks reads
    assert seen[3] is threading.main_thread()


@pytest.mark.parametrize(
    ("patience", "asked"),
    [(None, [1, 2, 3, 4, 5, 6, 7, 8, 9]), (0.0002, [1, 1, 1, 1, 2, 2, 2, 2, 3])],
)
def test_who_walks_is_asked_rarely_by_who_cannot_wait(
    patience: float | None, asked: list[int]
) -> None:
    """pymalloc looks at each of its pools; who reads for a person gets it new each time."""
    time = Time()
    calls = []

    def open_memstream(*_: object) -> int:
        calls.append(time.now)
        return 0

    interpreter = FakeLibrary(
        "/python",
        _PyObject_DebugMallocStats=nothing,
        _PyMem_GetCurrentAllocatorName=lambda: b"pymalloc",
    )
    libraries = [libc(open_memstream=open_memstream, fclose=nothing), interpreter]
    reader = Reader(clock=time.clock, patience=patience, libraries=lambda: libraries)
    found = []
    for _ in asked:
        assert [one.name for one in reader.read()] == ["glibc", "pymalloc"]
        found.append(len(calls))
        time.take(15.0)
    assert found == asked
    ages = [one.age for one in reader.read(fresh=True)]
    assert (ages, len(calls)) == ([0.0, 0.0], asked[-1] + 1)


def test_expected_to_take_long() -> None:
    """The first is read by another thread as well; meanwhile there is none, and a reason."""
    time = Time()
    limited = Limiter(lambda: 7, interval=10.0, patience=0.1, took=1.0, clock=time.clock)
    first = limited.get()
    assert (first.value, first.reason) in ((None, "being asked for the first time"), (7, ""))
    while limited.get().value is None:
        threading.Event().wait(0.001)
    assert limited.get().value == 7


def test_another_thread_fails() -> None:
    """What is read has ended: the next may try again."""
    time = Time()
    tries: list[int] = []

    def read() -> int:
        tries.append(1)
        raise HeaptideError("there is no process 1")

    limited = Limiter(read, interval=10.0, patience=0.1, took=1.0, clock=time.clock)
    while len(tries) < 3:
        assert limited.get().value is None
        threading.Event().wait(0.001)
