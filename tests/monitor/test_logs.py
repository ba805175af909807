"""Records of memory: what they say, through which loggers, and the thread that makes them."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from heaptide.allocators import Headroom, ProcessReader
from heaptide.budgets import from_options, program_of
from heaptide.errors import UsageError
from heaptide.monitor import logs
from heaptide.monitor._brief import Brief, read_brief
from heaptide.monitor._every import Every

pytestmark = pytest.mark.interpreters

MB = 1_000_000
PID = os.getpid()


class Process:
    """A process whose memory is made up, and a clock."""

    def __init__(self, rss: int = 100) -> None:
        self.time = 1000.0
        self.headroom: Headroom | None = None
        self._peak = 0
        self.now(rss)

    def now(self, rss: int, peak: int = 0) -> None:
        """RSS, in MB; ``peak``: and what it was for a moment since."""
        self._peak = max(self._peak, rss, peak)
        self.brief = Brief(rss * MB, self._peak * MB, 0, 3)

    def log(self, **options: Any) -> logs.Log:
        return logs.Log(
            brief=lambda: self.brief,
            headroom=lambda: self.headroom,
            now=lambda: self.time,
            **options,
        )


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What goes to heaptide.monitor."""
    found: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    logger, handler = logging.getLogger("heaptide.monitor"), Handler()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def values(record: logging.LogRecord) -> dict[str, Any]:
    """Those that are ours."""
    return {name: value for name, value in vars(record).items() if "." in name}


def test_a_record(records: list[logging.LogRecord]) -> None:
    """RSS with its change, what is left to the limit: in words, and as figures."""
    process = Process(100)
    log = process.log(budgets=from_options(["peak_rss=200MB"]))
    process.now(104, peak=107)
    process.time += 60
    process.headroom = Headroom(512 << 20, 300 * MB)
    log.record()
    [record] = records
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"memory of {PID}: 104.0 MB resident, +4.0 MB in 1 min 00 s, peak 107.0 MB; "
        "286.1 MiB left of 512.0 MiB"
    )
    assert values(record) == {
        "process.pid": PID,
        "process.rss": 104 * MB,
        "process.rss_change": 4 * MB,
        "process.rss_change_seconds": 60.0,
        "process.rss_peak": 107 * MB,
        "process.swap": 0,
        "process.threads": 3,
        "cgroup.limit": 512 << 20,
        "cgroup.headroom": 300 * MB,
        "budget.peak_rss": 200 * MB,
        "budget.peak_rss.headroom": 96 * MB,
    }


def test_the_change_is_since_the_last_record(records: list[logging.LogRecord]) -> None:
    process = Process(100)
    log = process.log()
    for rss in (110, 90, 90):
        process.now(rss)
        log.record()
    changes = [values(one)["process.rss_change"] for one in records]
    assert changes == [10 * MB, -20 * MB, 0]
    assert "-20.0 MB" in records[1].getMessage()


def test_what_cannot_be_told_is_absent(records: list[logging.LogRecord]) -> None:
    process = Process()
    process.brief = Brief(None, None, None, None)
    process.log().record()
    assert set(values(records[0])) == {"process.pid"}
    assert records[0].getMessage() == f"memory of {PID}: unknown"


def levels(
    rss: Sequence[int | tuple[int, int]],
    records: list[logging.LogRecord],
    **budgets: str,
) -> list[str]:
    """W: a warning, B: back, -: neither; for each of these readings."""
    process = Process(1)
    log = process.log(budgets=from_options([f"{name}={limit}" for name, limit in budgets.items()]))
    found = []
    for one in rss:
        process.now(*one if isinstance(one, tuple) else (one,))
        log.record()
        back = "thresholds.kept_again" in values(records[-1])
        found.append("W" if records[-1].levelno == logging.WARNING else "B" if back else "-")
    return found


def test_a_budget_that_is_exceeded(records: list[logging.LogRecord]) -> None:
    """It is so until 95 % of it: memory that goes up and down about the limit flaps nothing."""
    readings = [100, 101, 99, 100, 96, 95, 99, 100, 101]
    assert levels(readings, records, peak_rss="100MB") == [*"-WWWWB--W"]
    assert records[1].getMessage().endswith("; over peak_rss 100.0 MB")
    assert values(records[1])["thresholds.passed"] == ["peak_rss"]
    assert records[5].getMessage().endswith("; peak_rss kept again")
    assert values(records[5])["thresholds.kept_again"] == ["peak_rss"]


def test_a_peak_between_two_records(records: list[logging.LogRecord]) -> None:
    """The kernel has it; it is told once."""
    assert levels([50, (50, 120), 50, 50], records, peak_rss="100MB") == [*"-WB-"]


def test_idle(records: list[logging.LogRecord]) -> None:
    """What memory has not gone below for five records is what it takes when idle."""
    assert levels([90] * 4 + [10] + [60] * 5, records, idle_rss="50MB") == [*"---------W"]


def test_limits_are_shown_as_they_were_given(records: list[logging.LogRecord]) -> None:
    levels([100], records, peak_rss="64MiB")
    assert records[0].getMessage().endswith("over peak_rss 64.0 MiB")


def test_near_the_limit_of_the_control_group(records: list[logging.LogRecord]) -> None:
    """Above 90 %, until 85 %; and when there is no limit any more."""
    process = Process()
    log = process.log()
    for left in (11, 9, 14, 15, 9, None):
        process.headroom = None if left is None else Headroom(100 << 20, left << 20)
        log.record()
    assert ["W" if one.levelno > logging.INFO else "-" for one in records] == [*"-WW-W-"]
    assert records[1].getMessage().endswith("; near cgroup.limit 100.0 MiB")
    assert values(records[1])["thresholds.passed"] == ["cgroup.limit"]


FILE = """
[budgets]
peak_rss = "80 MB"
peak_heap = "1 MB"
[budgets.programs."{program}"]
peak_rss = "300 MB"
"""


def limits_of(budgets: Any, tmp_path: Path) -> dict[str, int]:
    records: list[Mapping[str, Any]] = []

    class Logger:
        def info(self, event: str, **values: Any) -> None:
            records.append(values)

        warning = info

    Process().log(budgets=budgets, logger=Logger()).record()
    return {
        name: value
        for name, value in records[0].items()
        if name.startswith("budget.") and not name.endswith(".headroom")
    }


def test_budgets_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This program's go before those of all; those that need a recording are left out."""
    path = tmp_path / "heaptide.toml"
    path.write_text(FILE.format(program="another"))
    assert limits_of(path, tmp_path) == {"budget.peak_rss": 80 * MB}
    path.write_text(FILE.format(program=program_of(ProcessReader().command())))
    assert limits_of(str(path), tmp_path) == {"budget.peak_rss": 300 * MB}
    monkeypatch.chdir(tmp_path)
    assert limits_of(True, tmp_path) == {"budget.peak_rss": 300 * MB}
    assert limits_of("guide", tmp_path) == {"budget.idle_rss": 256 * MB}
    assert limits_of(None, tmp_path) == {}


def test_budgets_that_cannot_be_held(tmp_path: Path) -> None:
    path = tmp_path / "heaptide.toml"
    path.write_text('[budgets]\npeak_heap = "1 MB"\n')
    with pytest.raises(UsageError, match="neither peak_rss nor idle_rss"):
        Process().log(budgets=path)
    for place in (tmp_path, path / "below.toml"):
        with pytest.raises(UsageError, match="cannot be read"):
            Process().log(budgets=place)
    for written in (tmp_path / "none.toml", "gide", "nu\0ll"):
        with pytest.raises(UsageError, match=r"no such file, nor a preset .*guide"):
            Process().log(budgets=written)
    with pytest.raises(UsageError, match="budgets=5: say a file"):
        Process().log(budgets=5)


@pytest.mark.parametrize("logger", ["shop", 5, {}, logging])
def test_what_is_no_logger(logger: object) -> None:
    """Is told at the start, and not when the first record is due."""
    with pytest.raises(UsageError, match=r"logger=.* is no logger"):
        logs.start("1h", logger=logger)


@pytest.mark.parametrize("written", ["soon", "5 parsecs", "", True, 0, "50ms", -1])
def test_times_that_are_none(written: Any) -> None:
    with pytest.raises(UsageError, match="log="):
        logs.interval_of(written)


@pytest.mark.parametrize(
    ("written", "seconds"), [("60s", 60), ("5 min", 300), (2, 2), (0.5, 0.5), ("1h", 3600)]
)
def test_times(written: Any, seconds: float) -> None:
    assert logs.interval_of(written) == seconds


def test_json(records: list[logging.LogRecord]) -> None:
    """A document of one line, with the time and level that a bare handler would not write."""
    process = Process(100)
    log = process.log(json=True, budgets=from_options(["peak_rss=50MB"]))
    log.record()
    document = json.loads(records[0].getMessage())
    assert document.pop("time").startswith("20")
    head = {"level": "warning", "event": "memory"}
    assert document == {**head, **values(records[0])}
    assert document["process.rss"] == 100 * MB


def test_an_adapter_keeps_its_own() -> None:
    """Its words and its extra are there beside ours, through two of them too."""
    found: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    class Named(logging.LoggerAdapter):  # type: ignore[type-arg]
        def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
            return f"[web] {msg}", kwargs

    logger = logging.Logger("mine")
    logger.addHandler(Handler())
    adapter = logging.LoggerAdapter(logger, {"service": "shop"})
    Process(100).log(logger=Named(adapter, {})).record()
    assert found[0].getMessage().startswith("[web] memory of ")
    assert vars(found[0])["service"] == "shop"
    assert vars(found[0])["process.rss"] == 100 * MB


class Written:
    """structlog's loggers write here."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def factory(self, *_: object) -> structlog.PrintLogger:
        return structlog.PrintLogger(self.stream)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_a_logger_of_structlog() -> None:
    """Its processors get an event with figures, beside what it is bound to."""
    written = Written()
    logger = structlog.wrap_logger(
        written.factory(),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
    ).bind(service="shop")
    process = Process(100)
    log = process.log(logger=logger, budgets=from_options(["peak_rss=105MB"]))
    log.record()
    process.now(110)
    log.record()
    first, second = written.documents
    assert (first["event"], first["level"], first["service"]) == ("memory", "info", "shop")
    assert (first["process.rss"], first["process.threads"]) == (100 * MB, 3)
    assert (second["level"], second["process.rss_change"]) == ("warning", 10 * MB)


@pytest.fixture
def structlog_reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_structlog_that_the_program_has_set_up(
    structlog_reset: None, records: list[logging.LogRecord]
) -> None:
    """Without a logger, records go where the program's own go; before it is set up, to logging."""
    written = Written()
    log = Process(100).log()
    log.record()
    assert len(records) == 1
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=written.factory
    )
    log.record()
    assert [one["process.rss"] for one in written.documents] == [100 * MB]
    assert len(records) == 1


def test_structlog_renders_records_of_logging(records: list[logging.LogRecord]) -> None:
    """Its formatter on a handler of logging gets the figures as extra."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logger = logging.getLogger("heaptide.monitor")
    logger.addHandler(handler)
    try:
        Process(100).log().record()
    finally:
        logger.removeHandler(handler)
    document = json.loads(stream.getvalue())
    assert document["process.rss"] == 100 * MB
    assert document["event"].startswith("memory of ")


def run(code: str, warnings: str = "error") -> str:
    """What a program writes to stderr; it has to end well."""
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


HEAD = "import logging, os, sys, time\nfrom heaptide.monitor import logs\n"


def test_a_program_that_sets_up_no_logging() -> None:
    """What was asked for is written, to stderr."""
    text = run(HEAD + "logs.Log().record()")
    assert " INFO heaptide.monitor: memory of " in text
    assert len(text.splitlines()) == 1
    assert json.loads(run(HEAD + "logs.Log(json=True).record()"))["event"] == "memory"


def test_levels_of_a_program() -> None:
    """Its root logger's level is for others; one that it gives to ours counts."""
    basic = "logging.basicConfig(format='%(name)s')\nlog = logs.Log()\nlog.record()\n"
    assert run(HEAD + basic) == "heaptide.monitor\n"
    off = "logging.getLogger('heaptide.monitor').setLevel(logging.WARNING)\n"
    assert run(HEAD + off + basic) == ""
    assert run(HEAD + off + "logs.Log().record()") == ""


def test_logging_that_is_set_up_after_the_start() -> None:
    """dictConfig disables loggers that there are: ours is there from the first record on only."""
    code = (
        "import logging.config\n"
        "log = logs.Log()\n"
        "logging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': "
        "'logging.StreamHandler'}}, 'root': {'handlers': ['h']}})\n"
        "log.record()\n"
    )
    assert run(HEAD + code).startswith("memory of ")


def test_a_logger_that_raises(capsys: pytest.CaptureFixture[str]) -> None:
    """The program hears of it in one line, once, and of nothing else."""

    class Broken:
        def info(self, event: str, **values: Any) -> None:
            raise OSError("no space\nleft")

    log = Process().log(logger=Broken())
    log.record()
    log.record()
    assert capsys.readouterr().err == (
        "heaptide: a record of memory cannot be logged: OSError: no space left\n"
    )


def test_nothing_of_other_processes_is_read() -> None:
    """A record opens files of this process and of its control group, and lists no directory."""
    code = (
        "log = logs.Log(logger=type('L', (), {'info': lambda *a, **k: None, 'warning': None})())\n"
        "log.record()\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, args: seen.append((name, args[0]))\n"
        "    if name in ('open', 'os.listdir', 'os.scandir') else None)\n"
        "log.record()\n"
        "print(*(f'{name} {path}' for name, path in seen), sep='\\n', file=sys.stderr)\n"
    )
    opened = run(HEAD + code).splitlines()
    assert "open /proc/self/status" in opened
    assert all(one.startswith(("open /proc/self/", "open /sys/fs/cgroup/")) for one in opened)


def test_the_real_process() -> None:
    """Touching 50 MB is a change of 50 MB."""
    found = []

    class Logger:
        def info(self, event: str, **values: Any) -> None:
            found.append(values)

        warning = info

    log = logs.Log(logger=Logger())
    held = bytearray(os.urandom(1) * (50 * MB))
    log.record()
    assert 45 * MB < found[0]["process.rss_change"] < 60 * MB
    assert found[0]["process.threads"] >= threading.active_count()
    assert len(held) == 50 * MB
    brief = read_brief()
    assert brief.rss is not None and brief.rss_peak is not None
    assert 0 < brief.rss <= brief.rss_peak


def test_again_and_again_and_no_more() -> None:
    """One thread, however often it is started; after the end nothing is called."""
    called = threading.Semaphore(0)
    every = Every(0.01, called.release, "test-every")
    every.start()
    every.start()
    for _ in range(3):
        assert called.acquire(timeout=60)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("test-every") == 1
    every.stop()
    every.stop()
    assert "test-every" not in [thread.name for thread in threading.enumerate()]
    every.start()
    assert called.acquire(timeout=60)
    every.stop()


def test_what_was_missed_is_not_made_up_for() -> None:
    """After one call that took ten intervals there is no burst: of three calls that follow, the
    last is an interval later than the first."""
    times: list[float] = []
    done = threading.Event()

    def do() -> None:
        if not times:
            time.sleep(0.5)
        times.append(time.monotonic())
        if len(times) == 4:
            done.set()

    every = Every(0.05, do, "test-missed")
    every.start()
    assert done.wait(60)
    every.stop()
    assert times[3] - times[1] >= 0.05


def test_stopped_from_within() -> None:
    """A handler may stop what calls it."""
    done = threading.Event()

    def stop() -> None:
        every.stop()
        done.set()

    every = Every(0.01, stop, "test-within")
    every.start()
    assert done.wait(60)


def test_the_end_of_the_program() -> None:
    """It is not kept; but a record that is being written is written to its end: what it is written
    to is taken apart afterwards only."""
    assert run(HEAD + "logs.start('1h')") == ""
    code = (
        "import threading\n"
        "from heaptide.monitor._every import Every\n"
        "begun = threading.Event()\n"
        "def do():\n"
        "    begun.set()\n"
        "    time.sleep(0.3)\n"
        "    print('whole', file=sys.stderr)\n"
        "Every(0.01, do, 'x').start()\n"
        "begun.wait()\n"
    )
    assert run(HEAD + code) == "whole\n"


def test_forked_children() -> None:
    """Parent and child each log for themselves, and a child of the child. The first record of a
    child knows of no change. Python, which warns of a fork while there are threads, sees none; 3.13
    looks after the fork, when there is one again."""
    code = (
        "seen = []\n"
        "class Logger:\n"
        "    def info(self, event, **values):\n"
        "        known = 'process.rss_change' in values\n"
        "        seen.append((os.getpid(), values['process.pid'], known))\n"
        "    warning = info\n"
        "def own(count):\n"
        "    deadline = time.monotonic() + 60\n"
        "    while True:\n"
        "        found = [one for one in seen if one[0] == os.getpid()]\n"
        "        if len(found) >= count: return found\n"
        "        assert time.monotonic() < deadline\n"
        "        time.sleep(0.01)\n"
        "logs.start(0.1, logger=Logger())\n"
        "assert own(1)[0] == (os.getpid(), os.getpid(), True)\n"
        "depth = 0\n"
        "while True:\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        assert os.waitpid(child, 0)[1] == 0\n"
        "        own(len(own(0)) + 1)\n"
        "        break\n"
        "    depth += 1\n"
        "    first, second = own(2)[:2]\n"
        "    assert first == (os.getpid(), os.getpid(), False), first\n"
        "    assert second == (os.getpid(), os.getpid(), True), second\n"
        "    if depth == 2: os._exit(0)\n"
        "if depth: os._exit(0)\n"
    )
    assert run(HEAD + code, "always" if sys.version_info < (3, 13) else "ignore") == ""


def test_a_fork_in_the_middle_of_a_record() -> None:
    """It waits for the record to end: a lock that is held then would be held in the child for
    good."""
    code = (
        "import threading\n"
        "from heaptide.monitor._every import Every\n"
        "lock, begun, again = threading.Lock(), threading.Event(), threading.Event()\n"
        "def do():\n"
        "    with lock:\n"
        "        begun.set()\n"
        "        time.sleep(0.2)\n"
        "    again.set()\n"
        "Every(0.01, do, 'x').start()\n"
        "begun.wait()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    again.clear()\n"
        "    os._exit(0 if again.wait(60) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    assert run(HEAD + code) == ""


def test_no_numpy() -> None:
    """It would be 20 MB of the memory that is watched."""
    code = "logs.Log(budgets='guide').record()\nassert 'numpy' not in sys.modules\n"
    run(HEAD + code)


MANUAL = Path(__file__).parents[2] / "docs" / "monitoring-logs.md"


def test_the_manual_names_every_key(records: list[logging.LogRecord]) -> None:
    process = Process(100)
    process.headroom = Headroom(500 * MB, MB)
    log = process.log(budgets=from_options(["peak_rss=50MB", "idle_rss=50MB"]))
    log.record()
    process.now(10)
    log.record()
    text = MANUAL.read_text(encoding="utf-8")
    keys = set(values(records[0])) | set(values(records[1]))
    assert {"thresholds.passed", "thresholds.kept_again", "cgroup.limit"} <= keys
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


@pytest.mark.parametrize("place", [0, 1])
def test_the_manual_runs(place: int) -> None:
    """Its examples start a log that ends with the program."""
    code = re.findall(r"^```python\n(.*?)^```", MANUAL.read_text("utf-8"), re.M | re.S)[place]
    assert run(code + "import threading\nassert threading.active_count() == 2\nstop()\n") == ""
