"""One call that starts everything, and the variable that does it without an edit."""

from __future__ import annotations

import inspect
import logging
import os
import re
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import heaptide
from heaptide.errors import HeaptideError, UsageError
from heaptide.monitor._environment import Options, parse

pytestmark = pytest.mark.interpreters


class Prometheus(types.ModuleType):
    """In the place of heaptide.monitor.prometheus: remembers what is started and stopped."""

    def __init__(self) -> None:
        super().__init__("heaptide.monitor.prometheus")
        self.started: list[tuple[Any, dict[str, Any]]] = []
        self.stopped: list[Any] = []
        self.error: Exception | None = None

    def start(self, target: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.started.append((target, options))
        return lambda: self.stopped.append(target)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEAPTIDE_MONITOR", raising=False)
    monkeypatch.delenv("HEAPTIDE_MONITOR_PID", raising=False)


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> Prometheus:
    fake = Prometheus()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return fake


def log_threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("heaptide-log")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    heaptide.monitor().stop()
    assert log_threads() == 0


def test_all_of_it(prometheus: Prometheus) -> None:
    """Each part is started as it was said, and ends with the monitor."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    with heaptide.monitor(
        prometheus=9100, opentelemetry=provider, log="1h", objects=True, alias="old_bytes"
    ) as monitor:
        assert list(monitor.running) == ["prometheus", "opentelemetry", "log"]
        assert prometheus.started == [(9100, {"objects": True, "alias": "old_bytes"})]
        assert prometheus.stopped == []
        assert log_threads() == 1
        assert reader.get_metrics_data() is not None
    assert list(monitor.running) == []
    assert prometheus.stopped == [9100]
    assert log_threads() == 0
    monitor.stop()
    assert prometheus.stopped == [9100]
    provider.shutdown()


def test_nothing_is_asked_for(prometheus: Prometheus) -> None:
    """Without the variable, a call without parameters does nothing."""
    assert heaptide.monitor().running == ()
    assert heaptide.monitor(prometheus=False, log=False, opentelemetry=None).running == ()
    assert prometheus.started == []


def test_a_second_call_ends_the_first(prometheus: Prometheus) -> None:
    """Two would log everything twice, and want one port twice."""
    first = heaptide.monitor(log="1h", prometheus=0)
    second = heaptide.monitor(log="2h", prometheus=0)
    assert (first.running, second.running) == ((), ("prometheus", "log"))
    assert prometheus.stopped == [0]
    assert log_threads() == 1
    first.stop()
    assert log_threads() == 1


def test_what_cannot_be_started(prometheus: Prometheus) -> None:
    """Then nothing runs."""
    with pytest.raises(UsageError, match="log="):
        heaptide.monitor(prometheus=9100, log="soon")
    assert prometheus.stopped == [9100]
    prometheus.error = HeaptideError("port 9100 is taken")
    with pytest.raises(HeaptideError, match="taken"):
        heaptide.monitor(prometheus=9100, log="1h")
    assert log_threads() == 0


@pytest.mark.parametrize("name", ["json", "objects"])
def test_neither_true_nor_false(prometheus: Prometheus, name: str) -> None:
    """``json="no"`` would be true."""
    words: dict[str, Any] = {name: "no"}
    with pytest.raises(UsageError, match=f"{name}='no': say True or False"):
        heaptide.monitor(prometheus=9100, **words)
    assert prometheus.started == []


def test_what_it_looks_like(prometheus: Prometheus) -> None:
    with heaptide.monitor(prometheus=9100, log="1h") as monitor:
        assert repr(monitor) == "<heaptide.monitor.Monitor: prometheus, log>"
    assert repr(monitor) == "<heaptide.monitor.Monitor: nothing runs>"


def test_in_a_forked_child(prometheus: Prometheus) -> None:
    """The log goes on; a port is its parent's, whose server is not the child's to end. What is in a
    registry is in the child's too."""
    monitor = heaptide.monitor(prometheus="127.0.0.1:9100", log="1h")
    registered = in_child(lambda: monitor.running == ("log",) and log_threads() == 1)
    assert registered
    assert in_child(
        lambda: (monitor.stop(), log_threads(), prometheus.stopped) == (None, 0, [])  # type: ignore[func-returns-value]
    )
    assert monitor.running == ("prometheus", "log")
    monitor = heaptide.monitor(prometheus=True)
    assert in_child(lambda: monitor.running == ("prometheus",))


def in_child(holds: Any) -> bool:
    """What this says in a forked child."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            status = 0 if holds() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_it_is_a_package_too() -> None:
    """Whichever part was imported first, the name is the package, and can be called."""
    run("import heaptide\nassert heaptide.monitor(log='1h').running == ('log',)")
    run("from heaptide.monitor import logs\nimport heaptide\nheaptide.monitor(log='1h').stop()")
    run("from heaptide import monitor\nassert monitor.logs if monitor(log='1h') else 0")
    run(
        "import heaptide.monitor\nassert heaptide.monitor is __import__('sys').modules["
        "'heaptide.monitor']\nassert heaptide.Monitor is heaptide.monitor.Monitor"
    )
    parameters = inspect.signature(heaptide.monitor).parameters
    assert {"prometheus", "opentelemetry", "log", "json", "budgets"} <= set(parameters)


def test_what_is_not_asked_for_is_not_loaded() -> None:
    """A log needs neither library of metrics, nor NumPy; the package itself not even logging."""
    run(
        "import sys\n"
        "import heaptide.monitor\n"
        "assert 'logging' not in sys.modules\n"
        "heaptide.monitor(log='1h', budgets='guide')\n"
        "found = {'numpy', 'opentelemetry', 'prometheus_client'} & set(sys.modules)\n"
        "assert not found, found\n"
    )


def run(code: str, **environment: str) -> str:
    """What a program writes to stderr; it has to end well."""
    done = subprocess.run(
        # -S: an installed heaptide-monitor.pth begins before the code, which is to begin itself.
        [sys.executable, "-S", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", Options()),
        ("log", Options(log=True)),
        ("prometheus=:9100 log=60s", Options(prometheus=9100, log="60s")),
        ("prometheus=9100", Options(prometheus=9100)),
        ("prometheus=127.0.0.1:9100", Options(prometheus="127.0.0.1:9100")),
        ("prometheus opentelemetry json", Options(prometheus=True, opentelemetry=True, json=True)),
        ("log='5 min' objects", Options(log="5 min", objects=True)),
        ("budgets=guide alias=old", Options(budgets="guide", alias="old")),
        ("budgets='a b.toml'", Options(budgets="a b.toml")),
    ],
)
def test_the_variable(text: str, options: Options) -> None:
    assert parse(text) == (options, [])


@pytest.mark.parametrize(
    "text", ["logs=60s", "log=", "json=yes", "alias", "prometheus=':9100", "off log"]
)
def test_the_variable_makes_no_sense(text: str) -> None:
    """What does is understood all the same."""
    said, [wrong] = parse(text)
    assert said == Options(log=True if text == "off log" else None)
    assert isinstance(wrong, UsageError)


def test_what_is_not_given_is_the_variables(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAPTIDE_MONITOR", "prometheus=:9100 log=1h alias=old")
    assert heaptide.monitor().running == ("prometheus", "log")
    heaptide.monitor(prometheus=9200)
    assert heaptide.monitor(prometheus=False).running == ("log",)
    assert prometheus.started == [
        (9100, {"objects": False, "alias": "old"}),
        (9200, {"objects": False, "alias": "old"}),
    ]


@pytest.mark.parametrize("off", ["off", "0", "No"])
def test_off(off: str, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the program has the last word."""
    monkeypatch.setenv("HEAPTIDE_MONITOR", off)
    assert heaptide.monitor(prometheus=9100, log="1h").running == ()


def test_what_is_wrong_with_the_variable(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program is not to blame: it is told in a line, and the rest is started."""
    monkeypatch.setenv("HEAPTIDE_MONITOR", "prometeus=9100")
    assert heaptide.monitor(log="1h").running == ("log",)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("heaptide: HEAPTIDE_MONITOR: there is no 'prometeus'")
    monkeypatch.setenv("HEAPTIDE_MONITOR", "prometheus=9100 log=1h")
    prometheus.error = OSError(98, "Address already in use")
    assert heaptide.monitor().running == ("log",)
    [line] = capsys.readouterr().err.splitlines()
    assert "Address already in use" in line
    for words, complaint in (("foo", "no 'foo'"), ("budgets=nope", "no such file")):
        monkeypatch.setenv("HEAPTIDE_MONITOR", f"log=1h {words}")
        assert heaptide.monitor().running == ("log",)
        [line] = capsys.readouterr().err.splitlines()
        assert complaint in line


BEGIN = "from heaptide.monitor._environment import begin\nbegin()\n"


def test_before_the_first_line() -> None:
    """A log begins; the program is otherwise as it was."""
    alive = "import threading\nassert threading.active_count() == {}\n"
    assert run(BEGIN + alive.format(2), HEAPTIDE_MONITOR="log=1h") == ""
    assert run(BEGIN + alive.format(1), HEAPTIDE_MONITOR="off") == ""


def test_programs_that_it_starts() -> None:
    """They inherit the variable, and log for themselves; they leave the port alone, and repeat no
    complaint: their output is not to change."""
    fake = (
        "import sys, types\n"
        "fake = types.ModuleType('heaptide.monitor.prometheus')\n"
        "def start(target, **options):\n"
        "    print('port', target, file=sys.stderr)\n"
        "    return lambda: None\n"
        "fake.start = start\n"
        "sys.modules['heaptide.monitor.prometheus'] = fake\n"
    )

    def program(child: str) -> str:
        return (
            f"{fake}{BEGIN}import subprocess\n"
            f"subprocess.run([sys.executable, '-S', '-c', {fake + BEGIN + child!r}], check=True)\n"
        )

    child = "import heaptide\nassert heaptide.monitor().running == ('log',)\n"
    assert run(program(child), HEAPTIDE_MONITOR="prometheus=:9100 log=1h") == "port 9100\n"
    wrong = run(program(""), HEAPTIDE_MONITOR="prometheus=9100 logg")
    line, port = wrong.splitlines()
    assert port == "port 9100"
    assert line.startswith("heaptide: HEAPTIDE_MONITOR: there is no 'logg'")


def test_the_logger_that_is_given(caplog: pytest.LogCaptureFixture) -> None:
    """Records of the monitor's log go there."""
    seen = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "mine" and "process.rss" in vars(record):
                seen.set()

    logger = logging.Logger("mine")
    logger.addHandler(Handler())
    with heaptide.monitor(log=0.1, logger=logger):
        assert seen.wait(60)


APP = """
import json, os, sys
import heaptide

class Logger:
    def info(self, event, **values):
        os.write(2, b"memory %d %d\\n" % (os.getpid(), values["process.rss"]))
    warning = info

monitor = heaptide.monitor(log=0.1, logger=Logger())

def app(environment, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def test_gunicorn_that_preloads(tmp_path: Path) -> None:
    """The program is loaded once and forked: its main process and each worker log, each for
    itself, and it ends as it would have."""
    (tmp_path / "shop.py").write_text(APP)
    words = ["--preload", "--workers", "2", "--bind", "127.0.0.1:0", "--log-level", "error"]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *words, "shop:app"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    seen: set[int] = set()
    lines: list[str] = []
    try:
        while len(seen) < 3:
            line = server.stderr.readline()
            assert line, lines
            lines.append(line)
            if line.startswith("memory "):
                seen.add(int(line.split()[1]))
    finally:
        server.terminate()
        rest, _ = server.stderr.read(), server.wait()
        server.stderr.close()
    assert server.pid in seen
    assert server.returncode == 0
    assert [line for line in rest.splitlines() if not line.startswith("memory ")] == []


MANUAL = Path(__file__).parents[2] / "docs" / "monitoring-start.md"


def test_the_manual() -> None:
    """Its example runs, and it has every parameter and word."""
    text = MANUAL.read_text(encoding="utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert run(code + "assert monitor.running == ()\n") == ""
    table = "".join(line for line in text.splitlines() if line.startswith("|"))
    names = set(inspect.signature(heaptide.monitor).parameters)
    assert {name for name in names if f"`{name}=" not in table} == set()
    cells = "".join(line.split("|")[2] for line in text.splitlines() if line.startswith("| `"))
    words = {field.name for field in fields(Options)}
    assert {word for word in words if not re.search(rf"`{word}\b", cells)} == set()
