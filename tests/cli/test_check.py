"""``heaptide check``: verdicts on recordings and commands, and their exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.recording.make import example

from .conftest import HEAPTIDE, Result

PROGRAM = """\
import sys
print("said by the program")
held = [bytes(1000) for _ in range(3000)]
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


def check(*words: Any, cwd: Path, **env: str) -> Result:
    ours = ("GITHUB_STEP_SUMMARY", "OPENBLAS_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    result: Result = subprocess.run(
        [*HEAPTIDE, "check", *words], capture_output=True, cwd=cwd, env={**clean, **env}
    )
    return result


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return Path(example().write(tmp_path / "a.tide"))


@pytest.mark.parametrize(
    ("limits", "status", "shown"),
    [
        (["peak_heap=2000"], 0, ["✓  peak heap", "2.0 kB", "0 B left"]),
        (["peak_heap=1kB"], 1, ["✗  peak heap", "1.0 kB over, 100.0 %"]),
        (["peak_heap=1KiB"], 1, ["2.0 KiB", "1.0 KiB"]),
        (["leaked=0"], 2, ["?  leaked", "not measured", "too short"]),
        (["peak_heap=1", "leaked=0", "total=1MB"], 2, ["✗  peak heap", "?  leaked", "✓"]),
    ],
)
def test_a_recording(
    recording: Path, tmp_path: Path, limits: list[str], status: int, shown: list[str]
) -> None:
    options = [word for limit in limits for word in ("--budget", limit)]
    result = check(recording, *options, cwd=tmp_path, PYTHONUTF8="1")
    assert result.returncode == status, result.stderr
    assert result.stderr == b""
    text = result.stdout.decode()
    for words in shown:
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_json(recording: Path, tmp_path: Path) -> None:
    result = check(recording, "--json", "-b", "peak_heap=1500", "-b", "leaked=0", cwd=tmp_path)
    assert result.returncode == 2
    document = json.loads(result.stdout)
    assert document["schema_version"] == 1
    assert document["passed"] is False
    assert document["recording"] == str(recording)
    peak, leaked = document["results"]
    assert peak == {
        "budget": "peak_heap",
        "words": "peak heap",
        "phase": None,
        "unit": "bytes",
        "value": 2000,
        "limit": 1500,
        "margin": -500,
        "status": "over",
        "reason": None,
    }
    assert (leaked["value"], leaked["status"]) == (None, "unknown")


def test_junit_and_the_summary_of_a_workflow(recording: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    options = ["-b", "peak_heap=1500", "-b", "leaked=0", "-b", "total=1MB", "--junit", "j.xml"]
    result = check(recording, *options, cwd=tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    assert result.returncode == 2
    [suite] = ElementTree.parse(tmp_path / "j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {"peak_heap": ["failure"], "leaked": ["error"], "total": []}
    before, *rest = summary.read_text(encoding="utf-8").splitlines()
    assert before == "before"
    assert rest[0] == "### Memory of python3 app.py"
    assert "| failed | peak heap | 2.0 kB | 1.5 kB | 500 B over, 33.3 % |" in rest
    assert any(line.startswith("| not measured | leaked |") for line in rest)


def test_budgets_of_the_project(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.heaptide.budgets]\npeak_heap = '1 MB'\n"
        "[tool.heaptide.budgets.programs.app]\npeak_heap = '1 kB'\n",
        encoding="utf-8",
    )
    assert check(recording, cwd=tmp_path).returncode == 1
    assert check(recording, "--program", "other", cwd=tmp_path).returncode == 0
    assert check(recording, "-b", "peak_heap=2kB", cwd=tmp_path).returncode == 0
    assert check(recording, "--config", "heaptide.toml", cwd=tmp_path).returncode == 2
    (tmp_path / "heaptide.toml").write_text("[budgets.programs.other]\nleaked = 0\n")
    unfit = check(recording, cwd=tmp_path)
    assert unfit.returncode == 2
    assert b"heaptide.toml has no budget for app: it has some for other" in unfit.stderr
    nothing = check(recording, "--no-config", cwd=tmp_path)
    assert nothing.returncode == 2
    assert b"there is no budget" in nothing.stderr


def test_a_command_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PROGRAM, encoding="utf-8")
    kept = check("-b", "alive=1GB", "--", "p.py", cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    assert kept.stdout.startswith(b"said by the program\n")
    over = check("-b", "peak_heap=2MB", "--json", "-o", "kept.tide", "--", "p.py", cwd=tmp_path)
    assert over.returncode == 1
    assert over.stderr == b"said by the program\n"  # JSON is alone on stdout
    [result] = json.loads(over.stdout)["results"]
    assert 3e6 < result["value"] < 30e6
    again = check(tmp_path / "kept.tide", "-b", "peak_heap=2MB", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["results"] == [result]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.tide", "p.py"]


def test_what_a_program_holds_when_it_has_started(tmp_path: Path) -> None:
    """To its mark, not beyond; and only what it has not freed by then."""
    (tmp_path / "p.py").write_text(
        "import heaptide\n"
        "bytearray(20_000_000)\n"
        "held = bytearray(5_000_000)\n"
        "heaptide.mark('ready')\n"
        "more = bytearray(50_000_000)\n"
        "heaptide.mark('started')\n"
    )
    result = check("-b", "startup=1MB", "--json", "--", "p.py", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    [startup] = json.loads(result.stdout)["results"]
    assert 5e6 < startup["value"] < 20e6
    unmarked = check("-b", "startup=1MB", "--", "-c", "pass", cwd=tmp_path)
    assert unmarked.returncode == 2
    assert b"heaptide.mark" in unmarked.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-b", "peak_heap=1GB", "--", "p.py", "3"], "p.py ended with status 3: what a run that"),
        (["-b", "peak_heap=1GB", "--", "sh", "-c", "kill -9 $$"], "sh was ended by SIGKILL"),
        (["-b", "peak_heap=1GB", "--", "nothing-like-it"], "nothing was recorded of nothing-like"),
        (["-b", "peak_heap=1GB", "a.tide", "--", "p.py"], "name a recording, or a command"),
        (["-b", "peak_heap=1GB"], "name a recording, or a command"),
        (["-b", "peak_heap=1GB", "gone.tide"], "gone.tide does not exist"),
        (["-b", "peak_heap=1GB", "p.py"], "p.py"),
        (["-b", "peak_heap=much", "--", "p.py"], "the budget peak_heap: 'much' is no limit"),
        (["--", "p.py"], "there is no budget"),
        (["-b", "peak_heap=1GB", "--", "-o", "x", "p.py"], "-o stands behind --"),
        (["-b", "peak_heap=1GB", "--", "--help"], "--help stands behind --"),
        (["-b", "peak_heap=1" + "0" * 309, "a.tide"], "is no limit"),
        (["-b", "peak_heap=1GB", "-o", "a.tide", "--", "p.py"], "a.tide exists"),
        (["-b", "peak_heap=1GB", "-o", "b.tide", "a.tide"], "-o keeps the recording of a command"),
        (["--preset", "strict", "a.tide"], "there is no preset 'strict'"),
        (["-b", "peak_heap=1GB", "--junit", "no/j.xml", "a.tide"], "no/j.xml cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_2(tmp_path: Path, words: list[str], said: str) -> None:
    example().write(tmp_path / "a.tide")
    (tmp_path / "p.py").write_text(PROGRAM, encoding="utf-8")
    result = check(*words, cwd=tmp_path)
    assert result.returncode == 2
    last = result.stderr.decode().splitlines()[-1]
    assert last.startswith("heaptide: ")
    assert said in last


def test_the_command_runs_as_it_would(tmp_path: Path) -> None:
    """Nothing that makes our own work cheaper reaches the program."""
    (tmp_path / "p.py").write_text("import os; print(os.environ.get('OPENBLAS_NUM_THREADS'))")
    result = check("-b", "peak_heap=1GB", "--", "p.py", cwd=tmp_path)
    assert result.stdout.splitlines()[0] == b"None"


def test_full_standard_output_is_2(recording: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run(
            [*HEAPTIDE, "check", recording, "-b", "peak_heap=1GB", "--junit", "j.xml"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
        )
    assert result.returncode == 2
    assert b"standard output cannot be written" in result.stderr
    assert (tmp_path / "j.xml").exists()


def test_in_a_directory_that_has_gone(recording: Path, tmp_path: Path) -> None:
    words = " ".join([*HEAPTIDE, "check", str(recording), "-b", "peak_heap=1GB"])
    script = f"mkdir gone && cd gone && rmdir ../gone && {words}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_are_for_the_program(tmp_path: Path, number: signal.Signals) -> None:
    """The program ends, and nothing is left of it."""
    (tmp_path / "p.py").write_text(
        "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [*HEAPTIDE, "check", "-b", "peak_heap=1GB", "--", "p.py"],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    with process.stdout:
        program = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(30) == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(program, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["p.py"]


@pytest.mark.parametrize("columns", ["20", "40", "60"])
def test_narrow_screens_lose_nothing(recording: Path, tmp_path: Path, columns: str) -> None:
    limits = ["-b", "peak_heap=1500", "-b", "short_lived=10%", "-b", "leaked=0"]
    result = check(recording, *limits, cwd=tmp_path, COLUMNS=columns, PYTHONUTF8="1")
    text = result.stdout.decode()
    assert max(map(len, text.splitlines())) <= int(columns)
    joined = " ".join(text.split())
    for words in ("peak heap", "2.0 kB", "1.5 kB", "500 B over", "24.2 %", "10.0 %", "too short"):
        assert words in joined
