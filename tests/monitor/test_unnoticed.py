"""What monitoring does when the program around it does its worst: nothing that anyone notices."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

import heaptide
from heaptide.errors import HeaptideError, UsageError
from heaptide.monitor import _crew, _every, _stderr, logs, monitor
from heaptide.monitor._brief import Brief
from heaptide.monitor._crew import Crew
from heaptide.monitor._push import Pusher
from heaptide.monitor.prometheus import start_http_server
from tests.monitor.services import until

pytestmark = pytest.mark.interpreters

PATH = str(Path(heaptide.__file__).parent.parent)


@pytest.fixture
def handler() -> Iterator[logging.Handler]:
    """Of heaptide.monitor; tests give it an ``emit``."""
    made = logging.Handler()
    logger = logging.getLogger("heaptide.monitor")
    logger.addHandler(made)
    yield made
    logger.removeHandler(made)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def tracebacks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of threads."""
    found: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


def run(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": PATH}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, timeout=60, **options
    )


@pytest.mark.parametrize("setup", ["", "logging.basicConfig()"])
def test_a_pipe_that_nobody_empties(setup: str) -> None:
    """Records to stderr are left out: a thread that waited there would hold the stream's lock, and
    Python waits for that when it ends."""
    code = (
        "import logging, os, time, heaptide.monitor\n"
        f"{setup}\n"
        "os.set_blocking(2, False)\n"
        "try:\n"
        "    while True: os.write(2, b'x' * 4096)\n"
        "except BlockingIOError: os.set_blocking(2, True)\n"
        "heaptide.monitor(log=0.1)\n"
        "time.sleep(0.5)\n"
        "print('ends', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert set(process.stderr.read()) == {ord("x")}


def test_a_pipe_without_a_reader() -> None:
    """To write would be a signal, which ends programs that have not asked to be spared."""
    code = (
        "import os, signal, time, heaptide.monitor\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "reader, writer = os.pipe()\n"
        "os.close(reader)\n"
        "os.dup2(writer, 2)\n"
        "heaptide.monitor(log=0.1)\n"
        "time.sleep(0.5)\n"
        "print('ends')\n"
    )
    assert run(code, stdout=subprocess.PIPE).stdout == "ends\n"


def test_whatever_stderr_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Odd:
        def write(self, text: str) -> None:
            raise RuntimeError

    closed = (tmp_path / "file").open("w")
    closed.close()
    for stream in (None, Odd(), closed, object()):
        monkeypatch.setattr(sys, "stderr", stream)
        _stderr.tell("x")


def test_an_error_without_words() -> None:
    """The program's own may raise when it is asked what it is."""

    class WordlessError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Logger:
        def info(self, event: str, **values: Any) -> None:
            raise WordlessError

    log = logs.Log(logger=Logger(), brief=lambda: Brief(1, 1, 0, 1), headroom=lambda: None)
    log.record()


def test_structlog_that_is_being_imported(
    handler: logging.Handler, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another thread sees the part that is there."""
    told: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "emit", told.append)
    monkeypatch.setitem(sys.modules, "structlog", ModuleType("structlog"))
    logs.Log(brief=lambda: Brief(1, 1, 0, 1), headroom=lambda: None).record()
    assert len(told) == 1
    assert capsys.readouterr().err == ""


def test_forks_while_a_handler_waits() -> None:
    """The first waits a second, and none after it; there is one thread, which goes on when it
    can."""
    held, entered, again = threading.Event(), threading.Event(), threading.Event()

    def do() -> None:
        if entered.is_set():
            again.set()
        entered.set()
        held.wait()

    every = _every.Every(0.01, do, "test-held")
    every.start()
    assert entered.wait(60)
    times = []
    for _ in range(4):
        begun = time.monotonic()
        _every._before_fork()
        _every._after_in_parent()
        times.append(time.monotonic() - begun)
    assert times[0] > 0.5
    assert max(times[1:]) < 0.5
    assert [one.name for one in threading.enumerate()].count("test-held") == 1
    held.set()
    assert again.wait(60)
    every.stop()
    assert "test-held" not in [one.name for one in threading.enumerate()]


def test_a_fork_by_what_is_called() -> None:
    """A handler may fork: parent and child each go on with one thread."""
    code = (
        "import os, threading, time\n"
        "from heaptide.monitor._every import Every\n"
        "count, done = [0], threading.Event()\n"
        "def do():\n"
        "    count[0] += 1\n"
        "    if count[0] == 1:\n"
        "        child.append(os.fork())\n"
        "        if not child[0]: os._exit(0 if done.wait(60) else 1)\n"
        "    if count[0] == 3: done.set()\n"
        "child = []\n"
        "Every(0.05, do, 'x').start()\n"
        "assert done.wait(60)\n"
        "assert [one.name for one in threading.enumerate()].count('x') == 1\n"
        "assert os.waitpid(child[0], 0)[1] == 0\n"
    )
    assert run(code, stderr=subprocess.PIPE).returncode == 0


def test_one_monitor_whoever_starts_it(handler: logging.Handler) -> None:
    before = len(_every._running)
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        monitor(log="1h")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            threads = [threading.Thread(target=start) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(_every._running) == before + 1
    monitor().stop()
    assert len(_every._running) == before


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("budgets=/nowhere.toml", {"log": "1h"}),
        ("alias=1", {"prometheus": CollectorRegistry()}),
        (f"prometheus={'9' * 5000}", {"log": "1h"}),
    ],
)
def test_what_the_variable_adds_is_wrong(
    text: str,
    given: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The program gets what it asked for, and a line on stderr says what it is without."""
    monkeypatch.setenv("HEAPTIDE_MONITOR", text)
    with monitor(**given) as started:
        assert started.running == tuple(given)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("target", ["a..b:80", f"{'x' * 300}:80", "9" * 5000])
def test_hosts_and_ports_that_are_none(target: str) -> None:
    with pytest.raises(HeaptideError):
        monitor(prometheus=target)


def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the interpreter ends: it is said as any other error is."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(prometheus_client, "start_http_server", refuse)
    with pytest.raises(HeaptideError, match="can't start new thread"):
        start_http_server(0, registry=CollectorRegistry())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(HeaptideError, match="can't start new thread"):
        Pusher(lambda _: None, 1.0)


def test_an_end_without_files() -> None:
    """A thread that reads when the interpreter ends would have glibc open a library then."""
    code = (
        "import os, resource\n"
        "from prometheus_client import CollectorRegistry, generate_latest\n"
        "from heaptide.monitor import prometheus\n"
        "registry = CollectorRegistry()\n"
        "prometheus.register(registry)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))\n"
        "generate_latest(registry)\n"
        "try:\n"
        "    while True: os.open('/dev/null', 0)\n"
        "except OSError: pass\n"
    )
    for _ in range(5):
        done = run(code, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_server_in_a_forked_child() -> None:
    """The child does not keep the port, and may close what it has not."""
    code = (
        "import os, signal\n"
        "from prometheus_client import CollectorRegistry\n"
        "from heaptide.monitor.prometheus import start_http_server\n"
        "server = start_http_server(0, registry=CollectorRegistry())\n"
        "ready, go = os.pipe(), os.pipe()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os.close(go[1])\n"
        "    signal.alarm(60)\n"
        "    os.write(ready[1], b'x')\n"
        "    os.read(go[0], 1)\n"
        "    server.close()\n"
        "    os._exit(0)\n"
        "os.read(ready[0], 1)\n"
        "server.close()\n"
        "start_http_server(server.port, registry=CollectorRegistry()).close()\n"
        "os.close(go[1])\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert run(code).returncode == 0


def test_one_crew_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads are asked first: a process has one file."""

    class Slow(Crew):
        def __init__(self, *args: Any, **options: Any) -> None:
            time.sleep(0.05)
            super().__init__(*args, **options)

    monkeypatch.setattr(_crew, "Crew", Slow)
    found: list[Crew] = []

    def ask() -> None:
        found.append(_crew.crew_of(tmp_path, objects=False, interval=60.0))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(set(map(id, found))) == 1
    finally:
        for one in found:
            one.end()
        del _crew._crews[tmp_path.resolve()]


def test_handlers_that_raise_or_ask_for_metrics(
    tmp_path: Path,
    handler: logging.Handler,
    tracebacks: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the folder cannot be written: neither the thread that does nor who reads notices."""
    asked: list[int] = []
    crew = Crew(tmp_path, every=0.05)

    def emit(record: logging.LogRecord) -> None:
        asked.append(len(list(crew.read())))
        raise RuntimeError("of a handler")

    monkeypatch.setattr(handler, "emit", emit)
    try:
        until(lambda: any(tmp_path.iterdir()))
        moved = tmp_path.rename(tmp_path.with_name("moved"))
        until(lambda: bool(asked))
        assert asked[0] > 0
        moved.rename(tmp_path)
        [file] = tmp_path.glob("heaptide_[0-9]*")
        before = file.stat().st_mtime_ns
        until(lambda: file.stat().st_mtime_ns > before)
    finally:
        crew.end()
    assert tracebacks == []


def test_pushes_go_on(
    handler: logging.Handler, tracebacks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a collector of the program raises, and a handler then."""
    pushed = threading.Semaphore(0)

    def push(_: bool) -> None:
        pushed.release()
        raise KeyError("of a collector")

    def emit(record: logging.LogRecord) -> None:
        raise RuntimeError("of a handler")

    monkeypatch.setattr(handler, "emit", emit)
    pusher = Pusher(push, 0.01)
    for _ in range(3):
        assert pushed.acquire(timeout=60)
    with pytest.raises(KeyError):
        pusher.close()
    assert tracebacks == []


def test_an_argument_that_is_wrong_is_still_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the variable adds something."""
    monkeypatch.setenv("HEAPTIDE_MONITOR", "json budgets=/nowhere.toml")
    with pytest.raises(UsageError, match="too often"):
        monitor(log=0.001)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module has another name since")
def test_other_interpreters_of_the_process() -> None:
    """A thread in one of them would keep it from ending."""
    code = (
        "import os, sys\n"
        "import _xxsubinterpreters as interpreters\n"
        "os.environ['HEAPTIDE_MONITOR'] = 'log=1h prometheus=:0'\n"
        "begin = 'import heaptide.monitor._environment as e; e.begin()'\n"
        "for options in ({}, {'isolated': False}):\n"
        "    one = interpreters.create(**options)\n"
        "    interpreters.run_string(one, begin)\n"
        "    interpreters.destroy(one)\n"
    )
    done = run(code, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("several", [False, True])
def test_a_handler_of_signals_that_reads(several: bool, tmp_path: Path) -> None:
    """In the middle of a reading of the same thread, whatever lock that holds."""
    code = (
        "import os, signal, sys\n"
        "if sys.argv[1]: os.environ['PROMETHEUS_MULTIPROC_DIR'] = sys.argv[1]\n"
        "from heaptide.allocators import Reader\n"
        "from heaptide.monitor.prometheus import Collector\n"
        "collector, reader = Collector(), Reader(asking='always')\n"
        "def read(*_):\n"
        "    list(collector.collect())\n"
        "    reader.read()\n"
        "def profile(frame, event, arg):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls % 97 == 0:\n"
        "        sys.setprofile(None)\n"
        "        signal.raise_signal(signal.SIGUSR1)\n"
        "        sys.setprofile(profile)\n"
        "calls = 0\n"
        "signal.signal(signal.SIGUSR1, read)\n"
        "read()\n"
        "sys.setprofile(profile)\n"
        "for _ in range(20): read()\n"
        "sys.setprofile(None)\n"
        "assert calls > 1000, calls\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path) if several else ""]
    environment = {**os.environ, "PYTHONPATH": PATH}
    assert subprocess.run(command, env=environment, timeout=60).returncode == 0
