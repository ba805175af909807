"""Reading all figures of this process, in less than a millisecond."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

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

from ._figures import FIGURES, Sample

# What a caller waits for; whatever takes longer is read by another thread, and told the next time.
PATIENCE = 0.0002
_STATES = ("under_oom", "oom_kill_disable")  # among the events of version 1: no counts


class ReadsProcess(Protocol):
    def read(self) -> ProcessStats: ...


class ReadsAllocators(Protocol):
    def read(self) -> list[AllocatorStats]: ...


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

    def _own(self) -> list[Sample]:
        """None without /proc, or where no more files can be opened: what else a service exports is
        not to be lost for that."""
        try:
            stats = self._process.read()
            return [*of_process(stats, start_time())]
        except HeaptideError:
            return []

    def inside(self) -> list[Sample]:
        """What only the process itself can tell: allocators, and Python."""
        return [*_of_allocators(self._allocators.read()), *_of_python(self.objects)]

    def around(self) -> list[Sample]:
        """What is no process's own: the control group, and pressure."""
        return [*_of_cgroup(self._cgroup(), self._pressure())]


def _sample(key: str, value: float | None, *labels: str) -> Iterator[Sample]:
    if value is not None:
        yield Sample(FIGURES[key], value, labels)


def of_process(stats: ProcessStats, started: float | None) -> Iterator[Sample]:
    """``started``: seconds since 1970."""
    yield from _sample("process.rss", stats.rss)
    yield from _sample("process.virtual", stats.virtual)
    yield from _sample("process.start_time", started)
    yield from _sample("process.rss_peak", stats.peak_rss)
    yield from _sample("process.rss_anon", stats.rss_anon)
    yield from _sample("process.rss_file", stats.rss_file)
    yield from _sample("process.rss_shmem", stats.rss_shmem)
    yield from _sample("process.swap", stats.swap)
    yield from _sample("process.threads", stats.threads)
    yield from _sample("process.page_faults", stats.minor_faults, "minor")
    yield from _sample("process.page_faults", stats.major_faults, "major")
    yield from _sample("process.pss", stats.pss)
    yield from _sample("process.uss", stats.uss)
    yield from _sample("process.pss_age", stats.age)


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
        yield from _sample("allocator.allocated", one.allocated, *labels)
        yield from _sample("allocator.free", one.free, *labels)
        yield from _sample("allocator.active", one.active, *labels)
        yield from _sample("allocator.resident", one.resident, *labels)
        yield from _sample("allocator.mapped", one.mapped, *labels)
        yield from _sample("allocator.retained", one.retained, *labels)
        yield from _sample("allocator.metadata", one.metadata, *labels)
        yield from _sample("allocator.blocks", one.blocks, *labels)
        yield from _sample("allocator.fragmentation", one.fragmentation, *labels)
        if one.told or one.blocks is not None:
            yield from _sample("allocator.age", one.age, *labels)


def _of_python(objects: bool) -> Iterator[Sample]:
    if sys.implementation.name != "cpython":
        return
    for generation, stats in enumerate(gc.get_stats()):
        label = str(generation)
        yield from _sample("python.gc_collections", stats["collections"], label)
        yield from _sample("python.gc_collected", stats["collected"], label)
        yield from _sample("python.gc_uncollectable", stats["uncollectable"], label)
    for generation, count in enumerate(gc.get_count()):
        yield from _sample("python.gc_pending", count, str(generation))
    if objects:
        yield from _sample("python.tracked_objects", len(gc.get_objects()))


def _of_cgroup(group: Cgroup | None, machine: Pressure | None) -> Iterator[Sample]:
    if group is not None:
        yield from _sample("cgroup.limit", group.limit)
        yield from _sample("cgroup.headroom", group.headroom)
        yield from _sample("cgroup.current", group.current)
        yield from _sample("cgroup.peak", group.peak)
        yield from _sample("cgroup.working_set", group.working_set)
        yield from _sample("cgroup.anon", group.anon)
        yield from _sample("cgroup.file", group.file)
        yield from _sample("cgroup.swap", group.swap)
        for event, count in group.events.items():
            if event not in _STATES:
                yield from _sample("cgroup.events", count, event)
        yield from _of_pressure("cgroup", group.pressure)
    yield from _of_pressure("machine", machine)


def _of_pressure(scope: str, pressure: Pressure | None) -> Iterator[Sample]:
    if pressure is not None:
        yield from _sample("pressure.stalled", pressure.some.total, scope, "some")
        if pressure.full is not None:
            yield from _sample("pressure.stalled", pressure.full.total, scope, "full")
