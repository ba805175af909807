"""Signals reach the program as they would without us, and its death by one is ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import HEAPTIDE, Run
from .terminal import Terminal

pytestmark = pytest.mark.interpreters

# Prints each signal it gets; ends at SIGTERM.
REPORTER = """
import os, signal, sys, time
def got(number, frame):  # not by print, within which the next one may come
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    if number == signal.SIGTERM:
        sys.exit(9)
for one in sys.argv[1:]:
    signal.signal(getattr(signal, one), got)
print('ready', flush=True)
while True:
    time.sleep(0.01)
"""


def start(tmp_path: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*HEAPTIDE, "run", "-q", "--no-symbols", "-o", tmp_path / "r.tide", *words],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def test_signals_to_us_are_passed_on(tmp_path: Path) -> None:
    """What is sent to heaptide alone reaches the program, once each."""
    names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM", "SIGTERM"]
    with start(tmp_path, "-c", REPORTER, *names) as process:
        assert line(process) == "ready"
        for name in names:
            process.send_signal(getattr(signal, name))
            assert line(process) == name
        assert line(process) == ""
    assert process.returncode == 9
    assert (tmp_path / "r.tide").exists()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGTERM", "SIGINT", "SIGRTMIN"])
def test_death_by_signal(run: Run, name: str, tmp_path: Path) -> None:
    """A program that dies by a signal makes heaptide die by the same, with a whole recording."""
    number = int(getattr(signal, name))
    result = run("sh", "-c", f"kill -{number} $$")
    assert result.returncode == -number
    assert (tmp_path / "r.tide").stat().st_size > 0


def test_no_core_of_ours(run: Run, tmp_path: Path) -> None:
    """Only the program may leave a core."""
    folder = tmp_path / "here"
    folder.mkdir()
    result = run("sh", "-c", "ulimit -c 0; kill -SEGV $$", cwd=folder)
    assert result.returncode == -signal.SIGSEGV
    assert list(folder.iterdir()) == []


def test_interrupt_key_reaches_the_program_once(tmp_path: Path) -> None:
    """Ctrl-C is the program's: it gets one SIGINT, and heaptide goes on."""
    program = REPORTER.replace("'ready'", "'rea' + 'dy'")
    terminal = Terminal(
        [*HEAPTIDE, "run", "-q", "-o", str(tmp_path / "r.tide"), "-c", program, "SIGINT", "SIGTERM"]
    )
    terminal.until_text(b"ready")
    terminal.type(b"\x03")
    terminal.until_text(b"SIGINT")
    # Had a second SIGINT been passed on, it would come before the SIGTERM that is sent now.
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.until_text(b"SIGTERM")
    assert terminal.seen.count(b"SIGINT") == 1
    assert terminal.wait() == 9


def test_interrupt_key_ends_an_ordinary_program(tmp_path: Path) -> None:
    """Ctrl-C ends program and heaptide by SIGINT, and the recording is whole."""
    words = [*HEAPTIDE, "run", "-q", "-o", str(tmp_path / "r.tide")]
    terminal = Terminal([*words, "sh", "-c", "echo rea''dy; exec sleep 600"])
    terminal.until_text(b"ready")
    terminal.type(b"\x03")
    assert terminal.wait() == -signal.SIGINT
    assert (tmp_path / "r.tide").stat().st_size > 0


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def state_of(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0]


def test_stop_and_continue(tmp_path: Path) -> None:
    """Stopped by job control, program and heaptide stop together and go on together."""
    # A shell in between: a session leader's own group is orphaned, where stops do nothing.
    script = tmp_path / "job.py"
    script.write_text(
        "import os, signal, subprocess, sys\n"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, setpgroup=0)\n"
        "print('pid', pid, flush=True)\n"
        "_, status = os.waitpid(pid, os.WUNTRACED)\n"
        "print('stopped', os.WIFSTOPPED(status), flush=True)\n"
        "sys.stdin.readline()\n"
        "os.killpg(pid, signal.SIGCONT)\n"
        "_, status = os.waitpid(pid, 0)\n"
        "print('status', os.waitstatus_to_exitcode(status), flush=True)\n"
    )
    words = [*HEAPTIDE, "run", "-q", "-o", str(tmp_path / "r.tide"), "-c", REPORTER, "SIGTERM"]
    with subprocess.Popen(
        [sys.executable, script, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        pid = int(line(process).split()[1])
        assert line(process) == "ready"
        os.kill(pid, signal.SIGTSTP)
        assert line(process) == "stopped True"
        (child,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[-1:])
        assert state_of(child) == "T"
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_until(lambda: state_of(child) != "T" and state_of(pid) != "T")
        os.kill(pid, signal.SIGTERM)
        assert line(process) == "SIGTERM"
        assert line(process) == "status 9"


# Runs the program of its arguments as `heaptide run` does on a terminal: with a tick every 10 ms.
TICKING = """
import os, sys
from pathlib import Path
from heaptide.recorder.child import Child
from heaptide.recorder.target import Target
child = Child(Target(path=sys.argv[1], argv=tuple(sys.argv[1:]), name="program"), dict(os.environ))
child.start()
print(child.wait(lambda: None, 0.01, lambda pid, how: None), flush=True)
"""


@pytest.mark.timeout(60)
def test_stopped_and_continued(tmp_path: Path) -> None:
    """A stop of ours longer than we wait for signals makes none up for the program."""
    names = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGALRM"]
    program = [sys.executable, "-c", REPORTER, *names, "SIGTERM"]
    with subprocess.Popen(
        [sys.executable, "-c", TICKING, *program], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGUSR1)
        assert line(process) == "SIGUSR1"
        for _ in range(10):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.03)
        process.send_signal(signal.SIGTERM)
        assert line(process) == "SIGTERM"
        assert line(process) == "exit status 9"
    assert process.returncode == 0
