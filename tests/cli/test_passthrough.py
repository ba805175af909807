"""A program under ``heaptide run`` gets and gives what it would without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import HEAPTIDE, Run

pytestmark = pytest.mark.interpreters

SHOW_ARGS = "import sys, json; print(json.dumps(sys.argv))"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "show_args.py"
    path.write_text(SHOW_ARGS)
    return path


def plain(*words: Any, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The same without heaptide."""
    result: subprocess.CompletedProcess[bytes]
    result = subprocess.run(words, capture_output=True, **more)
    return result


ARGUMENTS = [
    [],
    ["-q", "--output", "x", "-o", "-m", "-c", "--help"],
    ["--", "-f", "--", "-"],
    ["", " ", "ä", "a\nb", "$HOME", "*"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_script_arguments(run: Run, script: Path, arguments: list[str]) -> None:
    """Everything behind the script is the script's, options of ours included."""
    expected = plain(sys.executable, script, *arguments)
    result = run(script, *arguments)
    assert (result.stdout, result.stderr) == (expected.stdout, expected.stderr)
    assert result.returncode == 0


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_code_arguments(run: Run, arguments: list[str]) -> None:
    """``-c`` ends our options, as it ends Python's."""
    expected = plain(sys.executable, "-c", SHOW_ARGS, *arguments)
    assert run("-c", SHOW_ARGS, *arguments).stdout == expected.stdout


def test_module(run: Run, script: Path) -> None:
    """``-m`` runs a module with its arguments, from the current directory as Python would."""
    arguments = ["-q", "-m", "x"]
    where = script.parent
    expected = plain(sys.executable, "-m", script.stem, *arguments, cwd=where)
    assert run("-m", script.stem, *arguments, cwd=where).stdout == expected.stdout
    assert run("-m" + script.stem, *arguments, cwd=where).stdout == expected.stdout


def test_program_from_the_path(run: Run) -> None:
    """A bare name is looked up in PATH, and told the name it was called by."""
    assert run("sh", "-c", "echo $0 $1", "a", "b").stdout == b"a b\n"
    assert run("sh", "-c", "cat /proc/$$/cmdline").stdout.split(b"\0")[0] == b"sh"


def test_script_with_a_hash_bang(run: Run, tmp_path: Path) -> None:
    """An executable script is run by the interpreter it names."""
    path = tmp_path / "tool"
    path.write_text('#!/bin/sh\necho "$@"\n')
    path.chmod(0o755)
    assert run(path, "1", "2 3").stdout == b"1 2 3\n"


def test_script_without_a_hash_bang(run: Run, tmp_path: Path) -> None:
    """An executable text file is run by sh, as any shell would run it."""
    path = tmp_path / "tool"
    path.write_text('echo "$@"\n')
    path.chmod(0o755)
    assert run(path, "1", "2 3").stdout == b"1 2 3\n"


def test_directory_with_main(run: Run, tmp_path: Path) -> None:
    """A directory with a ``__main__.py`` is run as Python runs it."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "__main__.py").write_text(SHOW_ARGS)
    assert run(folder, "x").stdout == plain(sys.executable, folder, "x").stdout


def test_stdin_and_stdout_bytes(run: Run) -> None:
    """Input and output pass byte for byte."""
    data = bytes(range(256)) * 4096
    result = run("cat", input=data)
    assert result.stdout == data
    assert result.stderr == b""


def test_stderr_is_the_programs(run: Run) -> None:
    """With --quiet, stderr too is what the program wrote."""
    assert run("sh", "-c", "printf oops >&2").stderr == b"oops"


@pytest.mark.parametrize("status", [0, 1, 2, 77, 125, 255])
def test_exit_status(run: Run, status: int) -> None:
    """The program's exit status is ours."""
    assert run("sh", "-c", f"exit {status}").returncode == status
    assert run("-c", f"import os; os._exit({status})").returncode == status


def test_python_exception(run: Run) -> None:
    """An uncaught exception prints the traceback that it prints without us."""
    expected = plain(sys.executable, "-c", "1/0")
    result = run("-c", "1/0")
    assert (result.returncode, result.stderr) == (1, expected.stderr)


def test_inherited_descriptors(run: Run) -> None:
    """The program has the descriptors it would have, and not one more."""
    listing = "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd')))"
    reading, writing = os.pipe()
    try:
        expected = plain(sys.executable, "-c", listing, pass_fds=[writing])
        assert run("-c", listing, pass_fds=[writing]).stdout == expected.stdout
    finally:
        os.close(reading)
        os.close(writing)


def test_pipe_closes_with_the_program(tmp_path: Path) -> None:
    """A reader of the program's stdout sees it closed when the program closes it."""
    with subprocess.Popen(
        [
            *HEAPTIDE,
            "run",
            "-q",
            "-o",
            tmp_path / "r.tide",
            "sh",
            "-c",
            "echo x; exec >&-; exec sleep 60",
        ],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"x\n"
        assert process.stdout.read() == b""
        assert process.poll() is None
        process.terminate()
    assert process.returncode == -signal.SIGTERM


def test_pipe_that_the_program_does_not_read(tmp_path: Path) -> None:
    """A writer to the program's stdin gets its error when the program closes it."""
    words = ["sh", "-c", "exec <&-; echo x; exec sleep 60"]
    with subprocess.Popen(
        [*HEAPTIDE, "run", "-q", "-o", tmp_path / "r.tide", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"x\n"
        # heaptide lets go of its own a moment after the program has begun.
        end = time.monotonic() + 30
        with pytest.raises(BrokenPipeError):
            while time.monotonic() < end:
                os.write(process.stdin.fileno(), b"x")
                time.sleep(0.01)
        process.terminate()


STATE = """
import os, signal
status = open('/proc/self/status').read()
print([line for line in status.splitlines() if line[:3] in ('Sig', 'Shd') and 'Q' not in line])
print(os.getpgrp() == os.getpgid(os.getppid()), os.getsid(0) == os.getsid(os.getppid()))
print(os.getcwd(), os.umask(0))
"""


def test_signal_state_and_surroundings(run: Run) -> None:
    """Blocked and ignored signals, process group, session, directory and umask are as plain."""
    expected = plain(sys.executable, "-c", STATE)
    assert run("-c", STATE).stdout == expected.stdout


def test_environment(run: Run) -> None:
    """The program's environment is as plain: nothing of the recorder shows."""
    listing = "import os; print(sorted(os.environ.items()))"
    expected = plain(sys.executable, "-c", listing)
    assert run("-c", listing).stdout == expected.stdout


def test_closed_standard_streams(tmp_path: Path) -> None:
    """A program with closed stdin and stderr is recorded all the same."""
    command = " ".join([*HEAPTIDE, "run", "-o", str(tmp_path / "r.tide"), "sh", "-c", "'exit 5'"])
    result = plain("sh", "-c", f"{command} <&- 2>&-; exit $?")
    assert result.returncode == 5
    assert (tmp_path / "r.tide").stat().st_size > 0
