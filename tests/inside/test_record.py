"""``heaptide.record``: programs that record themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heaptide.budgets import Budgets, check, parse_limit
from heaptide.profile import Profile, metric, summarize
from heaptide.recording import Recording
from tests.inside.running import environment, run
from tests.support.recorded import Recorded

pytestmark = pytest.mark.interpreters

KNOWN = """\
import heaptide

def outside(count):
    return [bytes(1000) for _ in range(count)]

before = outside(500)
with heaptide.record("a.tide") as recorder:
    def held():
        return [bytes(10_000) for _ in range(300)]
    kept = held()
    def passing():
        for _ in range(1000):
            bytes(5000)
    passing()
after = outside(500)
print(recorder.path, recorder.recording)
"""


def recorded(path: Path) -> Recorded:
    return Recorded(path, 0, "", "")


def test_known_allocations(tmp_path: Path) -> None:
    """What is between start and stop, with its lines, and nothing else."""
    done = run(KNOWN, tmp_path)
    assert done.stdout == "a.tide False\n"
    assert done.stderr == ""
    found = recorded(tmp_path / "a.tide")
    size = sys.getsizeof(bytes(10_000))
    held = found.sites("line")
    by_line = {(row["file"], row["line"]): row for row in held}
    line = by_line[str(tmp_path / "program.py"), 9]
    assert line["alive_at_exit_bytes"] >= 300 * size
    assert line["alive_at_exit_bytes"] < 300 * size + 20_000
    passing = by_line[str(tmp_path / "program.py"), 13]
    assert passing["allocations"] in range(1000, 1010)
    assert passing["alive_at_exit_bytes"] < 1000
    assert "outside" not in {row["function"] for row in found.sites()}
    with Recording.open(found.path) as recording:
        assert recording.end is not None
        assert recording.end.reason == "finished"
        assert recording.command[1:] == [str(tmp_path / "program.py")]


ONE_AFTER_THE_OTHER = """\
import heaptide, threading
begin, done = threading.Semaphore(0), threading.Semaphore(0)

def work():
    while begin.acquire():
        kept = []
        for _ in range(100):
            kept.append(bytes(2000))
        done.release()

threading.Thread(target=work, daemon=True).start()
for turn in range(30):
    recorder = heaptide.record(f"{turn}.tide", symbols=False)
    recorder.start()
    def of_this_turn():
        made = []
        for _ in range(100 + turn):
            made.append(bytes(1000))
        return made
    kept = of_this_turn()
    begin.release()
    done.acquire()
    recorder.stop()
    with heaptide.measure("thread") as m:
        kept = of_this_turn()
    assert m.bytes >= 1000 * (100 + turn), m
"""


def test_many_recordings_of_one_process(tmp_path: Path) -> None:
    """Each has all the definitions that it needs, of all threads, and figures of its own."""
    run(ONE_AFTER_THE_OTHER, tmp_path)
    for turn in range(30):
        with Recording.open(tmp_path / f"{turn}.tide") as recording:
            profile = Profile(recording)
            names = [frame.function for names in recording.frame_names() for frame in names]
            assert any("of_this_turn" in name for name in names)
            assert any(name == "work" for name in names)
            fold = profile.fold("function", metric("total"))
            by_name = {
                profile.function_of(int(row)): int(value)
                for row, value in zip(fold.location, fold.values)
            }
            own = sum(value for name, value in by_name.items() if "of_this_turn" in name)
            other = sum(value for name, value in by_name.items() if name.startswith("work"))
            assert own in range(1033 * (100 + turn), 1033 * (100 + turn) + 8000)
            assert other in range(2033 * 100, 2033 * 100 + 8000)
            assert summarize(profile).alive_at_exit_bytes < 500_000


CHILDREN = """\
import heaptide, os, subprocess, sys
with heaptide.record("a.tide"):
    child = os.fork()
    if child == 0:
        kept = [bytes(1000) for _ in range(400)]
        os._exit(0)
    os.waitpid(child, 0)
    subprocess.run([sys.executable, "-c", "kept = [bytes(1000) for _ in range(700)]"], check=True)
"""


def test_children_are_followed(tmp_path: Path) -> None:
    """By fork and by exec, in the same recording, each apart."""
    run(CHILDREN, tmp_path)
    with Recording.open(tmp_path / "a.tide") as recording:
        pids = {int(pid) for pid in recording.processes.pid}
        assert len(pids) == 3
        totals = sorted(
            summarize(Profile(recording, [row])).total_bytes
            for row in range(len(recording.processes))
        )
        assert totals[-1] > 700_000
        assert 400_000 < totals[-2] < 700_000


def test_without_following(tmp_path: Path) -> None:
    run(CHILDREN.replace('"a.tide"', '"a.tide", follow=False'), tmp_path)
    with Recording.open(tmp_path / "a.tide") as recording:
        assert len(recording.processes) == 1


PHASES = """\
import heaptide

@heaptide.phase("loading")
def load():
    return [bytes(1000) for _ in range(1000)]

with heaptide.record("a.tide"):
    kept = load()
    with heaptide.phase("serving"):
        for _ in range(50):
            bytes(100_000)
    heaptide.mark("closing")
heaptide.mark("not recorded")
"""


def test_phases(tmp_path: Path) -> None:
    """A budget holds between the beginning and the end of a phase."""
    run(PHASES, tmp_path)
    with Recording.open(tmp_path / "a.tide") as recording:
        assert list(recording.marks.name) == [
            "loading",
            "loading: end",
            "serving",
            "serving: end",
            "closing",
        ]
        budgets = Budgets(
            phases={
                name: Budgets({"total": parse_limit("1 MB", "bytes")})
                for name in ("loading", "serving")
            }
        )
        loading, serving = check(Profile(recording), budgets)
        assert loading.value is not None
        assert 1_033_000 <= loading.value < 1_150_000
        assert serving.value is not None
        assert 5_000_000 <= serving.value < 5_010_000


WRONG = """\
import heaptide
def refused(function):
    try:
        function()
    except heaptide.HeaptideError as error:
        print(error)
recorder = heaptide.record("a.tide").start()
refused(recorder.start)
refused(heaptide.record("b.tide").start)
refused(lambda: heaptide.record(native="some"))
refused(lambda: heaptide.record(sample=-1))
recorder.stop()
recorder.stop()
refused(recorder.start)
refused(heaptide.record("a.tide").start)
refused(heaptide.record("missing/a.tide").start)
with heaptide.measure():
    refused(heaptide.record("c.tide").start)
heaptide.record("a.tide", force=True).start()
"""


def test_wrong_uses_are_told(tmp_path: Path) -> None:
    """One line each; and a recording that nobody stops is whole at the program's end."""
    lines = run(WRONG, tmp_path).stdout.splitlines()
    for line, words in zip(
        lines,
        (
            "a.tide is being recorded already",
            "into a.tide already",
            "auto, all, off",
            "above 0",
            "has been recorded",
            "exists",
            "not a directory",
            "a measurement",
        ),
    ):
        assert words in line
    assert len(lines) == 8
    assert {path.name for path in tmp_path.glob("*.tide")} == {"a.tide"}
    with Recording.open(tmp_path / "a.tide") as recording:
        assert recording.finished
        assert recording.symbols is not None


def test_a_program_that_is_killed_leaves_its_recording(tmp_path: Path) -> None:
    """And the collector does not stay behind."""
    program = (
        "import heaptide, time\n"
        "heaptide.record('a.tide').start()\n"
        "kept = [bytes(1000) for _ in range(1000)]\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for _ in range(1000):
        with Recording.open(tmp_path / "a.tide") as recording:
            if recording.finished:
                assert summarize(Profile(recording)).total_bytes > 1_000_000
                return
        time.sleep(0.01)
    pytest.fail("the collector does not end")


PRELOADED = """\
import heaptide, sys
with heaptide.measure() as m:
    kept = [bytes(1000) for _ in range(1000)]
print(m.bytes > 1_000_000, m.live > 1_000_000)
with heaptide.record("a.tide"):
    more = [bytes(5000) for _ in range(1000)]
del more, kept
"""


@pytest.mark.parametrize(
    "name", ["libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"]
)
def test_another_allocator(tmp_path: Path, name: str) -> None:
    """Where a program has a malloc of its own, blocks go back to where they came from."""
    library = Path("/usr/lib/x86_64-linux-gnu") / name
    if not library.exists():
        pytest.skip(f"needs {name}")
    done = run(PRELOADED, tmp_path, env={"LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc"})
    assert done.stdout == "True True\n"
    with Recording.open(tmp_path / "a.tide") as recording:
        assert summarize(Profile(recording)).total_bytes > 5_000_000


def test_tracemalloc_before_and_within(tmp_path: Path) -> None:
    """Its hooks are on top of ours, or ours of its, and both count."""
    program = (
        "import heaptide, tracemalloc\n"
        "tracemalloc.start()\n"
        "for turn in range(3):\n"
        "    with heaptide.measure() as m:\n"
        "        kept = [bytes(1000) for _ in range(1000)]\n"
        "        if turn == 1: tracemalloc.stop()\n"
        "    assert 1_000_000 < m.peak, m\n"
        "    del kept\n"
        "with heaptide.measure() as m:\n"
        "    tracemalloc.start()\n"
        "    kept = [bytes(1000) for _ in range(1000)]\n"
        "assert tracemalloc.get_traced_memory()[0] > 1_000_000\n"
        "kept = [bytes(1000) for _ in range(1000)]\n"
        "with heaptide.measure() as m:\n"
        "    del kept\n"
        "tracemalloc.stop()\n"
        "with heaptide.measure() as m:\n"
        "    kept = [bytes(1000) for _ in range(1000)]\n"
        "assert 1_000_000 < m.peak < 1_100_000, m\n"
    )
    run(program, tmp_path)


GUNICORN = """\
import heaptide
from flask import Flask
app = Flask(__name__)
kept = []

@app.route("/")
def index():
    kept.append(bytes(100_000))
    return "ok"
"""
SETTINGS = """\
import heaptide
workers = 2
bind = "unix:app.sock"
recorder = heaptide.record("a.tide")
def on_starting(server):
    recorder.start()
def on_exit(server):
    recorder.stop()
"""


def test_gunicorn(tmp_path: Path) -> None:
    """Begun in the master, it has the workers too, each apart."""
    pytest.importorskip("gunicorn")
    pytest.importorskip("flask")
    (tmp_path / "app.py").write_text(GUNICORN)
    (tmp_path / "settings.py").write_text(SETTINGS)
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "settings.py", "app:app"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(3000):
            if (tmp_path / "app.sock").exists():
                break
            time.sleep(0.01)
        for _ in range(40):
            _get(tmp_path / "app.sock")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    with Recording.open(tmp_path / "a.tide") as recording:
        assert recording.finished
        assert len({int(pid) for pid in recording.processes.pid}) == 3
        found = recorded(tmp_path / "a.tide").site("index")
    assert found["total_bytes"] >= 40 * 100_000


def _get(path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        for _ in range(1000):
            try:
                client.connect(os.fspath(path))
                break
            except OSError:
                time.sleep(0.01)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    assert b"200 OK" in answer


COLLECTOR_DIES = """\
import heaptide, os, signal, warnings
from heaptide.inside._measuring import measuring

def work(count):
    return [bytes(1000) for _ in range(count)]

def measure():
    with heaptide.measure() as m:
        kept = work(100)
    return m.allocations

def kill(session):
    os.kill(session._session.collector_pid(), signal.SIGKILL)
    while session.goes_on:
        pass

measure()  # the first call of a function has a frame of its own to make, up to 3.10
expected = measure()
kill(measuring._session)
assert measure() == expected

for count in (100, 300_000):
    try:
        with heaptide.measure() as m:
            kill(measuring._session)
            kept = work(count)
    except heaptide.HeaptideError as error:
        assert "nothing was measured" in str(error)
    else:
        raise AssertionError(m)
    assert measure() == expected

recorder = heaptide.record("a.tide", symbols=False).start()
kill(recorder._session)
kept = work(300_000)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    recorder.stop()
assert "killed" in str(told[0].message), told
assert measure() == expected
"""


def test_a_collector_that_is_killed(tmp_path: Path) -> None:
    """What it was to count is told to be missing; what follows has another one."""
    run(COLLECTOR_DIES, tmp_path)
