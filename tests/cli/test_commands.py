"""The commands as a whole: help, version, start-up, broken pipes, internal errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.recording.make import example

import heaptide
from heaptide.cli import main
from heaptide.recording import Recording

from .conftest import HEAPTIDE, Run

pytestmark = pytest.mark.interpreters


def output(*words: str) -> str:
    return subprocess.run([*HEAPTIDE, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_version() -> None:
    assert output("--version") == f"heaptide {heaptide.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["show"],
        ["symbolize"],
        ["report"],
        ["open"],
        ["diff"],
        ["top"],
        ["bench"],
        ["stats"],
        ["rules"],
    ],
)
def test_help(words: list[str]) -> None:
    """Each command has a help in 80 columns, by both names."""
    text = output(*words, "--help")
    assert text == output(*words, "-h")
    assert text.startswith("Usage: heaptide")
    assert max(map(len, text.splitlines())) <= 80


def test_no_words_at_all() -> None:
    assert output() == output("--help")


def test_public_names() -> None:
    """What ``from heaptide import *`` gives is this, and all of it is there."""
    assert heaptide.__all__ == [
        "Budget",
        "BudgetError",
        "HeapStats",
        "HeaptideError",
        "Measured",
        "Measurement",
        "Monitor",
        "Recorder",
        "Recording",
        "Stack",
        "__version__",
        "budget",
        "load_ipython_extension",
        "mark",
        "measure",
        "monitor",
        "phase",
        "record",
        "stats",
    ]
    for name in heaptide.__all__:
        assert getattr(heaptide, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        heaptide.nothing  # noqa: B018 (the lookup is the test)


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"], ["top", "--help"]])
def test_light_start(words: list[str]) -> None:
    """Commands that need no arrays, tables or debug information import none of it."""
    code = (
        "import sys\n"
        "from heaptide.cli.main import run\n"
        f"status = run({words!r})\n"
        "heavy = {'numpy', 'rich', 'symbolic', 'zstandard', 'ctypes'} & set(sys.modules)\n"
        "print(status, heavy or 'light', file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert result.stderr.splitlines()[-1] == "0 light"


def test_one_thread(run: Run, tmp_path: Path) -> None:
    """A command that reads has one thread, where NumPy would start others that wait busily; the
    program that is recorded is not told to do the same."""
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    assert run("sh", "-c", "exit ${OPENBLAS_NUM_THREADS:-0}", options=(), env=env).returncode == 0
    code = (
        "import os, sys\n"
        "from heaptide.cli.main import run\n"
        f"status = run(['show', {str(tmp_path / 'r.tide')!r}])\n"
        "print(status, 'numpy' in sys.modules, len(os.listdir('/proc/self/task')))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert shown.stdout.splitlines()[-1] == "0 True 1", shown.stderr


def test_reader_that_has_seen_enough(run: Run, tmp_path: Path) -> None:
    """``heaptide show | head -1`` ends without a word."""
    assert run("true", options=("-q",)).returncode == 0
    for unbuffered in ("", "1"):
        result = subprocess.run(
            ["sh", "-c", f"{' '.join(HEAPTIDE)} show {tmp_path}/r.tide | true"],
            capture_output=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
        assert (result.stdout, result.stderr) == (b"", b"")


def test_internal_error() -> None:
    """A defect of ours is one line too, with the place; the traceback on demand."""
    code = (
        "import heaptide.cli.main as m\n"
        "def broken(*a, **k): raise KeyError('oh')\n"
        "m.cli.main = broken\n"
        "m.main([])\n"
    )
    for wanted in (False, True):
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "HEAPTIDE_TRACEBACK": "1" if wanted else ""},
        )
        assert result.returncode == 1
        assert ("Traceback" in result.stderr) == wanted
        last = result.stderr.splitlines()[-1]
        assert last.startswith("heaptide: internal error: KeyError: 'oh' at <string>:2; ")


@pytest.mark.parametrize("words", [["show"], ["show", "--json"], ["diff"]])
def test_nobody_reads_on(tmp_path: Path, words: list[str]) -> None:
    """Ends as a program does whose reader has gone, without a word."""
    path = example().write(tmp_path / "a.tide")
    recordings = [path, path] if words == ["diff"] else [path]
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [*HEAPTIDE, *words, *recordings], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("words", [["show", "--json"], ["diff", "--json"], ["top", "--json"]])
def test_json_of_a_name_that_is_no_text(tmp_path: Path, words: list[str]) -> None:
    """It has backslashes, as all names in a recording have; nothing in it is half a character."""
    name = "\udcff\U0001f600\\udcff\x1b.tide"
    path = example().write(tmp_path / name)
    recordings = [path, path] if words[0] == "diff" else [path]
    shown = output(*words, *recordings)
    assert "\\\\xff\\ud83d\\ude00\\\\udcff\\u001b.tide" in shown
    json.dumps(json.loads(shown), ensure_ascii=False).encode()


def test_names_that_say_little(tmp_path: Path) -> None:
    """The message still has them."""
    for name, shown in (("", "''"), ("\udcff\udcfe", "\\xff\\xfe"), ("\x1b[31m", "\\x1b[31m")):
        for command in ("show", "report", "open", "symbolize", "top"):
            said = shown
            words = [*HEAPTIDE, command, name]
            result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
            assert result.returncode != 0
            assert result.stderr.count("\n") == 1
            if not name and command not in ("show", "top"):
                said = "is a directory;"  # which a path without a name is: this one
            assert f"{said} " in result.stderr, command


def test_a_full_disk_is_said_to_be_where_output_goes(tmp_path: Path) -> None:
    path = str(example().write(tmp_path / "a.tide"))
    for words in (["show", path], ["show", path, "--json"], ["diff", path, path]):
        with open("/dev/full", "w") as full:
            result = subprocess.run([*HEAPTIDE, *words], stdout=full, stderr=subprocess.PIPE)
        said = b"heaptide: standard output cannot be written: No space left on device\n"
        assert (result.returncode, result.stderr) == (1, said)


def test_a_recording_that_may_not_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so itself, the same in each command, and what to do; click would say less."""
    path = str(example().write(tmp_path / "a.tide"))
    real = os.open

    def refused(file: object, flags: int, *more: int, **named: int) -> int:
        if file == path:
            raise PermissionError(13, os.strerror(13), path)
        return real(file, flags, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refused)
    monkeypatch.setattr(os, "access", lambda *args, **named: False)
    for words in (["show", path], ["diff", path, path], ["open", path], ["symbolize", path]):
        assert main.run(words) == 1
        assert "may not be read by this user" in capsys.readouterr().err


def test_symbolize_a_damaged_recording(tmp_path: Path) -> None:
    """It says what is missing, and what it cannot read is not thrown away."""
    path = tmp_path / "\udcff\x1b[31m.tide"
    content = Path(example().write(tmp_path / "a.tide")).read_bytes()[:-60]
    path.write_bytes(content)
    for number in ("", "1"):
        path.write_bytes(content)
        result = subprocess.run(
            [*HEAPTIDE, "symbolize", path],
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        assert result.returncode == 0
        assert result.stdout.startswith(os.fsencode(f"{tmp_path}/\\xff\\x1b[31m.tide: "))
        lines = result.stderr.decode().splitlines()
        assert "at byte" in lines[0]
        assert lines[-1].endswith(f"\\xff\\x1b[31m.tide.damaged{number}")
        assert (tmp_path / f"{path.name}.damaged{number}").read_bytes() == content
    with Recording.open(path) as recording:
        assert recording.truncated_at is None


def test_symbolize_bad_input(tmp_path: Path) -> None:
    """Missing, foreign and empty recordings are one line and status 1."""
    (tmp_path / "foreign").write_bytes(b"something else" * 100)
    (tmp_path / "empty").write_bytes(b"")
    for name in ("missing", "foreign", "empty"):
        result = subprocess.run([*HEAPTIDE, "symbolize", tmp_path / name], capture_output=True)
        assert result.returncode == 1
        assert result.stderr.count(b"\n") == 1
        assert name.encode() in result.stderr
