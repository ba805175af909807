"""Reading all figures of this process, in less than a millisecond."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from heaptide.allocators import (
    AllocatorStats,
    Cgroup,
    CgroupReader,
    Pressure,
    ProcessReader,
    ProcessStats,
    Reader,
    read_pressure,
)
from heaptide.allocators.process import start_of
from heaptide.errors import HeaptideError

from ._figures import FIGURES, Figure, Sample

# What a caller waits for; whatever takes longer is read by another thread, and told the next time.
PATIENCE = 0.0002
_STATES = ("under_oom", "oom_kill_disable")  # among the events of version 1: no counts


class ReadsProcess(Protocol):
    def read(self, *, fresh: bool = False) -> ProcessStats: ...


class ReadsAllocators(Protocol):
    def read(self, *, fresh: bool = False) -> list[AllocatorStats]: ...


class Source:
    """The figures of whatever process asks. What cannot be told is not among them, never 0.

    May be used from several threads, and in forked children.
    """

    def __init__(
        self,
        *,
        objects: bool = False,
        process: ReadsProcess | None = None,
        allocators: ReadsAllocators | None = None,
        cgroup: Callable[[], Cgroup | None] | None = None,
        pressure: Callable[[], Pressure | None] = read_pressure,
    ) -> None:
        """``objects``: count the objects that the collector of garbage tracks, which takes 10 ms
        for a million of them. The other parameters: who reads."""
        self.objects = objects
        self._process = process or ProcessReader(patience=PATIENCE)
        self._allocators = allocators or Reader(patience=PATIENCE)
        self._cgroup = cgroup or CgroupReader().read
        self._pressure = pressure

    def read(self) -> list[Sample]:
        """In the order of `FIGURES`, but for allocators, which are told one after the other."""
        return [*self._own(), *self.inside(), *self.around()]

    def refresh(self) -> None:
        """Reads now what is read rarely, whatever it costs: `read` tells it after that."""
        with contextlib.suppress(HeaptideError):  # as in _own
            self._process.read(fresh=True)
        self._allocators.read(fresh=True)

    def _own(self) -> list[Sample]:
        """None without /proc, or where no more files can be opened: what else a service exports is
        not to be lost for that."""
        try:
            stats = self._process.read()
            return of_process(stats, start_time())
        except HeaptideError:
            return []

    def inside(self) -> list[Sample]:
        """What only the process itself can tell: allocators, and Python."""
        return [*_of_allocators(self._allocators.read()), *_of_python(self.objects)]

    def around(self) -> list[Sample]:
        """What is no process's own: the control group, and pressure."""
        return [*_of_cgroup(self._cgroup(), self._pressure())]


# Attributes of what was read, by figure, and labels' values.
_Table = Sequence[tuple[Figure, str, tuple[str, ...]]]
_PROCESS: _Table = (
    (FIGURES["process.rss"], "rss", ()),
    (FIGURES["process.virtual"], "virtual", ()),
    (FIGURES["process.start_time"], "started", ()),
    (FIGURES["process.rss_peak"], "peak_rss", ()),
    (FIGURES["process.rss_anon"], "rss_anon", ()),
    (FIGURES["process.rss_file"], "rss_file", ()),
    (FIGURES["process.rss_shmem"], "rss_shmem", ()),
    (FIGURES["process.swap"], "swap", ()),
    (FIGURES["process.threads"], "threads", ()),
    (FIGURES["process.page_faults"], "minor_faults", ("minor",)),
    (FIGURES["process.page_faults"], "major_faults", ("major",)),
    (FIGURES["process.pss"], "pss", ()),
    (FIGURES["process.uss"], "uss", ()),
    (FIGURES["process.pss_age"], "age", ()),
)
_ALLOCATOR = (
    *((FIGURES["allocator." + name], name) for name in ("allocated", "free", "active", "resident")),
    *((FIGURES["allocator." + name], name) for name in ("mapped", "retained", "metadata")),
    (FIGURES["allocator.blocks"], "blocks"),
)
_COLLECTIONS = tuple(
    (FIGURES["python.gc_" + name], name) for name in ("collections", "collected", "uncollectable")
)
_CGROUP: _Table = (
    *((FIGURES["cgroup." + name], name, ()) for name in ("limit", "headroom", "current", "peak")),
    *((FIGURES["cgroup." + name], name, ()) for name in ("working_set", "anon", "file", "swap")),
)


def of_process(stats: ProcessStats, started: float | None) -> list[Sample]:
    """``started``: seconds since 1970."""
    return _known({**vars(stats), "started": started}, _PROCESS)


def _known(values: Mapping[str, Any], table: _Table) -> list[Sample]:
    # Made as any, samples would take three times as long: a scrape is short.
    return [
        tuple.__new__(Sample, (figure, value, labels))
        for figure, name, labels in table
        if (value := values[name]) is not None
    ]


_started: dict[int, float] = {}


def start_time() -> float | None:
    """Of this process, in seconds since 1970: that does not change."""
    pid = os.getpid()
    known = _started.get(pid)
    if known is None:
        known = _read_start_time()
        if known is not None:
            _started.clear()
            _started[pid] = known
    return known


def _read_start_time() -> float | None:
    try:
        ticks = start_of(None)
        with open("/proc/stat", "rb") as file:
            booted = next(int(line.split()[1]) for line in file if line.startswith(b"btime"))
    except (HeaptideError, OSError, StopIteration):
        return None
    return None if ticks is None else booted + ticks / os.sysconf("SC_CLK_TCK")


def _of_allocators(allocators: Sequence[AllocatorStats]) -> Iterator[Sample]:
    told: set[tuple[str, str]] = set()
    for one in allocators:
        labels = (one.prefix + one.name, one.role)
        if labels in told:  # two libraries with the same: bounded labels cannot tell them apart
            continue
        told.add(labels)
        known, any_told = vars(one), False
        for figure, name in _ALLOCATOR:
            value = known[name]
            if value is not None:
                any_told = True
                yield Sample(figure, value, labels)
        fragmentation = one.fragmentation
        if fragmentation is not None:
            yield Sample(FIGURES["allocator.fragmentation"], fragmentation, labels)
        if any_told:
            yield Sample(FIGURES["allocator.age"], one.age, labels)


def _of_python(objects: bool) -> Iterator[Sample]:
    if sys.implementation.name != "cpython":
        return
    for generation, stats in enumerate(gc.get_stats()):
        labels = (str(generation),)
        for figure, name in _COLLECTIONS:
            yield Sample(figure, stats[name], labels)
    for generation, count in enumerate(gc.get_count()):
        yield Sample(FIGURES["python.gc_pending"], count, (str(generation),))
    if objects:
        tracked = len(gc.get_objects()) + gc.get_freeze_count()
        yield Sample(FIGURES["python.tracked_objects"], tracked)


def _of_cgroup(group: Cgroup | None, machine: Pressure | None) -> Iterator[Sample]:
    if group is not None:
        yield from _known(vars(group), _CGROUP)
        for event, count in group.events.items():
            if event not in _STATES:
                yield Sample(FIGURES["cgroup.events"], count, (event,))
        yield from _of_pressure("cgroup", group.pressure)
    yield from _of_pressure("machine", machine)


def _of_pressure(scope: str, pressure: Pressure | None) -> Iterator[Sample]:
    if pressure is not None:
        stalled = FIGURES["pressure.stalled"]
        yield Sample(stalled, pressure.some.total, (scope, "some"))
        if pressure.full is not None:
            yield Sample(stalled, pressure.full.total, (scope, "full"))
