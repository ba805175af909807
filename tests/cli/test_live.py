"""``heaptide run --live`` on a real terminal: the screen, the program below it, what is left."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heaptide.recording import Recording

from .conftest import HEAPTIDE
from .terminal import Terminal

Live = Callable[..., Terminal]

# Writes a line, then waits for a file called "go" before it writes another and ends.
WAITS = """
import os, sys, time
kept = bytes(3_000_000)
print("before", os.isatty(0), os.isatty(1), os.isatty(2), flush=True)
print("read", sys.stdin.read().encode(), flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
print("after", flush=True)
sys.exit(3)
"""


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """``live(code, redirections)``: a terminal with ``heaptide run --live -c code`` on it."""

    def live(
        code: str,
        more: str = "",
        *options: str,
        before: str = "",
        heaptide: list[str] = HEAPTIDE,
    ) -> Terminal:
        words = [*heaptide, "run", "--live", "-o", str(tmp_path / "r.tide"), *options, "-c", code]
        line = f"cd {tmp_path}; {before}exec {shlex.join(words)} {more}"
        if before:
            line = f"cd {tmp_path}; {before}{shlex.join(words)} {more}"
        environment = {**os.environ, "TERM": "xterm-256color"}
        return Terminal(["/bin/sh", "-c", line], environment, rows=24)

    return live


def shows(terminal: Terminal, text: str) -> Callable[[], bool]:
    return lambda: any(text in line for line in terminal.screen.display)


def after_screen(terminal: Terminal) -> bytes:
    """What was written once the screen was gone."""
    return terminal.seen.rpartition(b"\x1b[?1049l")[2]


def viewer_of(terminal: Terminal) -> int:
    """The viewer: the child of heaptide that runs the same command."""
    mine = Path(f"/proc/{terminal.pid}/cmdline").read_bytes()
    for pid in Path(f"/proc/{terminal.pid}/task/{terminal.pid}/children").read_text().split():
        if Path(f"/proc/{pid}/cmdline").read_bytes() == mine:
            return int(pid)
    raise AssertionError("there is no viewer")


def test_to_the_end(live: Live, tmp_path: Path) -> None:
    """Figures above, output below; at the end the screen stays until it is left. Then the output
    once more, the summary, and the program's status."""
    terminal = live(WAITS)
    terminal.until(shows(terminal, "live now, by function"))
    terminal.until(shows(terminal, "before False True True"))
    terminal.until(shows(terminal, "read b''"))
    terminal.until(lambda: any(re.match(r".* 3\.\d MB ", ln) for ln in terminal.screen.display))
    (tmp_path / "go").touch()
    terminal.until(shows(terminal, "program: exit status 3"))
    terminal.until(shows(terminal, "after"))
    terminal.until(shows(terminal, "finished"))
    terminal.type(b"q")
    assert terminal.wait() == 3
    left = after_screen(terminal)
    assert b"before False True True\r\n" in left and b"after\r\n" in left
    assert b"peak heap:" in left
    with Recording.open(tmp_path / "r.tide") as recording:
        assert recording.compacted and recording.summary.peak_bytes > 3_000_000


def test_left_early(live: Live, tmp_path: Path) -> None:
    """After q the program goes on, on the terminal."""
    terminal = live(WAITS, "", "-q")
    terminal.until(shows(terminal, "read b''"))
    terminal.type(b"q")
    terminal.until(lambda: b"read b''\r\n" in after_screen(terminal))
    (tmp_path / "go").touch()
    assert terminal.wait() == 3
    assert after_screen(terminal).endswith(b"after\r\n")


def test_interrupt(live: Live) -> None:
    """Ctrl-C in the screen is the program's."""
    terminal = live("import time\nprint('up', flush=True)\ntime.sleep(600)")
    terminal.until(shows(terminal, "up"))
    terminal.type(b"\x03")
    terminal.until(shows(terminal, "KeyboardInterrupt"))
    terminal.until(shows(terminal, "program: SIGINT"))
    terminal.type(b"\x03")  # nobody to interrupt any more: it leaves
    assert terminal.wait() == -signal.SIGINT


def test_interrupt_after_leaving(live: Live) -> None:
    """Ctrl-C on the terminal, once the screen is gone, reaches the program as well."""
    terminal = live("import time\nprint('up', flush=True)\ntime.sleep(600)", "", "-q")
    terminal.until(shows(terminal, "up"))
    terminal.type(b"q")
    terminal.until(lambda: b"up\r\n" in after_screen(terminal))
    terminal.type(b"\x03")
    assert terminal.wait() == -signal.SIGINT
    assert b"KeyboardInterrupt" in after_screen(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on(live: Live, number: int) -> None:
    terminal = live("import time\nprint('up', flush=True)\ntime.sleep(600)", "", "-q")
    terminal.until(shows(terminal, "up"))
    os.kill(terminal.pid, number)
    terminal.until(shows(terminal, "program: "))
    terminal.type(b"q")
    assert terminal.wait() == -number


def test_redirected(live: Live, tmp_path: Path) -> None:
    """What is redirected goes where it is sent, byte for byte."""
    (tmp_path / "go").touch()
    terminal = live(WAITS, "> out.txt")
    terminal.until(shows(terminal, "program: exit status 3"))
    assert not shows(terminal, "before")()
    terminal.type(b"q")
    assert terminal.wait() == 3
    assert (tmp_path / "out.txt").read_bytes() == b"before False False True\nread b''\nafter\n"


def test_input_from_a_pipe(live: Live, tmp_path: Path) -> None:
    """An input that is not the terminal is the program's."""
    (tmp_path / "go").touch()
    terminal = live(WAITS, before="printf hello | ")
    terminal.until(shows(terminal, "read b'hello'"))
    terminal.until(shows(terminal, "program: exit status 3"))
    terminal.type(b"q")
    assert terminal.wait() == 3


def test_size(live: Live, tmp_path: Path) -> None:
    """The program's terminal is as large as its pane."""
    code = (
        "import os, time\n"
        "while os.get_terminal_size(1).lines > 12: time.sleep(0.01)\n"
        "print('size', *os.get_terminal_size(1), flush=True)\n"
    )
    terminal = live(code)
    terminal.until(shows(terminal, "size 80"))
    terminal.until(shows(terminal, "program: exit status 0"))
    terminal.type(b"q")
    assert terminal.wait() == 0


def test_viewer_is_killed(live: Live, tmp_path: Path) -> None:
    """The program does not notice; its output goes on to the terminal, which is usable."""
    terminal = live(WAITS, "", "-q")
    terminal.until(shows(terminal, "read b''"))
    os.kill(viewer_of(terminal), signal.SIGKILL)
    terminal.until(lambda: b"read b''\r\n" in after_screen(terminal))
    (tmp_path / "go").touch()
    assert terminal.wait() == 3
    assert after_screen(terminal).endswith(b"after\r\n")


def test_terminal_goes(live: Live, tmp_path: Path) -> None:
    """The program gets the hang-up that it would have got without us; its status and what was
    recorded stay."""
    code = (
        "import signal, sys, time\n"
        "def hung_up(*_):\n"
        "    open('hung-up', 'w').close()\n"
        "    sys.exit(7)\n"
        "signal.signal(signal.SIGHUP, hung_up)\n"
        "kept = bytes(3_000_000)\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(0.01)\n"
    )
    terminal = live(code)
    terminal.until(shows(terminal, "up"))
    assert terminal.hang_up() == 7
    assert (tmp_path / "hung-up").exists()
    with Recording.open(tmp_path / "r.tide") as recording:
        assert recording.compacted and recording.summary.peak_bytes > 3_000_000


@pytest.mark.parametrize("stopped", [False, True])
def test_terminal_goes_after_the_end(live: Live, tmp_path: Path, stopped: bool) -> None:
    """A screen that is still looked at then goes, be it by force; the program's status stays."""
    driver = tmp_path / "driver.py"
    driver.write_text(
        "from heaptide.cli.main import main\n"
        "from heaptide.recorder import onscreen\n"
        f"onscreen._LEAVING_SECONDS = {0.0 if stopped else 1000.0}\n"
        "main()\n"
    )
    terminal = live("import sys; sys.exit(3)", heaptide=[sys.executable, str(driver)])
    terminal.until(shows(terminal, "program: exit status 3"))
    viewer = viewer_of(terminal)
    if stopped:
        os.kill(viewer, signal.SIGSTOP)
    assert terminal.hang_up() == 3
    assert not Path(f"/proc/{viewer}").exists()


def test_hang_up_by_somebody_after_the_end(live: Live) -> None:
    """The terminal is still there: it is meant for us."""
    terminal = live("import sys; sys.exit(3)")
    terminal.until(shows(terminal, "program: exit status 3"))
    os.kill(terminal.pid, signal.SIGHUP)
    assert terminal.wait() == -signal.SIGHUP


def test_slow_viewer(live: Live, tmp_path: Path) -> None:
    """A viewer that is stopped altogether does not keep the program from writing, nor from its
    end; what it missed it says."""
    code = (
        "import os, sys\n"
        "print('up', flush=True)\n"
        "while not os.path.exists('go'): pass\n"
        "for _ in range(2000): sys.stdout.write('x' * 9999 + '\\n')\n"
        "sys.stdout.flush()\n"
        "open('done', 'w').close()\n"
    )
    terminal = live(code, "", "-q")
    terminal.until(shows(terminal, "up"))
    viewer = viewer_of(terminal)
    os.kill(viewer, signal.SIGSTOP)
    (tmp_path / "go").touch()
    while not (tmp_path / "done").exists():
        os.sched_yield()
    os.kill(viewer, signal.SIGCONT)
    terminal.until(shows(terminal, "program: exit status 0"))
    terminal.type(b"q")
    assert terminal.wait(draw=False) == 0
    assert b"bytes of output before this are not repeated" in terminal.seen


def test_program_that_is_missing(tmp_path: Path) -> None:
    """Nothing is drawn for a program that does not start."""
    terminal = Terminal([*HEAPTIDE, "run", "--live", "no-such-program"])
    assert terminal.wait() == 127
    assert b"no such program" in terminal.seen and b"\x1b[?1049h" not in terminal.seen


def test_output_exists(live: Live, tmp_path: Path) -> None:
    (tmp_path / "r.tide").write_bytes(b"heaptide")
    terminal = live("pass")
    assert terminal.wait() == 125
    assert b"--force" in terminal.seen and b"\x1b[?1049h" not in terminal.seen


def test_no_terminal(tmp_path: Path) -> None:
    """One line, and the program does not run."""
    result = subprocess.run(
        [*HEAPTIDE, "run", "--live", "-o", tmp_path / "r.tide", "-c", "print('ran')"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.count(b"\n") == 1 and b"needs a terminal" in result.stderr
    assert not (tmp_path / "r.tide").exists()


def test_without_textual(tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import importlib.util\n"
        "importlib.util.find_spec = lambda name: None\n"
        "from heaptide.cli.main import main\n"
        "main()\n"
    )
    terminal = Terminal(
        [sys.executable, str(driver), "run", "--live", "-c", "print('ran')"],
        {**os.environ, "TERM": "xterm"},
    )
    assert terminal.wait() == 125
    assert b"pip install 'heaptide[live]'" in terminal.seen and b"ran" not in terminal.seen
