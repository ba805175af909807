"""Programs started through others: the program meant is recorded, and named."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Record
from tests.support.recorded import Recorded

from heaptide.errors import LaunchError
from heaptide.recorder import resolve
from heaptide.recorder.wrappers import is_shell_alone, name_of, program_meant

PROGRAM = """\
import sys
def shelf():
    return [None] * 100
def fill(shelf):
    for i in range(100):
        shelf[i] = b"x" * 100_000
kept = shelf()
fill(kept)
print("ran", *sys.argv[1:])
sys.exit(7)
"""

# `python` in a command is the interpreter of the tests, `program` a module beside them.
WRAPPED = {
    "env": ["env", "-u", "B", "A=1", "python", "program.py", "one"],
    "env -i": ["env", "-i", "python", "program.py", "one"],
    "nice": ["nice", "-n", "3", "python", "program.py", "one"],
    "nohup": ["nohup", "python", "program.py", "one"],
    "setsid": ["setsid", "-w", "python", "program.py", "one"],
    "stdbuf": ["stdbuf", "-oL", "python", "program.py", "one"],
    "sudo": ["sudo", "-E", "python", "program.py", "one"],
    "timeout": ["timeout", "100", "python", "program.py", "one"],
    "several": ["env", "A=1", "nice", "timeout", "-k", "1", "100", "python", "program.py", "one"],
    "module": ["env", "python", "-m", "program", "one"],
    "sh -c": ["sh", "-c", "python program.py one; exit $?"],
    "sh -c exec": ["sh", "-c", "exec python program.py one"],
    "script": ["./script.sh", "one"],
    "xargs": ["sh", "-c", "echo one | xargs python program.py; exit 7"],
    "make": ["sh", "-c", "make --silent 2>/dev/null; exit 7"],
}

NEEDED = {"several": ["env", "nice", "timeout"], "xargs": ["xargs"], "make": ["make"], "script": []}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the program, and scripts that start it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    script = tmp_path / "script.sh"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" program.py "$@"\nexit $?\n')
    script.chmod(0o755)
    (tmp_path / "Makefile").write_text(f"all:\n\t{sys.executable} program.py one\n")
    return tmp_path


def check(recorded: Recorded) -> None:
    """The program ran, and its figures are its own and exact."""
    assert (recorded.status, recorded.stdout) == (7, "ran one\n"), recorded.stderr
    (row,) = (r for r in recorded.sites("line") if (r["function"], r["line"]) == ("fill", 6))
    want = 100 * (100_000 + sys.getsizeof(b""))
    assert (row["allocations"], row["total_bytes"], row["peak_bytes"]) == (100, want, want)


@pytest.mark.parametrize("how", WRAPPED)
def test_wrapped(how: str, record: Record, place: Path) -> None:
    """Whatever starts it, and in whatever process: its own figures, and its command."""
    for tool in NEEDED.get(how, [WRAPPED[how][0]]):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    words = [re.sub(r"\bpython(?= |$)", sys.executable, word) for word in WRAPPED[how]]
    recorded = record(words, cwd=place)
    check(recorded)
    asked = ["-m", "program"] if how == "module" else ["program.py"]
    commands = [process["command"] for process in recorded.show("process")["processes"]]
    assert [sys.executable, *asked, "one"] in commands, commands


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("env A=1 B=2 prog -x", "prog -x"),
        ("/usr/bin/env -i -u A --unset=B -C /tmp -- prog", "prog"),
        ("env --unset A prog", "prog"),
        ("env -S prog", "env -S prog"),
        ("env", "env"),
        ("env A=1", "env A=1"),
        ("nice -5 prog", "prog"),
        ("nice -n5 nohup prog a", "prog a"),
        ("timeout -s INT --kill-after 3 5s prog", "prog"),
        ("timeout --foreground 5 env prog", "prog"),
        ("timeout 5", "timeout 5"),
        ("sudo -E -u root A=1 prog", "prog"),
        ("sudo -l prog", "sudo -l prog"),
        ("taskset -c 0 prog", "prog"),
        ("taskset -cp 0 12", "taskset -cp 0 12"),
        ("stdbuf -o0 -e L setsid -w prog", "prog"),
        ("prog env nice", "prog env nice"),
    ],
)
def test_program_meant(words: str, meant: str) -> None:
    """The program behind wrappers and their own words; the words as they are when in doubt."""
    assert list(program_meant(words.split())) == meant.split()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("/bin/prog.sh x.py", "prog.sh"),
        ("python3.11 -u dir/server.py a", "server"),
        ("/usr/bin/python -X dev -W ignore -Im flask run", "flask"),
        ("python -mflask", "flask"),
        ("python -c pass -m x", "python"),
        ("python3 -", "python3"),
        ("python3.13t", "python3.13t"),
        ("python -Xdev app.pyz", "app.pyz"),
        ("pythonic x.py", "pythonic"),
    ],
)
def test_name(words: str, name: str) -> None:
    """A Python goes by the name of what it runs."""
    assert name_of(words.split()) == name


def test_recording_is_named_after_the_program() -> None:
    assert resolve(["env", "A=1", sys.executable, "-m", "program"]).name == "program"
    assert resolve(["sh", "-c", "true"]).name == "sh"


def test_wrapped_program_that_cannot_be_recorded(
    compile_c: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused as it is without the wrapper. One that does not exist is the wrapper's to report."""
    static = compile_c("int main(void) { return 0; }", "-static", name="static")
    with pytest.raises(LaunchError, match="statically linked"):
        resolve(["env", "A=1", str(static)])
    monkeypatch.setenv("PATH", str(static.parent), prepend=os.pathsep)
    with pytest.raises(LaunchError, match="statically linked"):
        resolve(["nice", "timeout", "1", "static"])
    assert resolve(["env", "A=1", "./no-such-program"]).argv == ("env", "A=1", "./no-such-program")


@pytest.mark.parametrize(
    ("words", "alone"),
    [
        (["bash"], True),
        (["/bin/sh", "-i"], True),
        (["env", "A=1", "bash", "-l"], True),
        (["bash", "--norc"], True),
        (["bash", "-c", "ls"], False),
        (["sh", "start.sh"], False),
        (["sh", "-ec", "ls"], False),
        (["wish"], False),
        (["env"], False),
        ([], False),
    ],
)
def test_a_shell_by_itself_is_told_from_one_with_a_script(words: list[str], alone: bool) -> None:
    assert is_shell_alone(words) is alone


@pytest.mark.parametrize("command", [["timeout", "9"], ["env", "A=1", "timeout", "9"], ["nice"]])
def test_no_follow_leaves_out_what_a_wrapper_forks(command: list[str], record: Record) -> None:
    """Some wrappers become the program. Of those that stay beside it, a line says so."""
    recorded = record([*command, sys.executable, "-c", "pass"], "--no-follow")
    said = "timeout ran the program as a child process" in recorded.stderr
    assert recorded.status == 0, recorded.stderr
    assert said == ("timeout" in command)
    assert (recorded.summary["allocations"] < 5_000) == said
