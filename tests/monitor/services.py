"""The service of examples/service, served in several ways, and what its metrics say."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.network import free_port

SERVICE = Path(__file__).parent.parent.parent / "examples" / "service"
Labels = Mapping[str, str]


class Service:
    """A server that answers on 127.0.0.1."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def get(self, path: str = "/", accept: str = "*/*") -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Accept": accept}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return str(response.read().decode())

    def metrics(self) -> Metrics:
        return Metrics(self.get("/metrics"))


class Metrics:
    """A scrape. It must be well formed: no family twice, no sample twice."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        names = [family.name for family in families]
        assert len(set(names)) == len(names), names
        self.families: dict[str, Metric] = {family.name: family for family in families}
        samples = [one for family in families for one in family.samples]
        self.values = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}
        assert len(self.values) == len(samples)

    def get(self, name: str, **labels: str) -> float:
        return self.values[name, tuple(sorted(labels.items()))]

    def by_pid(self, name: str) -> dict[int, float]:
        """Of a metric without other labels."""
        return {
            int(labels[0][1]): value
            for (one, labels), value in self.values.items()
            if one == name and [key for key, _ in labels] == ["pid"]
        }


@contextlib.contextmanager
def serve(
    command: Sequence[str], log: Path, port: int, env: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Runs a server, in the folder of the service, until the block ends."""
    environment = {**os.environ, **(env or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=SERVICE, stdout=out, stderr=out, env=environment)
    try:
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield Service(process, port, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


@contextlib.contextmanager
def stdlib(folder: Path, **env: str) -> Iterator[Service]:
    port = free_port()
    command = [sys.executable, "service.py", str(port)]
    with serve(command, folder / "service.log", port, env) as service:
        yield service


@contextlib.contextmanager
def gunicorn(folder: Path, *options: str, interval: float = 60.0) -> Iterator[Service]:
    """4 workers in multi-process mode. ``interval``: seconds between two readings of PSS."""
    port = free_port()
    metrics = folder / "metrics"
    metrics.mkdir()
    (folder / "serving.py").write_text(
        "from heaptide.monitor import prometheus\n"
        f"prometheus.register(interval={interval})\n"
        "from service import app\n"
    )
    command = [sys.executable, "-m", "gunicorn", "-w", "4", *quiet(), *options]
    command += ["-b", f"127.0.0.1:{port}", "--pythonpath", str(folder), "serving:app"]
    env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    with serve(command, folder / "gunicorn.log", port, env) as service:
        yield service


def quiet() -> list[str]:
    """Options for a gunicorn that would write a socket into the home directory: the newer ones."""
    told = subprocess.run([sys.executable, "-m", "gunicorn", "--help"], capture_output=True)
    return ["--no-control-socket"] if b"--no-control-socket" in told.stdout else []


def children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found.update(map(int, (task / "children").read_text().split()))
    return found


def until(read: Callable[[], bool]) -> None:
    """Returns when it is so; the test's own limit of time ends it otherwise."""
    while not read():
        time.sleep(0.05)


def tool(name: str) -> str:
    """A program of Debian's prometheus package, which scripts/setup installs."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def promtool(text: str) -> None:
    """Whether it finds anything to say of metrics."""
    command = [tool("promtool"), "check", "metrics"]
    told = subprocess.run(command, input=text.encode(), capture_output=True)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")
