"""What is read of this process, and what each figure is called."""

from __future__ import annotations

import gc
import mmap
import os
import re
import threading
import time
import warnings
from collections.abc import Callable

import pytest

from heaptide.allocators import AllocatorStats, Cgroup, Pressure, ProcessStats, Stall
from heaptide.monitor._figures import BYTES, COUNTER, FIGURES, GAUGE, SECONDS, Sample
from heaptide.monitor._source import Source

pytestmark = pytest.mark.interpreters


class Told:
    """Tells the same each time."""

    def __init__(self, told: object) -> None:
        self._told = told

    def read(self) -> object:
        return self._told


def source(
    process: ProcessStats | None = None,
    allocators: list[AllocatorStats] | None = None,
    cgroup: Cgroup | None = None,
    pressure: Pressure | None = None,
) -> Source:
    return Source(
        process=Told(process or ProcessStats(os.getpid(), "x")),  # type: ignore[arg-type]
        allocators=Told(allocators or []),  # type: ignore[arg-type]
        cgroup=lambda: cgroup,
        pressure=lambda: pressure,
    )


def told(samples: list[Sample], key: str) -> dict[tuple[str, ...], float]:
    return {one.labels: one.value for one in samples if one.figure.key == key}


def until(read: Callable[[], bool]) -> None:
    while not read():
        time.sleep(0.01)


def test_names() -> None:
    """By Prometheus's conventions: base units at the end, and _total for counters only."""
    metrics = [figure.metric for figure in FIGURES.values()]
    assert len(set(metrics)) == len(metrics)
    for figure in FIGURES.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", figure.metric)
        assert figure.metric.endswith("_total") == (figure.kind == COUNTER), figure
        assert figure.kind in (GAUGE, COUNTER)
        bare = figure.metric[: -len("_total")] if figure.kind == COUNTER else figure.metric
        if figure.unit in (BYTES, SECONDS):
            assert bare.endswith("_" + figure.unit), figure
        assert figure.help
        assert not figure.help.endswith(".")


def test_this_process() -> None:
    """The kernel's own figures, and nothing that is not in the table or of other labels."""
    reader = Source()
    reader.read()
    until(lambda: bool(told(reader.read(), "process.pss")))
    samples = reader.read()
    for one in samples:
        assert FIGURES[one.figure.key] is one.figure
        assert len(one.labels) == len(one.figure.labels)
    assert len({(one.figure.key, one.labels) for one in samples}) == len(samples)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    [rss] = told(samples, "process.rss").values()
    assert rss == pytest.approx(pages * mmap.PAGESIZE, rel=0.2)
    [started] = told(samples, "process.start_time").values()
    assert time.time() - 86400 < started <= time.time() + 1
    assert set(told(samples, "process.page_faults")) == {("minor",), ("major",)}
    assert len(told(samples, "python.gc_collections")) == len(gc.get_stats())


def test_figures_follow() -> None:
    """Memory that is got shows, at once."""
    reader = Source()
    [before] = told(reader.read(), "process.rss").values()
    held = b"x" * 50_000_000
    [after] = told(reader.read(), "process.rss").values()
    assert 45_000_000 < after - before < 60_000_000, len(held)


def test_tracked_objects() -> None:
    """By request."""
    assert not told(Source().read(), "python.tracked_objects")
    reader = Source(objects=True)
    gc.collect()
    [before] = told(reader.read(), "python.tracked_objects").values()
    held = [[] for _ in range(100_000)]  # type: ignore[var-annotated]
    [after] = told(reader.read(), "python.tracked_objects").values()
    assert after - before == pytest.approx(100_000, rel=0.1), len(held)


def test_what_cannot_be_told_is_absent() -> None:
    """Never 0."""
    samples = source(cgroup=Cgroup(2, "/", current=5)).read()
    keys = {one.figure.key for one in samples if not one.figure.key.startswith("python.")}
    assert keys == {"process.start_time", "cgroup.current"}


def test_allocators() -> None:
    """By name and role; one with a prefix is another."""
    samples = source(
        allocators=[
            AllocatorStats(name="jemalloc", role="malloc", allocated=80, free=20, age=2.0),
            AllocatorStats(name="pymalloc", role="python", blocks=3),
            AllocatorStats(name="jemalloc", prefix="je_", role="library", resident=7),
            AllocatorStats(name="unknown", role="library", reason="it cannot be asked"),
        ]
    ).read()
    assert told(samples, "allocator.allocated") == {("jemalloc", "malloc"): 80}
    assert told(samples, "allocator.fragmentation") == {("jemalloc", "malloc"): 0.2}
    assert told(samples, "allocator.resident") == {("je_jemalloc", "library"): 7}
    assert told(samples, "allocator.blocks") == {("pymalloc", "python"): 3}
    assert ("unknown", "library") not in told(samples, "allocator.age")


def test_two_libraries_with_the_same_allocator() -> None:
    """Labels stay bounded, and no combination is told twice."""
    twice = [AllocatorStats(name="jemalloc", role="library", allocated=n) for n in (1, 2)]
    assert told(source(allocators=twice).read(), "allocator.allocated") == {
        ("jemalloc", "library"): 1
    }


def test_control_group() -> None:
    """States of version 1 are no counts; pressure of the group and of the machine are apart."""
    stall = Stall(0.1, 0.1, 0.1, 12.5)
    samples = source(
        cgroup=Cgroup(
            1,
            "/x",
            limit=100,
            headroom=60,
            events={"oom_kill": 2, "under_oom": 1, "oom_kill_disable": 0},
            pressure=Pressure(stall),
        ),
        pressure=Pressure(stall, stall),
    ).read()
    assert told(samples, "cgroup.events") == {("oom_kill",): 2}
    assert told(samples, "cgroup.headroom") == {(): 60}
    assert told(samples, "pressure.stalled") == {
        ("cgroup", "some"): 12.5,
        ("machine", "some"): 12.5,
        ("machine", "full"): 12.5,
    }


def test_several_threads_and_a_forked_child() -> None:
    """Nobody waits for another's reading; the child tells its own."""
    reader = Source()
    reader.read()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(50):
                assert told(reader.read(), "process.rss")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork, which is the point
        child = os.fork()
    if child == 0:
        status = 1
        try:
            [threads_now] = told(reader.read(), "process.threads").values()
            until(lambda: bool(told(reader.read(), "process.pss")))
            status = 0 if threads_now <= 2 else 2
        finally:
            os._exit(status)
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert not failed
