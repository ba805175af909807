"""Real programs answer the same with and without recording: a Flask application, gunicorn with
workers, NumPy, sqlite3, redis-server."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Record
from tests.support.building import PROGRAMS
from tests.support.network import fetch, free_port, wait_for_port
from tests.support.recorded import Recorded, Running

pytestmark = pytest.mark.system


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}")


@pytest.mark.interpreters
@pytest.mark.parametrize("program", ["arrays_numpy.py", "tables_sqlite.py"])
@pytest.mark.parametrize("options", [[], ["--native", "all"], ["--no-python-objects"]], ids=str)
def test_scripts(program: str, options: list[str], record: Record) -> None:
    """A script prints what it prints plainly, and ends the same."""
    needs("numpy" if "numpy" in program else "sqlite3")
    command = [sys.executable, str(PROGRAMS / program)]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 0, plain.stderr
    recorded = record(command, *options)
    assert (recorded.status, recorded.stdout) == (0, plain.stdout), recorded.stderr
    own = [site for site in recorded.sites() if program in str(site["file"])]
    assert sum(site["total_bytes"] for site in own) > 100_000


def load(port: int) -> list[tuple[int, bytes]]:
    """The answers to a bounded load of requests by eight clients at a time."""

    def request(number: int) -> tuple[int, bytes]:
        base = f"http://127.0.0.1:{port}"
        if number % 10 == 9:
            return fetch(f"{base}/fail")
        if number % 2:
            return fetch(f"{base}/items/{number % 50}")
        return fetch(f"{base}/echo", json.dumps({"number": number, "list": [number] * 9}).encode())

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(request, range(400)))


def served(command: list[str], port: int, output: Path | None) -> tuple[list[object], Recorded]:
    """A server's answers to the load, and how it ended when asked to."""
    with Running(command, output, cwd=PROGRAMS) as server:
        wait_for_port(port, server)
        answers = load(port)
        os.kill(server.process.pid, signal.SIGTERM)
        return list(answers), server.finish()


@pytest.mark.interpreters
def test_flask(tmp_path: Path) -> None:
    """A threaded Flask application under load."""
    needs("flask")
    answers = []
    ends = []
    for output in (None, tmp_path / "flask.tide"):
        port = free_port()
        got, end = served([sys.executable, "web_app.py", str(port)], port, output)
        answers.append(got)
        ends.append(end)
    assert answers[1] == answers[0]
    assert [end.status for end in ends] == [0, 0], ends[1].stderr
    assert ends[0].stdout == ends[1].stdout == "ready\nserved 20\n"
    own = [site for site in ends[1].sites() if "web_app" in str(site["file"])]
    assert sum(site["total_bytes"] for site in own) > 100_000
    assert ends[1].summary["threads"] > 100


@pytest.mark.interpreters
def test_gunicorn(tmp_path: Path) -> None:
    """gunicorn with two workers: each is a process of the recording."""
    needs("flask")
    needs("gunicorn")
    # Later ones would write a socket into the home directory.
    known = {one.name for one in importlib.import_module("gunicorn.config").KNOWN_SETTINGS}
    options = ["--no-control-socket"] if "control_socket_disable" in known else []
    answers = []
    ends = []
    for output in (None, tmp_path / "gunicorn.tide"):
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "-w", "2", *options]
        command += ["-b", f"127.0.0.1:{port}", "web_app:app"]
        got, end = served(command, port, output)
        answers.append(got)
        ends.append(end)
    assert answers[1] == answers[0]
    assert [end.status for end in ends] == [0, 0], ends[1].stderr
    assert ends[1].summary["processes"] >= 3
    assert sum("web_app" in str(site["file"]) for site in ends[1].sites()) > 0


def redis_tools() -> tuple[str, str, str]:
    """redis-server, redis-cli and redis-benchmark: on the PATH or in HEAPTIDE_TEST_REDIS."""
    place = os.environ.get("HEAPTIDE_TEST_REDIS")
    names = ("redis-server", "redis-cli", "redis-benchmark")
    found = [shutil.which(name, path=place) for name in names]
    if not all(found):
        pytest.skip("needs redis-server, redis-cli and redis-benchmark (or HEAPTIDE_TEST_REDIS)")
    return str(found[0]), str(found[1]), str(found[2])


def test_redis(tmp_path: Path) -> None:
    """redis-server, whose allocator is jemalloc: same data, same end, nothing lost."""
    server_path, cli_path, benchmark_path = redis_tools()
    digests = []
    ends = []
    for output in (None, tmp_path / "redis.tide"):
        port = free_port()
        directory = tmp_path / str(port)
        directory.mkdir()
        command = [
            server_path,
            "--port",
            str(port),
            "--dir",
            str(directory),
            "--save",
            "",
            "--enable-debug-command",
            "local",
        ]

        def cli(*words: str, port: int = port) -> str:
            done = subprocess.run(
                [cli_path, "-p", str(port), *words], capture_output=True, text=True, check=True
            )
            return done.stdout.strip()

        with Running(command, output) as server:
            wait_for_port(port, server)
            load = "for i=1,20000 do redis.call('set','k'..i,string.rep('v',i%300)) end"
            cli("eval", load, "0")
            cli("eval", "for i=1,5000 do redis.call('rpush','list',i) end", "0")
            subprocess.run(
                [benchmark_path, "-p", str(port), "-n", "5000", "-q", "-t", "get,incr,sadd,zadd"],
                capture_output=True,
                check=True,
            )
            cli("bgsave")
            digests.append(
                (cli("debug", "digest-value", "k17", "k9999", "list"), cli("llen", "list"))
            )
            os.kill(server.process.pid, signal.SIGTERM)
            ends.append(server.finish())
    assert digests[0] == digests[1]
    assert ends[0].status == ends[1].status == 0, ends[1].stderr
    assert ends[1].summary["allocations"] > 50_000
    assert ends[1].show("process")["processes"][0]["allocator"] == "jemalloc"
    # The forked child of BGSAVE is a process of its own.
    assert ends[1].summary["processes"] == 2
