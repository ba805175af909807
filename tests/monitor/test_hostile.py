"""Whatever lies in the folder of the workers, or is missing, a scrape goes on without it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from heaptide.allocators import jemalloc
from heaptide.allocators._limit import Limiter
from heaptide.allocators._stats import Answer
from heaptide.errors import HeaptideError
from heaptide.monitor import _source
from heaptide.monitor._crew import Crew
from heaptide.monitor._figures import FIGURES
from heaptide.monitor._files import read_regular, write_regular
from heaptide.monitor._rollups import Rollups, Sweep
from heaptide.monitor._source import Source
from heaptide.monitor._workers import Folder, Worker
from heaptide.monitor.prometheus import register
from tests.monitor.services import until
from tests.monitor.test_prometheus_workers import AGE, OF, Clock, Processes

pytestmark = pytest.mark.interpreters

WORKER = Worker(41, 7)


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    made = Processes(tmp_path / "proc")
    made.start(WORKER.pid, WORKER.started, pss=8)
    return made


@pytest.fixture
def folder(tmp_path: Path, processes: Processes) -> Folder:
    (tmp_path / "metrics").mkdir()
    return Folder(tmp_path / "metrics", processes, Clock())


def framed(content: Any) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"%08x%08x" % (zlib.crc32(text), len(text)) + text


def within(seconds: float, do: Callable[[], Any]) -> Any:
    """What it gives; an error if it waits for something that never comes."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(do()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it waits, or has failed"
    return found[0]


def fifo(path: Path, elsewhere: Path) -> None:
    os.mkfifo(path)


def link(path: Path, elsewhere: Path) -> None:
    path.symlink_to(elsewhere)


def link_to_device(path: Path, elsewhere: Path) -> None:
    path.symlink_to("/dev/zero")


def directory(path: Path, elsewhere: Path) -> None:
    path.mkdir()


KINDS = pytest.mark.parametrize("make", [fifo, link, link_to_device, directory])


@KINDS
def test_what_is_no_file_is_neither_read_nor_written(
    folder: Folder, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    """It would be waited for, or read without an end, and what a link leads to be overwritten."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(framed({"format": 1, "time": 1, "samples": []}))
    before = elsewhere.read_bytes()
    make(folder._file(WORKER), elsewhere)
    assert within(30, folder.read) == []
    with pytest.raises(OSError):
        folder.write(WORKER, [])
    assert elsewhere.read_bytes() == before


@KINDS
@pytest.mark.parametrize("suffix", [".lock", ".new", ".json"])
def test_the_file_of_pss_is_none(
    folder: Folder, tmp_path: Path, processes: Processes, suffix: str, make: Any
) -> None:
    """Whoever may write the folder could have any file of the service emptied."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    sweep = Sweep(folder, 60.0, processes, Clock())
    make(sweep._path.with_suffix(suffix), elsewhere)
    assert within(30, lambda: sweep.get([WORKER])) == Rollups()
    until(lambda: not sweep._reading.locked())
    assert elsewhere.read_text() == "precious"


def test_too_much(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="too large"):
        read_regular(tmp_path / "file")


def test_room_for_a_part_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as what it is, and not left as if it were whole."""
    monkeypatch.setattr(os, "write", lambda descriptor, content: len(content) - 1)
    with pytest.raises(OSError, match="No space left"):
        write_regular(tmp_path / "file", b"12")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        {"format": 1, "time": float("nan"), "samples": [["allocator.age", OF, 1]]},
        {"format": 1, "time": 1, "samples": [["allocator.free", OF, 10**400]]},
        {"format": 1, "time": 1, "samples": [["allocator.free", OF, float("nan")]]},
        {"format": 1, "time": 1, "samples": [["allocator.free", OF, "12"]]},
        {"format": 1, "time": 1, "samples": [["allocator.free", ["\ud800", "malloc"], 1]]},
    ],
)
def test_figures_that_are_none(folder: Folder, content: Any) -> None:
    folder._file(WORKER).write_bytes(framed(content))
    assert folder.read() == []


def test_figures_that_are_not_a_workers_or_told_twice(tmp_path: Path) -> None:
    """A registry's text with the same sample twice is refused as a whole."""
    crew = Crew(tmp_path, every=3600)
    try:
        with subprocess.Popen(["sleep", "60"]) as other:
            worker = crew._folder._running(other.pid)
            assert worker is not None
            rows = [["cgroup.limit", [], 1], ["process.rss", [], 1]]
            rows += [["allocator.age", OF, 1]] * 2
            content = {"format": 1, "time": time.monotonic(), "samples": rows}
            crew._folder._file(worker).write_bytes(framed(content))
            told = [one.figure for process, one in crew.read() if process == str(other.pid)]
            other.kill()
    finally:
        crew.end()
    assert told.count(AGE) == 1
    assert told.count(FIGURES["process.rss"]) == 1
    assert FIGURES["cgroup.limit"] not in told


@pytest.mark.parametrize(
    "content",
    [
        {"ended": "x", "took": 0, "workers": []},
        {"ended": 0, "took": "x", "workers": []},
        {"ended": float("nan"), "took": 0, "workers": []},
        {"ended": 0, "took": 0, "workers": [[1, 2, 3]]},
        {"ended": 0, "took": 0, "workers": [[1, 2, "a", "b"]]},
        {"ended": 0, "took": 0, "workers": [[1, 2, 10**400, 1]]},
        {"ended": 0, "took": 0, "workers": [[[], 2, 3, 4]]},
        {"ended": 0, "took": float("inf"), "workers": []},
        [],
    ],
)
def test_sizes_that_are_none_are_read_anew(
    folder: Folder, processes: Processes, content: Any
) -> None:
    sweep = Sweep(folder, 60.0, processes, Clock())
    sweep._path.write_text(json.dumps(content))
    assert sweep.get([WORKER]) == Rollups()
    until(lambda: sweep.get([WORKER]).sizes == {WORKER: (8192, 4096)})


def test_a_folder_that_has_gone(folder: Folder) -> None:
    folder.path.rmdir()
    assert folder.read() == []
    folder.path.write_text("a file")
    assert folder.read() == []


def test_files_of_another_user_stay(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether that one's process is alive /proc may hide."""
    folder.write(Worker(42, 1), [])
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert folder.read() == []
    assert len(list(folder.path.iterdir())) == 1


def test_no_descriptors_are_left() -> None:
    """What else the service exports is told all the same, and the start once there are some."""
    registry = CollectorRegistry()
    register(registry)
    _source._started.clear()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        text = generate_latest(registry).decode()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "python_gc_collections_total" in text
    assert "process_resident_memory_bytes" not in text
    assert "process_start_time_seconds" in generate_latest(registry).decode()


def test_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise HeaptideError("/proc/1/stat cannot be read")

    class Refuses:
        read = refuse

    monkeypatch.setattr(_source, "start_of", refuse)
    assert _source._read_start_time() is None
    assert {one.figure.key.partition(".")[0] for one in Source(process=Refuses()).read()} >= {  # type: ignore[arg-type]
        "python"
    }


def test_an_epoch_that_does_not_advance() -> None:
    """An answer that says so."""

    class Control:
        def get(self, *_: object) -> None:
            return None

        def text(self, *_: object) -> None:
            return None

        def advance(self) -> int:
            raise HeaptideError("jemalloc does not advance its epoch: error 11")

    told = jemalloc.Allocator(Control(), "", "").ask(arenas=False)  # type: ignore[arg-type]
    assert told == Answer(reason="jemalloc does not advance its epoch: error 11")


def test_a_reading_that_fails_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback on the program's stderr; the next who asks tries again."""
    raised: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", raised.append)
    asked = threading.Semaphore(0)

    def read() -> int:
        asked.release()
        raise MemoryError

    limiter = Limiter(read, interval=0.0, patience=0.0, took=1.0)
    for _ in range(2):
        assert limiter.get().value is None
        assert asked.acquire(timeout=60)
        until(lambda: not limiter._lock.locked())
    assert raised == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have another namespace")
def test_proc_of_another_namespace(tmp_path: Path) -> None:
    """Our own id is there that of another process, whose figures are not ours."""
    code = (
        "import os, pathlib, sys\n"
        "from heaptide.monitor._source import Source\n"
        "from heaptide.monitor._workers import Folder\n"
        "held = b'x' * 50_000_000\n"
        "told = {one.figure.key: one.value for one in Source().read()}\n"
        "assert told['process.rss'] > len(held), told\n"
        "assert Folder(pathlib.Path(sys.argv[1])).me() is None\n"
    )
    done = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "unshare: " in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_leads_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says so, as for any other that is none."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for folder in (tmp_path / "circle", tmp_path / ("x" * 300)):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
        with pytest.raises(HeaptideError, match="no folder that can be written"):
            register(CollectorRegistry())
