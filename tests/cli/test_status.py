"""The status line: what it says, and that it leaves the program's terminal alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from heaptide.cli.run import Rate, status_text
from heaptide.recorder import Live
from heaptide.recorder._wire import State

from .conftest import Start
from .terminal import ROWS, Terminal

pytestmark = pytest.mark.interpreters

BOTTOM = ROWS - 1


def live(**more: object) -> Live:
    """Figures as they might be, changed as asked."""
    values = dict.fromkeys(Live.__dataclass_fields__, 0)
    values.update(live_bytes=12_300_000, peak_bytes=20_000_000, elapsed_ns=int(75e9))
    return Live(**{**values, "state": State.RECORDING, **more})  # type: ignore[arg-type]


def test_words() -> None:
    """It names live heap, peak, allocations per second and the time."""
    expected = "heaptide: live heap 12.3 MB, peak 20.0 MB, 1,234 allocations/s, 1 min 15 s"
    assert status_text(live(), 1234.4, 80) == expected


def test_words_of_other_states() -> None:
    """It says when nothing is recorded yet, or any more, and how many processes there are."""
    assert status_text(live(state=State.PAUSED), 0, 80) == "heaptide: not recording yet"
    assert "recording ended" in status_text(live(state=State.STOPPED), 0, 80)
    assert status_text(live(processes_live=3), 0, 100).endswith("3 processes")


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_fits(columns: int) -> None:
    """However narrow the terminal, it shows whole figures or is cut by the drawing."""
    assert "live heap 12.3 MB" in status_text(live(), 0, columns)


def test_rate() -> None:
    """The rate is that of the last second, whatever was before."""
    rate = Rate()
    rate.add(0.0, 0)
    assert rate.per_second == 0
    for tenth in range(1, 11):
        rate.add(tenth / 10, tenth * 1000)
    assert rate.per_second == pytest.approx(10_000)
    for tenth in range(11, 40):
        rate.add(tenth / 10, 10_000)
    assert rate.per_second == 0


ASK = "import sys; print('a' * 200); name = input('your name? '); print('hello', name)"


def test_prompt_survives(fake_heaptide: list[str], tmp_path: Path) -> None:
    """The line is in the bottom row; half lines of the program and the cursor stay as they were."""
    output = str(tmp_path / "r.tide")
    terminal = Terminal([*fake_heaptide, "run", "-o", output, "-c", ASK])
    terminal.until(lambda: "live heap 12.3 MB" in terminal.row(BOTTOM))
    assert [terminal.row(row) for row in range(4)] == ["a" * 80, "a" * 80, "a" * 40, "your name?"]
    assert (terminal.screen.cursor.y, terminal.screen.cursor.x) == (3, len("your name? "))
    terminal.type(b"Ann\n")
    terminal.until_text(b"hello Ann")
    assert terminal.row(3) == "your name? Ann"
    assert terminal.wait() == 0
    assert "live heap 12.3 MB" not in "".join(terminal.screen.display)
    assert terminal.screen.margins is None or terminal.screen.margins == (0, BOTTOM)


SCROLL = "import sys\nfor i in range(30): print('line', i)\ninput('more? ')"


def test_scrolled_terminal(fake_heaptide: list[str], tmp_path: Path) -> None:
    """With the cursor in the bottom row, the text moves up by one and nothing is lost."""
    terminal = Terminal([*fake_heaptide, "run", "-o", str(tmp_path / "r.tide"), "-c", SCROLL])
    terminal.until(lambda: "live heap" in terminal.row(BOTTOM))
    assert terminal.row(BOTTOM - 1) == "more?"
    assert terminal.row(BOTTOM - 2) == "line 29"
    assert (terminal.screen.cursor.y, terminal.screen.cursor.x) == (BOTTOM - 1, len("more? "))
    terminal.type(b"\n")
    assert terminal.wait() == 0


RAW = """
import sys, tty, time, termios
print('cooked', flush=True)
input()
before = termios.tcgetattr(0)
tty.setraw(0)
sys.stdin.read(1)
termios.tcsetattr(0, termios.TCSADRAIN, before)
"""


def test_gone_while_the_terminal_is_raw(fake_heaptide: list[str], tmp_path: Path) -> None:
    """A program that takes the keys one by one has the whole screen."""
    terminal = Terminal([*fake_heaptide, "run", "-o", str(tmp_path / "r.tide"), "-c", RAW])
    terminal.until(lambda: "live heap" in terminal.row(BOTTOM))
    terminal.type(b"\n")
    terminal.until(lambda: terminal.row(BOTTOM) == "")
    terminal.type(b"x")
    assert terminal.wait() == 0


def test_given_back_when_killed(fake_heaptide: list[str], tmp_path: Path) -> None:
    """A program that dies by a signal leaves a terminal with its whole screen."""
    terminal = Terminal([*fake_heaptide, "run", "-o", str(tmp_path / "r.tide"), "-c", "input()"])
    terminal.until(lambda: "live heap" in terminal.row(BOTTOM))
    terminal.type(b"\x03")
    assert terminal.wait() != 0
    assert terminal.screen.margins is None or terminal.screen.margins == (0, BOTTOM)
    assert b"\x1b[r" in terminal.seen


def test_a_shell_is_told_from_a_recording_that_hangs(
    fake_heaptide: list[str], tmp_path: Path
) -> None:
    """Someone who records a shell is told what ends it, before its prompt."""
    terminal = Terminal([*fake_heaptide, "run", "-o", str(tmp_path / "r.tide"), "sh"])
    terminal.until_text(b"(exit, Ctrl-D)\r\n")
    assert (
        terminal.row(0) == "heaptide: recording sh and what it starts until it exits (exit, Ctrl-D)"
    )
    assert b"$" not in terminal.seen and b"#" not in terminal.seen
    terminal.type(b"exit\n")
    assert terminal.wait() == 0


def test_nothing_in_a_pipe(start_fake: Start) -> None:
    """Without a terminal there is no line, and no escape sequence in the summary."""
    with start_fake("ready", "sleep", "1") as process:
        stdout, stderr = process.communicate()
    assert stdout == b""
    assert b"live heap" not in stderr and b"\x1b" not in stderr


def test_quiet(fake_heaptide: list[str], tmp_path: Path) -> None:
    """--quiet writes nothing to a terminal either."""
    words = [*fake_heaptide, "run", "-q", "-o", str(tmp_path / "r.tide")]
    terminal = Terminal([*words, sys.executable, "-c", "import time; time.sleep(1)"])
    assert terminal.wait() == 0
    assert terminal.seen == b""
