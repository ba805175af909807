"""``heaptide top`` of real recordings: printed once, and on a real terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.recording.make import example
from tests.support.strays import kill_tree

from heaptide.cli import top
from heaptide.recorder.sessions import Running, running

from .conftest import HEAPTIDE, Result
from .terminal import Terminal

# Says when it has allocated, then waits to be told to end.
PROGRAM = """
import os, sys, threading
kept = [bytes(1000) for _ in range({blocks})]
def work():
    kept.append(bytearray(5_000_000))
    print("ready", flush=True)
    done.wait()
done = threading.Event()
thread = threading.Thread(target=work, name="worker")
thread.start()
sys.stdin.read()
done.set()
thread.join()
"""


class Recorded:
    """A program under ``heaptide run`` that has allocated 6 MB and waits."""

    def __init__(self, folder: Path, name: str = "waits.py", blocks: int = 1000) -> None:
        script = folder / name
        script.write_text(PROGRAM.format(blocks=blocks))
        self.recording = folder / f"{name}.tide"
        self.process = subprocess.Popen(
            [*HEAPTIDE, "run", "-o", self.recording, "-q", "--no-symbols", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def until_ready(self) -> Recorded:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        [self.session] = [one for one in running() if one.recording == str(self.recording)]
        return self

    def end(self) -> None:
        try:
            if self.process.poll() is None:
                self.process.communicate(timeout=120)
        finally:
            if self.process.poll() is None:
                kill_tree(self.process.pid)
                self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()


Start = Callable[..., Recorded]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Recorded] = []

    def start(*args: Any) -> Recorded:
        started.append(Recorded(tmp_path, *args))
        return started[-1].until_ready()

    yield start
    with contextlib.ExitStack() as stack:
        for one in started:
            stack.callback(one.end)


def run_top(*words: object, **more: Any) -> Result:
    command = [*HEAPTIDE, "top", *map(str, words)]
    result: Result = subprocess.run(command, capture_output=True, **more)
    return result


def until(condition: Callable[[], bool]) -> None:
    """Until what another process does has come true; the test's own timeout is the limit."""
    while not condition():
        time.sleep(0.02)


def counted(recorded: Recorded) -> bool:
    """Whether the program's allocations have reached the file."""
    found = json.loads(run_top("--json", recorded.recording).stdout)
    return bool(found["table"]["total"] >= 6_000_000)


def test_names_are_not_stored_meanwhile(start: Start) -> None:
    """symbolize would take the file away from its collector."""
    one = start()
    command = [*HEAPTIDE, "symbolize", str(one.recording)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert "is still being made" in result.stderr and result.stderr.count("\n") == 1
    one.end()
    assert one.process.returncode == 0
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_choices() -> None:
    """The command's own lists are those of the view."""
    from heaptide.profile import FOLDS
    from heaptide.views.live.rows import SHOWN

    assert tuple(SHOWN) == top.METRICS
    assert FOLDS == top.FOLDS


def test_once(start: Start) -> None:
    """A snapshot as text, by recording, by any pid of it, by name; 80 columns, no colours."""
    recorded = start()
    until(lambda: counted(recorded))
    session = recorded.session
    script = recorded.recording.with_suffix("")  # a file, but no recording
    own = (session.root, session.collector, session.launcher)
    for word in (recorded.recording, *own, "waits", script):
        result = run_top(str(word), "--once", "--by", "line")
        assert (result.returncode, result.stderr) == (0, b"")
        text = result.stdout.decode()
        assert re.search(r"^live heap\s.* [678]\.\d MB$", text, re.M)
        assert re.search(r"^ *\d+\.\d % +5\.0 MB +2 +.*waits\.py:5", text, re.M), text
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= 80
    assert session.launcher == recorded.process.pid


def test_json(start: Start) -> None:
    """The same as JSON; figures are the program's."""
    recorded = start()
    until(lambda: counted(recorded))
    found = json.loads(run_top("--json", recorded.session.root, "--by", "thread").stdout)
    assert found["phase"] == "recording"
    assert found["pid"] == recorded.session.root
    assert found["figures"]["threads"] == 2
    assert found["figures"]["live_bytes"] >= 6_000_000
    assert 5_000_000 in [row["value"] // 10**6 * 10**6 for row in found["table"]["rows"]]
    assert sum(row["value"] for row in found["table"]["rows"]) == found["table"]["total"]
    assert len(json.loads(run_top("--json", "waits", "--top", "1").stdout)["table"]["rows"]) == 1


def test_several(start: Start) -> None:
    """Without a name the list of all; with one that fits several, their pids."""
    one, two = start("one.py"), start("two.py", 5000)
    found = json.loads(run_top("--json").stdout)["recordings"]
    mine = {one["recording"]: one for one in found}
    assert mine[str(one.recording)]["pid"] == one.session.root
    assert mine[str(two.recording)]["command"][-1].endswith("two.py")
    text = run_top().stdout.decode()
    assert (
        re.search(rf"^ *{one.session.root} .*one\.py", text, re.M) or str(one.session.root) in text
    )
    assert max(map(len, text.splitlines())) <= 80
    result = run_top(".tide", "--once")
    assert result.returncode == 2
    assert b"name one by its pid" in result.stderr
    assert run_top("two.py", "--once").returncode == 0


def test_finished(start: Start) -> None:
    """A recording that is over can be looked at as well."""
    recorded = start()
    recorded.end()
    text = run_top("--once", recorded.recording).stdout.decode()
    assert "finished" in text and "alive at exit" in text


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["4194304"], 2, b"process 4194304 is not being recorded"),
        (["nothing-like-it"], 2, b"is no recording, and no program that is being recorded"),
        (["--metric", "heat"], 2, b"--metric"),
        (["/etc/passwd"], 1, b"not a heaptide recording"),
        (["/"], 1, b"is a directory"),
    ],
)
def test_errors(words: list[str], status: int, said: bytes) -> None:
    """One line each."""
    result = run_top("--once", *words)
    assert result.returncode == status
    assert said in result.stderr
    assert result.stderr.count(b"\n") == 1 and result.stdout == b""


def test_nothing_recorded(tmp_path: Path) -> None:
    """One line says so, and how to start."""
    driver = tmp_path / "driver.py"
    driver.write_text(
        "from pathlib import Path\n"
        "from heaptide.recorder import sessions\n"
        f"sessions.running.__defaults__ = (Path({str(tmp_path)!r}),)\n"
        "from heaptide.cli.main import main\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, driver, "top"], capture_output=True)
    assert result.returncode == 1
    assert result.stderr == (
        b"heaptide: nothing is being recorded on this machine by this user; "
        b"start with: heaptide run PROGRAM\n"
    )


def test_without_textual(tmp_path: Path, start: Start) -> None:
    """Where the screen's library is missing, one line says what to install."""
    recorded = start()
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import importlib.util\n"
        "importlib.util.find_spec = lambda name: None\n"
        "from heaptide.cli.main import main\n"
        "main()\n"
    )
    terminal = Terminal([sys.executable, str(driver), "top", str(recorded.recording)])
    assert terminal.wait() == 1
    assert b"pip install 'heaptide[live]'" in terminal.seen
    once = subprocess.run(
        [sys.executable, driver, "top", "--once", recorded.recording], capture_output=True
    )
    assert once.returncode == 0


def test_target_is_left_alone(start: Start) -> None:
    """Looking opens nothing for writing and stops nobody: the recording goes on to a clean end."""
    recorded = start()
    for _ in range(5):
        assert run_top("--once", recorded.recording).returncode == 0
    recorded.end()
    assert recorded.process.returncode == 0
    text = run_top("--once", recorded.recording).stdout
    assert b"finished" in text


def environment() -> dict[str, str]:
    return {**os.environ, "TERM": "xterm-256color"}


def test_on_a_terminal(start: Start) -> None:
    """The screen on a real terminal: figures, keys, and the terminal as it was at the end."""
    start()
    terminal = Terminal([*HEAPTIDE, "top", "waits"], environment(), rows=24)

    def shown(text: str) -> bool:
        return any(text in line for line in terminal.screen.display)

    terminal.until(lambda: shown("live now, by function") and shown("waits.py"))
    terminal.type(b"t")
    terminal.until(lambda: shown("live now, by thread") and shown("MainThread"))
    terminal.type(b"tm")
    terminal.until(lambda: shown("at peak, by function"))
    terminal.type(b"/waits.py\r")  # all at once: no letter of it is a key
    terminal.until(lambda: shown("search 'waits.py'"))
    terminal.type(b"q")
    assert terminal.wait() == 0
    assert terminal.seen.count(b"\x1b[?1049h") == terminal.seen.count(b"\x1b[?1049l") == 1


def test_list_on_a_terminal(start: Start, tmp_path: Path) -> None:
    """The list of all; Enter opens one, Escape goes back."""
    one, two = start("one.py"), start("two.py")
    driver = tmp_path / "driver.py"  # which sees no recordings that other tests make
    driver.write_text(
        "from heaptide.cli import main\n"
        "from heaptide.recorder import sessions\n"
        f"sessions._processes = lambda proc: {[one.session.collector, two.session.collector]}\n"
        "main.main()\n"
    )
    terminal = Terminal([sys.executable, str(driver), "top"], environment(), rows=24)

    def shown(text: str) -> bool:
        return any(text in line for line in terminal.screen.display)

    terminal.until(lambda: shown(str(one.session.root)) and shown(str(two.session.root)))
    assert shown("recordings being made on this machine")
    terminal.type(b"\r")
    terminal.until(lambda: shown("live now, by function"))
    terminal.type(b"\x1b")
    terminal.until(lambda: shown("recordings being made on this machine"))
    one.end()
    terminal.until(lambda: not shown(f" {one.session.root} "))
    terminal.type(b"q")
    assert terminal.wait() == 0


def test_terminated(start: Start) -> None:
    """SIGTERM leaves the terminal as it was, and ends as such."""
    recorded = start()
    terminal = Terminal([*HEAPTIDE, "top", str(recorded.recording)], environment(), rows=24)
    terminal.until(lambda: any("live now" in line for line in terminal.screen.display))
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == -signal.SIGTERM
    assert b"\x1b[?1049l" in terminal.seen


def test_terminated_while_it_starts(tmp_path: Path) -> None:
    """Where an exception would be ignored, as it is when Python imports."""
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import os, signal, weakref\n"
        "from heaptide.cli import main, top\n"
        "class Thing: pass\n"
        "def running():\n"
        "    thing = Thing()\n"
        "    ref = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))\n"
        "    del thing\n"
        "    return []\n"
        "top._running = running\n"
        "main.main()\n"
    )
    path = example().write(tmp_path / "a.tide")
    terminal = Terminal([sys.executable, str(driver), "top", str(path)], environment())
    assert terminal.wait() == -signal.SIGTERM


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_tmux(start: Start, tmp_path: Path) -> None:
    """In a terminal that others have made: figures, a smaller window, the end. That a shell has
    exported the size it had at first says nothing."""
    recorded = start()
    socket = tmp_path / "tmux"

    def tmux(*words: str) -> str:
        result = subprocess.run(["tmux", "-S", socket, *words], capture_output=True, text=True)
        return result.stdout

    command = " ".join(["COLUMNS=80", "LINES=24", *HEAPTIDE, "top", "waits"])
    tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", f"{command}; sleep 99")
    try:
        until(lambda: "live now, by function" in tmux("capture-pane", "-p"))
        assert "waits.py" in tmux("capture-pane", "-p")
        tmux("resize-window", "-x", "60", "-y", "12")
        until(lambda: len(tmux("capture-pane", "-p").splitlines()) == 12)
        until(lambda: "share" in tmux("capture-pane", "-p"))
        tmux("send-keys", "p")
        until(lambda: f"{recorded.session.root}" in tmux("capture-pane", "-p").split("bytes")[-1])
        tmux("send-keys", "q")
        until(lambda: "live now" not in tmux("capture-pane", "-p"))
    finally:
        tmux("kill-server")


def test_a_directory_is_no_part_of_a_name(tmp_path: Path) -> None:
    """Though every command has a slash in it."""
    recording = str(tmp_path / "a.tide")
    live = Running(1, 2, 3, recording, False, ("/usr/bin/python3", "app.py"), None)  # type: ignore[arg-type]
    assert top.find("/", [live]) == ("/", None)
    assert top.find("app.py", [live]) == (recording, live)
