"""Multi-process mode: whichever worker is asked tells the figures of all."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from heaptide._procfs import Procfs
from heaptide.errors import HeaptideError
from heaptide.monitor import _crew
from heaptide.monitor._crew import Crew
from heaptide.monitor._figures import COUNTER, FIGURES, Sample
from heaptide.monitor._rollups import Sweep
from heaptide.monitor._sums import sums
from heaptide.monitor._workers import Folder, Left, Worker
from heaptide.monitor.prometheus import Collector, default_registry, register
from tests.monitor.services import (
    Metrics,
    Service,
    children,
    gunicorn,
    promtool,
    quiet,
    serve,
    until,
)
from tests.support.network import free_port

pytestmark = pytest.mark.interpreters

RSS, PSS = FIGURES["process.rss"], FIGURES["process.pss"]
ALLOCATED, FREE = FIGURES["allocator.allocated"], FIGURES["allocator.free"]
AGE = FIGURES["allocator.age"]
OF = ("glibc", "malloc")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Processes(Procfs):
    """A /proc that is made up: processes with their starts and sizes of smaps_rollup."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_of: list[int] = []

    def start(self, pid: int, started: int = 7, state: str = "S", pss: int = 0) -> None:
        folder = self.root / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = " ".join(["0"] * 15)
        (folder / "stat").write_text(f"{pid} (a) b) {state} 1 1 1 {numbers} {started} 0 0 0\n")
        (folder / "smaps_rollup").write_text(
            f"0-f ---p\nRss: {2 * pss} kB\nPss: {pss} kB\nPrivate_Dirty: {pss // 2} kB\n"
        )

    def read(self, path: Path | str, *, at_once: bool = False) -> bytes | None:
        if Path(path).name == "smaps_rollup":
            self.read_of.append(int(Path(path).parent.name))
        return super().read(path, at_once=at_once)


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    (tmp_path / "proc").mkdir()
    return Processes(tmp_path / "proc")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path, processes: Processes, clock: Clock) -> Folder:
    (tmp_path / "metrics").mkdir()
    return Folder(tmp_path / "metrics", processes, clock)


def test_what_is_left_is_found(folder: Folder, processes: Processes, clock: Clock) -> None:
    """By all, whole and replaced; ages grow while it lies there."""
    one, two = Worker(41, 7), Worker(5, 9)
    for worker in (one, two):
        processes.start(worker.pid, worker.started)
    folder.write(one, [Sample(RSS, 1.0)])
    told = [Sample(ALLOCATED, 12.0, OF), Sample(AGE, 2.0, OF)]
    folder.write(one, told)
    folder.write(two, [])
    clock.now += 30
    assert folder.read() == [Left(two, []), Left(one, [told[0], Sample(AGE, 32.0, OF)])]
    assert not list(folder.path.glob("*.db"))  # which are prometheus-client's
    folder.remove(one)
    assert folder.read() == [Left(two, [])]


@pytest.mark.parametrize("end", ["gone", "another", "zombie"])
def test_files_of_the_dead_are_removed(folder: Folder, processes: Processes, end: str) -> None:
    """Also when another process has the id by now, or only the status is left."""
    worker = Worker(41, 7)
    processes.start(41, 7)
    folder.write(worker, [Sample(RSS, 1.0)])
    assert len(folder.read()) == 1
    if end == "gone":
        (processes.root / "41" / "stat").unlink()
    elif end == "another":
        processes.start(41, 8)
    else:
        processes.start(41, 7, "Z")
    assert folder.read() == []
    assert list(folder.path.iterdir()) == []


def test_what_is_none_of_ours_stays(folder: Folder, processes: Processes) -> None:
    """Files of prometheus-client, and of another container whose ids are not ours."""
    processes.start(41, 7)
    for name in ("counter_41.db", "heaptide_9_9_1.json", "heaptide_x.json", "notes"):
        (folder.path / name).write_text("x")
    assert folder.read() == []
    assert len(list(folder.path.iterdir())) == 4


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"format": 2, "time": 1, "samples": []}',
        '{"format": 1, "time": "x", "samples": []}',
        '{"format": 1, "time": 1, "samples": [1]}',
        '{"format": 1, "time": 1, "samples": [["process.rss", [], "x"]]}',
    ],
)
def test_a_file_that_cannot_be_read(folder: Folder, processes: Processes, content: str) -> None:
    """Of another version, or nonsense: not told, and not in the way."""
    processes.start(41, 7)
    folder.write(Worker(41, 7), [])
    [file] = folder.path.iterdir()
    for text in (content, summed(content)):
        file.write_text(text)
        assert folder.read() == []
    assert file.exists()


def summed(content: str) -> str:
    """With the sum and the length before it that a file has."""
    return f"{zlib.crc32(content.encode()):08x}{len(content):08x}{content}"


def test_a_file_that_is_being_written(folder: Folder, processes: Processes) -> None:
    """Whoever reads has one of the two, and never some of each; a shorter one leaves no rest."""
    worker = Worker(41, 7)
    processes.start(41, 7)
    long, short = ([Sample(RSS, float(value))] * count for value, count in ((1, 3000), (2, 20)))
    folder.write(worker, long)
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            for samples in (short, long):
                folder.write(worker, samples)

    thread = threading.Thread(target=write)
    thread.start()
    found = [folder.read() for _ in range(100)]
    ended.set()
    thread.join()
    told = [one[0].samples for one in found if one]
    assert len(told) > 50
    assert all(samples in (short, long) for samples in told)


def test_figures_of_a_newer_version(folder: Folder, processes: Processes) -> None:
    """What this one does not know is left out, the rest is told."""
    processes.start(41, 7)
    folder.write(Worker(41, 7), [])
    [file] = folder.path.iterdir()
    rows = [["process.rss", [], 5], ["process.new", [], 5], ["allocator.free", ["glibc"], 5]]
    file.write_text(summed(json.dumps({"format": 1, "time": 1, "samples": rows})))
    assert folder.read() == [Left(Worker(41, 7), [Sample(RSS, 5.0)])]


def test_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, when the collector is made and not when it is asked."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "none"))
    for make in (Collector, default_registry, register):
        with pytest.raises(HeaptideError, match="PROMETHEUS_MULTIPROC_DIR") as error:
            make()
        assert "\n" not in str(error.value)


class Sweeping:
    """A sweep whose threads are waited for."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    def get(self, workers: Sequence[Worker]) -> dict[Worker, tuple[int, int]]:
        told = self.sweep.get(workers)
        with self.sweep._reading:  # which its thread has
            pass
        return told.sizes


def test_one_reads_for_all(folder: Folder, processes: Processes, clock: Clock) -> None:
    """Once a minute, or when there is a new worker; what is told is of one moment."""
    one, two, three = Worker(1, 7), Worker(2, 7), Worker(3, 7)
    for worker, size in ((one, 100), (two, 200)):
        processes.start(worker.pid, pss=size)
    mine = Sweeping(Sweep(folder, 60.0, processes, clock))
    others = Sweeping(Sweep(folder, 60.0, processes, clock))
    assert mine.get([one, two]) == {}
    both = {one: (100 << 10, 50 << 10), two: (200 << 10, 100 << 10)}
    assert mine.get([one, two]) == both
    assert others.get([one, two]) == both
    clock.now += 59
    assert others.get([one, two]) == both
    assert mine.sweep.get([one, two]).age == 59
    assert processes.read_of == [1, 2]
    clock.now += 1
    mine.get([one, two])
    assert processes.read_of == [1, 2, 1, 2]
    processes.start(3, pss=400)
    clock.now += 0.5
    assert others.get([one, two, three]) == both
    assert processes.read_of == [1, 2, 1, 2]  # too soon
    clock.now += 0.5
    others.get([one, two, three])
    assert processes.read_of == [1, 2, 1, 2, 1, 2, 3]
    assert mine.get([one, two, three])[three] == (400 << 10, 200 << 10)


def test_no_more_than_a_thousandth_of_the_time(
    folder: Folder, processes: Processes, clock: Clock
) -> None:
    """Of each worker's: 2 that take 5 s together are read after 2,500 s."""
    workers = [Worker(1, 7), Worker(2, 7)]
    for worker in workers:
        processes.start(worker.pid, pss=1)
    path = folder.path / f"heaptide_pss_{folder.namespace}.json"
    rows = [[one.pid, one.started, 5, 5] for one in workers]
    path.write_text(json.dumps({"ended": clock.now, "took": 5.0, "workers": rows}))
    sweeping = Sweeping(Sweep(folder, 60.0, processes, clock))
    for passed, read in ((2499, []), (2, [1, 2])):
        clock.now += passed
        sweeping.get(workers)
        assert processes.read_of == read


def test_a_worker_that_may_not_be_read(folder: Folder, processes: Processes, clock: Clock) -> None:
    """It is left out, and is no reason to read again."""
    workers = [Worker(1, 7), Worker(2, 7)]
    processes.start(1, pss=100)
    processes.start(2)
    (processes.root / "2" / "smaps_rollup").unlink()
    sweeping = Sweeping(Sweep(folder, 60.0, processes, clock))
    sweeping.get(workers)
    clock.now += 10
    assert set(sweeping.get(workers)) == {workers[0]}
    assert processes.read_of.count(1) == 1


def test_nonsense_where_sizes_are(folder: Folder, processes: Processes, clock: Clock) -> None:
    """It is read anew: nobody knows what it was."""
    processes.start(1, pss=100)
    path = folder.path / f"heaptide_pss_{folder.namespace}.json"
    sweeping = Sweeping(Sweep(folder, 60.0, processes, clock))
    for content in ("", "{}", '{"ended": 5, "took": 1, "workers": [[1]]}', "[1]"):
        path.write_text(content)
        assert sweeping.get([Worker(1, 7)]) == {}
        assert sweeping.get([Worker(1, 7)]) == {Worker(1, 7): (100 << 10, 50 << 10)}


def test_sums() -> None:
    """Gauges only; none where one lacks a part of it; ages by the oldest, and what is no worker's
    own as it is."""
    faults, start = FIGURES["process.page_faults"], FIGURES["process.start_time"]
    alone = [
        Sample(FIGURES["cgroup.current"], 9.0),
        Sample(FIGURES["cgroup.events"], 1.0, ("oom",)),
    ]
    told = [
        *(("1", one) for one in (Sample(RSS, 10.0), Sample(start, 50.0), Sample(PSS, 5.0))),
        ("1", Sample(faults, 3.0, ("minor",))),
        ("1", Sample(ALLOCATED, 30.0, OF)),
        ("1", Sample(FREE, 10.0, OF)),
        ("1", Sample(FIGURES["allocator.fragmentation"], 0.25, OF)),
        ("1", Sample(AGE, 4.0, OF)),
        ("1", Sample(FIGURES["process.rss_peak"], 99.0)),
        *(("2", one) for one in (Sample(RSS, 11.0), Sample(start, 40.0))),
        ("2", Sample(ALLOCATED, 30.0, OF)),
        ("2", Sample(FREE, 50.0, OF)),
        ("2", Sample(AGE, 7.0, OF)),
        ("2", Sample(ALLOCATED, 1.0, ("pymalloc", "python"))),
        *(("", one) for one in alone),
    ]
    assert list(sums(told)) == [
        ("", Sample(RSS, 21.0)),
        ("", Sample(start, 40.0)),
        ("", Sample(ALLOCATED, 60.0, OF)),
        ("", Sample(FREE, 60.0, OF)),
        ("", Sample(FIGURES["allocator.fragmentation"], 0.5, OF)),
        ("", Sample(AGE, 7.0, OF)),
        ("", Sample(ALLOCATED, 1.0, ("pymalloc", "python"))),
        *(("", one) for one in alone),
    ]


@pytest.fixture
def multiprocess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Multi-process mode in this process, which ends with the test."""
    path = tmp_path / "workers"
    path.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(path))
    yield path
    crew = _crew._crews.pop(path.resolve(), None)
    if crew is not None:
        crew.end()


def scrape(registry: CollectorRegistry) -> Metrics:
    return Metrics(generate_latest(registry).decode())


def forked(work: Callable[[], None]) -> int:
    """A child that works and then waits to be killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork, which is the point
        child = os.fork()
    if child == 0:
        try:
            work()
            while True:
                time.sleep(60)
        finally:
            os._exit(1)
    return child


def test_forked_workers(multiprocess: Path) -> None:
    """As under preload_app: a child leaves its own figures without being told to, and is gone when
    it is killed; what it answers has all of them. The service's own registry goes on."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(multiprocess))  # type: ignore[no-untyped-call]
    register(registry)
    told_by_child = multiprocess.with_name("told")

    def work() -> None:
        held = [bytes(1000) for _ in range(20_000)]
        until(lambda: len(scrape(registry).by_pid("heaptide_process_pss_bytes")) == 3)
        new = multiprocess.with_name("new")
        new.write_bytes(generate_latest(registry) if held else b"")
        new.rename(told_by_child)

    idle, child = forked(lambda: None), forked(work)
    try:
        until(told_by_child.exists)
        text = told_by_child.read_text()
        promtool(text)
        everyone = {os.getpid(), idle, child}
        told = Metrics(text)
        for name in ("process_resident_memory_bytes", "heaptide_process_pss_bytes"):
            assert set(told.by_pid(name)) == everyone
        until(lambda: set(scrape(registry).by_pid("process_resident_memory_bytes")) == everyone)
        found = scrape(registry)
        assert found.get("python_gc_collections_total", generation="0", pid=str(child)) > 0
        blocks = {"allocator": "pymalloc", "role": "python"}
        if ("heaptide_allocator_blocks", tuple(sorted({**blocks, "pid": str(idle)}.items()))) in (
            found.values
        ):
            more, less = (
                found.get("heaptide_allocator_blocks", pid=str(pid), **blocks)
                for pid in (child, idle)
            )
            assert more - less > 15_000
    finally:
        for pid in (idle, child):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert set(scrape(registry).by_pid("process_resident_memory_bytes")) == {os.getpid()}
    assert len(list(multiprocess.glob("heaptide_[0-9]*"))) <= 1


def test_counters_do_not_go_back(multiprocess: Path) -> None:
    """Another worker that is asked next tells no less of this one than it told itself."""
    registry = CollectorRegistry()
    register(registry)
    child = forked(lambda: None)
    try:
        until(lambda: len(scrape(registry).by_pid("process_resident_memory_bytes")) == 2)
        gc.collect()
        own = scrape(registry)
        left = {one.worker.pid: one for one in Folder(multiprocess).read()}
        samples = {(one.figure.metric, one.labels): one.value for one in left[os.getpid()].samples}
        for generation in range(len(gc.get_stats())):
            label = str(generation)
            metric = "python_gc_collections_total"
            told = own.get(metric, generation=label, pid=str(os.getpid()))
            assert samples[metric, (label,)] == told > 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_what_is_not_by_worker(multiprocess: Path) -> None:
    """The control group and pressure are of all; every other metric has a pid as well."""
    registry = CollectorRegistry()
    register(registry)
    by_name = {figure.metric: figure for figure in FIGURES.values()}
    found = scrape(registry)
    assert len(found.values) > 20
    for name, labels in found.values:
        figure = by_name[name]
        own = not figure.key.startswith(("cgroup.", "pressure."))
        assert {key for key, _ in labels} == {*figure.labels, *(["pid"] if own else [])}


def test_sums_of_workers(multiprocess: Path) -> None:
    """No pid and no counters of workers, described as they are told; an alias is a sum, too."""
    registry = CollectorRegistry(auto_describe=True)
    collector = register(registry, sum_workers=True, alias={"app_bytes": "process.rss"})
    child = forked(lambda: None)
    try:
        one = scrape(registry).get("process_resident_memory_bytes")
        until(lambda: len(list(multiprocess.glob("heaptide_[0-9]*.json"))) == 2)
        found = scrape(registry)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert found.get("app_bytes") == found.get("process_resident_memory_bytes") > 1.3 * one
    assert not any(key == "pid" for _, labels in found.values for key, _ in labels)
    described = {family.name for family in collector.describe()}
    stock = {one.metric for one in FIGURES.values() if one.stock}
    assert set(found.families) - stock <= described
    assert "heaptide_process_page_faults" not in described
    by_name = {figure.metric: figure for figure in FIGURES.values()}
    for name, _ in found.values:
        figure = by_name.get(name)
        if figure is not None and figure.kind == COUNTER:
            assert figure.key.startswith(("cgroup.", "pressure."))


def test_a_child_that_executes_another_program(multiprocess: Path) -> None:
    """It has the start of the child, but is none of the workers."""
    registry = CollectorRegistry()
    register(registry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            preexec_fn=lambda: None,
        )
    time.sleep(1.5)  # a worker would have left its figures after 1 s
    assert set(scrape(registry).by_pid("process_resident_memory_bytes")) == {os.getpid()}
    child.communicate(b"\n")


def test_a_folder_that_is_emptied_and_removed(
    multiprocess: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files come again; that they cannot be written is told once, and nothing else breaks."""
    with caplog.at_level(logging.WARNING, "heaptide.monitor"):
        crew = Crew(multiprocess, every=0.02)

        def files() -> list[Path]:
            return list(multiprocess.glob("heaptide_[0-9]*.json"))

        try:
            until(lambda: bool(files()))
            for file in multiprocess.iterdir():
                file.unlink()
            until(lambda: bool(files()))
            moved = multiprocess.with_name("moved")
            multiprocess.rename(moved)
            until(lambda: bool(caplog.records))
            assert any(sample.figure is RSS for _, sample in crew.read())
            time.sleep(0.1)
            moved.rename(multiprocess)
            for file in multiprocess.iterdir():
                file.unlink()
            until(lambda: bool(files()))
        finally:
            crew.end()
    assert not files()
    assert len(caplog.records) == 1


def rollup(pid: int, name: str) -> int:
    """By the kernel, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [size] = [int(line.split()[1]) for line in lines if line.startswith(name + ":")]
    return size * 1024


def whole(service: Service) -> Metrics:
    """A scrape in which each of 4 workers, and the arbiter if it is told as well, has a PSS that
    was read a moment ago."""
    while True:
        found = service.metrics()
        known = set(found.by_pid("process_resident_memory_bytes"))
        ages = found.by_pid("heaptide_process_pss_age_seconds")
        told = known - {service.process.pid}
        four = told == children(service.process.pid) and len(told) == 4
        if four and set(ages) == known and max(ages.values()) < 0.5:
            return found
        time.sleep(0.1)


def apart(found: Metrics, metric: str, name: str) -> float:
    """How far its sum is from the kernel's, as a part of that."""
    told = found.by_pid(metric)
    kernel = sum(rollup(pid, name) for pid in told)
    return abs(sum(told.values()) - kernel) / kernel


def within_a_percent(service: Service) -> Metrics:
    """What workers and other programs do meanwhile changes PSS: one reading of ten has to be it."""
    for _ in range(10):
        found = whole(service)
        off = apart(found, "heaptide_process_pss_bytes", "Pss")
        assert apart(found, "process_resident_memory_bytes", "Rss") < 0.01
        if off < 0.01:
            return found
        time.sleep(0.5)  # until that reading is too old
    raise AssertionError(off)


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn_with_4_workers(tmp_path: Path, options: list[str]) -> None:
    """Whoever is asked, the sums of RSS and PSS over the workers are the kernel's within 1 %; also
    after workers were killed, or replaced by the arbiter."""
    with gunicorn(tmp_path, *options, interval=1.0) as service:
        arbiter = service.process.pid
        until(lambda: len(children(arbiter)) == 4)
        for _ in range(40):
            service.get("/")
        found = within_a_percent(service)
        workers = children(arbiter)
        told = set(found.by_pid("process_resident_memory_bytes"))
        assert told == (workers | {arbiter} if options else workers)
        promtool(service.get("/metrics"))
        assert found.get("service_requests_total") == 40

        os.kill(min(workers), signal.SIGKILL)
        until(lambda: len(children(arbiter) - workers) == 1 and len(children(arbiter)) == 4)
        found = within_a_percent(service)
        assert min(workers) not in found.by_pid("process_resident_memory_bytes")

        before = children(arbiter)
        service.process.send_signal(signal.SIGHUP)
        until(lambda: len(children(arbiter)) == 4 and not children(arbiter) & before)
        within_a_percent(service)
        pids = {str(pid) for pid in told}
        assert not any(
            pid in file.name.split("_")
            for file in (tmp_path / "metrics").glob("heaptide_*")
            for pid in pids - {str(arbiter)}
        )
    assert not list((tmp_path / "metrics").glob("heaptide_[0-9]*"))


NOT_EDITED = """
from heaptide.monitor._environment import begin
begin()
from gunicorn.app.wsgiapp import run
run()
"""


def test_gunicorn_without_an_edit(tmp_path: Path) -> None:
    """The port of HEAPTIDE_MONITOR is the arbiter's; it tells of the workers too, none of which
    has imported anything of heaptide's."""
    (tmp_path / "shop.py").write_text(
        "def app(environment, start):\n    raise NotImplementedError\n"
    )
    (tmp_path / "metrics").mkdir()
    port = free_port()
    env = {
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "HEAPTIDE_MONITOR": f"prometheus=:{port}",
    }
    place = ["-b", f"127.0.0.1:{free_port()}", "--pythonpath", str(tmp_path), "shop:app"]
    command = [sys.executable, "-c", NOT_EDITED, "-w", "2", *quiet(), *place]
    with serve(command, tmp_path / "gunicorn.log", int(place[1].split(":")[1]), env) as served:
        service = Service(served.process, port, served.log)
        arbiter = served.process.pid
        until(lambda: len(children(arbiter)) == 2)
        everyone = children(arbiter) | {arbiter}
        for name in ("process_resident_memory_bytes", "heaptide_process_pss_bytes"):
            until(lambda name=name: set(service.metrics().by_pid(name)) == everyone)  # type: ignore[misc]


def test_beside_a_process_collector(multiprocess: Path) -> None:
    """What it tells of one worker is told by it alone: no name comes twice."""
    registry = CollectorRegistry()
    register(registry)
    assert set(scrape(registry).by_pid("process_resident_memory_bytes")) == {os.getpid()}
    ProcessCollector(registry=registry)
    found = scrape(registry)
    assert found.get("process_resident_memory_bytes") > 1e6
    assert found.get("python_gc_collections_total", generation="0", pid=str(os.getpid())) > 0


def test_a_gauge_of_the_service(multiprocess: Path) -> None:
    """In one registry with those of prometheus-client that are told by worker."""
    code = (
        "from prometheus_client import Gauge\n"
        "Gauge('app_jobs', 'Jobs', multiprocess_mode='all').set(3)\n"
        "from prometheus_client import generate_latest\n"
        "from heaptide.monitor import prometheus\n"
        "prometheus.register()\n"
        "print(generate_latest(prometheus.default_registry()).decode(), end='')\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    [(pid, jobs)] = Metrics(told.stdout).by_pid("app_jobs").items()
    assert jobs == 3
    assert pid in Metrics(told.stdout).by_pid("process_resident_memory_bytes")
