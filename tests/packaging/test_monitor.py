"""HEAPTIDE_MONITOR in an environment that heaptide is installed in: no edit of a program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import heaptide

pytestmark = pytest.mark.interpreters

FILE = Path(heaptide.__file__).parent.parent / "heaptide-monitor.pth"


def run(code: str, *words: str, **environment: str) -> tuple[str, str]:
    """What a program prints, and what is on stderr; it has to end well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEAPTIDE")}
    done = subprocess.run(
        [sys.executable, *words, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**kept, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


COUNT = "import threading; print(threading.active_count())"


def test_it_is_where_python_reads_it() -> None:
    assert FILE.read_text().count("\n") == 1, "Python runs it line by line"


def test_the_log_begins() -> None:
    assert run(COUNT, HEAPTIDE_MONITOR="log=1h") == ("2\n", "")
    out, error = run("import time; time.sleep(1)", HEAPTIDE_MONITOR="log=0.1")
    assert out == ""
    assert " INFO heaptide.monitor: memory of " in error.splitlines()[0]


def test_without_the_variable() -> None:
    """Nothing is loaded."""
    code = "import sys; print([name for name in sys.modules if name.startswith('heaptide')])"
    assert run(code) == ("[]\n", "")


@pytest.mark.parametrize("value", ["off", "", " "])
def test_off(value: str) -> None:
    assert run(COUNT, HEAPTIDE_MONITOR=value) == ("1\n", "")


def test_isolated() -> None:
    """``python -I`` wants nothing of its surroundings."""
    assert run(COUNT, "-I", HEAPTIDE_MONITOR="log=1h") == ("1\n", "")


@pytest.mark.parametrize("value", ["nonsense", "log=soon", "log budgets=/no/such/file", "'"])
def test_what_is_wrong_does_not_stop_the_program(value: str) -> None:
    """One line, and the program runs."""
    out, error = run("print('ran')", HEAPTIDE_MONITOR=value)
    assert out == "ran\n"
    [line] = error.splitlines()
    assert line.startswith("heaptide: HEAPTIDE_MONITOR: ")


def test_the_program_calls_it_too() -> None:
    """One log, not two."""
    code = "import heaptide; heaptide.monitor(log='2h'); " + COUNT
    assert run(code, HEAPTIDE_MONITOR="log=1h") == ("2\n", "")


def test_heaptides_own_commands() -> None:
    """They are not what is to be monitored: the program that they start is."""
    words = [sys.executable, "-m", "heaptide", "--version"]
    for command in (words, [str(Path(sys.executable).with_name("heaptide")), "--version"]):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "HEAPTIDE_MONITOR": "x"}
        )
        assert (done.returncode, done.stderr) == (0, "")
