"""``heaptide bench``: differences that are there are found, others are not."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.building import Builder
from tests.support.refusals import refused

from heaptide.bench import FIGURES
from heaptide.cli.bench import FIGURES as OFFERED

from .conftest import HEAPTIDE, Result

MEMORY = [name for name in FIGURES if name not in ("wall", "cpu")]
COUNTED = [name for name in MEMORY if name != "peak_rss"]
PROGRAM = """\
import sys
print("said by the program")
held = [bytes(1000) for _ in range(int(sys.argv[1]))]
"""


def bench(*words: Any, cwd: Path, **env: str) -> Result:
    ours = ("GITHUB_STEP_SUMMARY", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    result: Result = subprocess.run(
        [*HEAPTIDE, "bench", *words],
        capture_output=True,
        cwd=cwd,
        env={**clean, "TMPDIR": str(cwd), **env},
    )
    return result


def told(result: Result) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document, and its figures by name."""
    document = json.loads(result.stdout)
    return document, {figure["name"]: figure for figure in document["figures"]}


def verdicts(result: Result) -> dict[str, str]:
    return {name: figure["verdict"] for name, figure in told(result)[1].items()}


def test_the_figures_that_options_offer() -> None:
    assert list(OFFERED) == list(FIGURES)


def test_ten_percent_more_is_found(build: Builder, tmp_path: Path) -> None:
    """In all that grew with it, and exactly where all runs agree."""
    program = build("keeps.c")
    words = ("--base", f"{program} 30000", "--json", "--", program, "33000")
    result = bench(*words, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    document, figures = told(result)
    assert (document["schema_version"], document["status"]) == (1, "regression")
    assert document["base"]["command"] == [str(program), "30000"]
    assert document["base"]["paired"] is True
    assert (document["runs"], document["warmup"], document["hash_seed"]) == (7, 1, "0")
    grown = {name for name in MEMORY if figures[name]["verdict"] == "grew"}
    assert grown == {"peak_heap", "total", "allocations", "alive", "peak_rss"}
    for name in COUNTED:
        assert figures[name]["base"]["same"] == figures[name]["new"]["same"] == 7
    assert figures["allocations"]["difference"] == 3000
    assert figures["peak_heap"]["difference"] == 3000 * 1008
    assert figures["peak_heap"]["relative"] == pytest.approx(0.1, rel=0.01)
    assert figures["peak_rss"]["relative"] == pytest.approx(0.1, abs=0.05)
    assert {name for name in figures if not figures[name]["judged"]} == {"copied", "wall", "cpu"}
    assert list(tmp_path.iterdir()) == []


def test_less_is_no_regression(build: Builder, tmp_path: Path) -> None:
    program = build("keeps.c")
    words = ("--base", f"{program} 11000", "--json", "--metric", "peak_heap", "--", program, "9900")
    result = bench(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert verdicts(result) == {"peak_heap": "shrank"}


@pytest.mark.parametrize(("runs", "relative", "status"), [(3, "5%", 0), (3, "0.03", 1)])
def test_the_part_that_counts(
    build: Builder, tmp_path: Path, runs: int, relative: str, status: int
) -> None:
    program = build("keeps.c")
    words = ["--base", f"{program} 10000", "--runs", str(runs), "--relative", relative]
    words += ["--metric", "peak_heap", "--", str(program), "10400"]
    assert bench(*words, cwd=tmp_path).returncode == status


@pytest.mark.parametrize("attempt", range(3))
def test_the_same_twice_is_not_accused(build: Builder, tmp_path: Path, attempt: int) -> None:
    program = build("keeps.c")
    words = ("--base", f"{program} 2000", "--json", "--", program, "2000")
    result = bench(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    found = verdicts(result)
    assert {found[name] for name in COUNTED} == {"same"}


def test_python_twice_is_the_same(tmp_path: Path) -> None:
    """Its hash seed is fixed, so that its counts repeat exactly, and those of its base too."""
    (tmp_path / "p.py").write_text("import json\nheld = {str(i): [i] for i in range(20000)}\n")
    words = ("--base", "p.py", "--runs", "5", "--json", "--", "p.py")
    result = bench(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    _, figures = told(result)
    allocations = figures["allocations"]
    assert allocations["base"]["same"] == allocations["new"]["same"] == 5
    assert allocations["verdict"] == "same"
    assert allocations["new"]["median"] > 20_000


def test_noise_in_the_resident_size_is_no_regression(tmp_path: Path) -> None:
    """It varies by half from run to run, for both; here a run's number says by how much."""
    program = tmp_path / "p.py"
    program.write_text(
        "import os, sys\n"
        "name = sys.argv[1]\n"
        "number = os.path.getsize(name) if os.path.exists(name) else 0\n"
        "open(name, 'a').write('x')\n"
        "held = b'1' * (int(sys.argv[2]) + (number * 7 % 5) * 10_000_000)\n"
    )
    words = ["--metric", "peak_rss", "--json", "--base", "p.py base 20000000"]
    result = bench(*words, "--", "p.py", "new", "27000000", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    [figure] = told(result)[1].values()
    assert figure["verdict"] == "noise"
    assert figure["relative"] > 0.05
    much = bench(*words, "--", "p.py", "other", "190000000", cwd=tmp_path)
    assert much.returncode == 1


def test_text(build: Builder, tmp_path: Path) -> None:
    program = build("keeps.c")
    words = ("--base", f"{program} 10000", "--runs", "3", "--", program, "12000")
    result = bench(*words, cwd=tmp_path, PYTHONUTF8="1")
    assert result.returncode == 1
    assert result.stderr == b""
    lines = result.stdout.decode().splitlines()
    assert max(map(len, lines)) <= 80
    [allocations] = [line.split() for line in lines if line.startswith("allocations")]
    assert allocations == [
        "allocations",
        "10,002",
        "12,002",
        "+2,000",
        "+20.0",
        "%",
        "exact",
        "grew",
    ]
    assert any("the same in 3 of 3 runs of each" in line for line in lines)
    for width in ("20", "40", "60"):
        narrow = bench(
            "--metric", "allocations", *words, cwd=tmp_path, PYTHONUTF8="1", COLUMNS=width
        ).stdout.decode()
        assert max(map(len, narrow.splitlines())) <= int(width)
        joined = " ".join(narrow.split())
        for word in ("10,002", "12,002", "+2,000", "+20.0 %", "exact", "grew"):
            assert word in joined


def test_without_a_base(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PROGRAM)
    result = bench("--runs", "3", "--json", "--", "p.py", "3000", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    document, figures = told(result)
    assert document["base"] is None
    assert figures["peak_heap"]["new"]["median"] > 3e6
    assert {figure["verdict"] for figure in figures.values()} == {None}
    text = bench("--runs", "3", "--", "p.py", "3000", cwd=tmp_path).stdout.decode()
    assert "regression" not in text and "said by" not in text


def test_output_of_the_program(tmp_path: Path) -> None:
    """Not shown, unless asked for; beside JSON on standard error."""
    (tmp_path / "p.py").write_text(PROGRAM)
    words = ["--runs", "3", "--warmup", "0", "--metric", "peak_rss", "--show-output"]
    shown = bench(*words, "--", "p.py", "1", cwd=tmp_path)
    assert shown.stdout.count(b"said by the program\n") == 3
    beside = bench(*words, "--json", "--", "p.py", "1", cwd=tmp_path)
    assert beside.stderr.count(b"said by the program\n") == 3
    assert told(beside)[0]["status"] == "ok"


def test_only_what_was_asked_for_is_run(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("open('log', 'a').write('x')\n")
    for words, runs in (
        (["--metric", "total"], 3),
        (["--no-recording"], 3),
        (["--metric", "cpu", "--metric", "total"], 6),
    ):
        (tmp_path / "log").write_text("")
        assert bench("--warmup", "0", "--runs", "3", *words, "--", "p.py", cwd=tmp_path).stdout
        assert len((tmp_path / "log").read_text()) == runs


def test_saved_and_compared(build: Builder, tmp_path: Path) -> None:
    program = build("keeps.c")
    words = ["--runs", "3", "--json", "--metric", "peak_heap", "--metric", "allocations"]
    first = bench(*words, "--save", "base.json", "--", program, "10000", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert json.loads((tmp_path / "base.json").read_text()) == json.loads(first.stdout)
    words += ["--compare", "base.json"]
    assert bench(*words, "--", program, "10000", cwd=tmp_path).returncode == 0
    grown = bench(*words, "--", program, "11000", cwd=tmp_path)
    assert grown.returncode == 1
    document, figures = told(grown)
    assert document["base"] == {
        "command": [str(program), "10000"],
        "commit": None,
        "file": "base.json",
        "paired": False,
        "differs": [],
    }
    assert figures["allocations"]["difference"] == 1000
    unpaired = bench(*words[:2], *words[3:], "--", program, "11000", cwd=tmp_path)
    assert b"not run in turn" in unpaired.stdout


def test_budgets_on_medians(build: Builder, tmp_path: Path) -> None:
    program = build("keeps.c")
    words = ["--runs", "3", "--json", "--metric", "peak_heap"]
    kept = bench(*words, "-b", "peak_heap=11MB", "--", program, "10000", cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    over = bench(*words, "-b", "peak_heap=10MB", "--", program, "10000", cwd=tmp_path)
    assert over.returncode == 1
    [result] = told(over)[0]["budgets"]
    assert (result["budget"], result["status"], result["limit"]) == ("peak_heap", "over", 10e6)


def test_markdown_and_the_summary_of_a_workflow(build: Builder, tmp_path: Path) -> None:
    program = build("keeps.c")
    (tmp_path / "summary.md").write_text("before\n")
    words = ["--runs", "3", "--metric", "allocations", "--base", f"{program} 1000"]
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    result = bench(*words, "--markdown", "--", program, "1100", cwd=tmp_path, **env)
    assert result.returncode == 1, result.stderr
    text = result.stdout.decode()
    assert "| allocations | 1,002 | 1,102 | +100 | +10.0 % | exact | grew |" in text.splitlines()
    assert (tmp_path / "summary.md").read_text() == "before\n" + text
    words += ["--markdown", "out.md"]
    shown = bench(*words, "--", program, "1100", cwd=tmp_path).stdout.decode()
    assert (tmp_path / "out.md").read_text() == text
    assert shown != text


def test_recordings_are_kept(build: Builder, tmp_path: Path) -> None:
    program = build("keeps.c")
    words = ["--runs", "3", "--metric", "total", "-o", "a/kept", "--base", f"{program} 100"]
    result = bench(*words, "--", program, "200", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    last = result.stdout.decode().splitlines()[-1]
    assert last == "heaptide diff a/kept/base.tide a/kept/new.tide"
    shown = subprocess.run([*HEAPTIDE, *last.split()[1:]], cwd=tmp_path, capture_output=True)
    assert shown.returncode == 0
    again = bench(*words, "--", program, "200", cwd=tmp_path)
    refused(again, 2, "a/kept/base.tide exists")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_revision_as_the_base(tmp_path: Path) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    project = tmp_path / "project"
    project.mkdir()
    (project / "p.py").write_text("held = [object() for _ in [None] * 20000]\n")
    for step in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "one")):
        subprocess.run(["git", *identity, *step], cwd=project, check=True)
    words = ["--base-rev", "HEAD", "--runs", "3", "--json", "--metric", "allocations"]
    same = bench(*words, "--", "p.py", cwd=project)
    assert same.returncode == 0, same.stderr
    (project / "p.py").write_text("held = [object() for _ in [None] * 40000]\n")
    grown = bench(*words, "--setup", "touch was-here", "--", "p.py", cwd=project)
    assert grown.returncode == 1, grown.stderr
    document, figures = told(grown)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert document["base"]["commit"] == head
    assert figures["allocations"]["difference"] == pytest.approx(20_000, rel=0.01)
    assert {path.name for path in project.iterdir()} == {".git", "p.py", "was-here"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--", "sh", "-c", "echo why >&2; exit 3"], "new: sh ended with status 3"),
        (["--", "sh", "-c", "kill -9 $$"], "new: sh was ended by SIGKILL"),
        (["--base", "sh -c 'exit 3'", "--", "true"], "base: sh ended with status 3"),
        (["--", "nothing-like-it"], "new: nothing-like-it: no such program"),
        (["--base", "./gone", "--", "true"], "base: gone: no such program"),
        (["--", "gone.py"], "new: gone.py: no such script"),
        (["--", "-m"], "-m needs the name of a module"),
        (["--", "-q", "true"], "new: -q: no such program"),
        (["--"], "name the command behind --"),
        (["--", ""], "name the command behind --"),
        ([], "name the command behind --"),
        (["true"], "true: the command stands behind --"),
        (["--base", "'", "--", "true"], "cannot be read as a shell does"),
        (["--base", " ", "--", "true"], "--base needs a command"),
        (["--base", "true", "--base-rev", "HEAD", "--", "true"], "exclude each other"),
        (["--json", "--markdown", "--", "true"], "exclude each other"),
        (["--no-recording", "-o", "x", "--", "true"], "exclude each other"),
        (["--setup", "make", "--", "true"], "--setup is for the trees of --base-rev"),
        (["--base-rev", "HEAD", "--", "true"], "--base-rev: git: "),
        (["--compare", "gone.json", "--", "true"], "gone.json cannot be read"),
        (["--relative", "7", "--", "true"], "--relative '7'"),
        (["--mads", "nan", "--", "true"], "--mads nan"),
        (["--runs", "2", "--", "true"], "--runs"),
        (["--metric", "speed", "--", "true"], "'speed' is not one of"),
        (["--no-recording", "--metric", "total", "--", "true"], "only a recording tells"),
        (["-b", "idle_rss=1MB", "--", "true"], "heaptide check does"),
        (["--env", "=1", "--", "true"], "say NAME=VALUE"),
        (["--save", "no/a.json", "--", "true"], "no/a.json cannot be written"),
        (["--markdown", "no/a.md", "--", "true"], "no/a.md cannot be written"),
        (["-o", "file/x", "--", "true"], "file/x cannot be created"),
        (["--sample", "1MB", "--metric", "temporary", "--", "true"], "was not measured"),
    ],
)
def test_what_cannot_be_measured_is_2(tmp_path: Path, words: list[str], said: str) -> None:
    """One line says why, and nothing is left."""
    (tmp_path / "file").write_text("")
    refused(bench(*words, cwd=tmp_path), 2, said)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_status_may_be_ignored(tmp_path: Path) -> None:
    words = ("--ignore-status", "--runs", "3", "--", "sh", "-c", "exit 3")
    assert bench(*words, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(tmp_path: Path, number: signal.Signals, recorded: bool) -> None:
    """The program ends, and nothing is left of it, nor of what was temporary."""
    (tmp_path / "p.py").write_text(
        "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(1000)\n"
    )
    words = ["--warmup", "0", "--show-output", "--metric", "total" if recorded else "wall"]
    process = subprocess.Popen(
        [*HEAPTIDE, "bench", *words, "--", "p.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    program = int(process.stdout.readline())
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == -(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
    assert b"heaptide" not in errors
    while Path(f"/proc/{program}").exists():  # what has been killed takes its time to go
        time.sleep(0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["p.py"]


def test_nobody_reads_on(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [*HEAPTIDE, "bench", "--runs", "3", "--no-recording", "--", "true"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, b"")


def test_full_standard_output_is_2(tmp_path: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run(
            [*HEAPTIDE, "bench", "--runs", "3", "--no-recording", "--save", "a.json", "--", "true"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
        )
    assert result.returncode == 2
    assert b"standard output cannot be written" in result.stderr
    assert (tmp_path / "a.json").exists()


def shell(script: str, cwd: Path) -> Result:
    """``$BENCH`` in it measures a program that holds something, three times."""
    words = [*HEAPTIDE, "bench", "--runs", "3", "--warmup", "0"]
    code = "held = bytes(1000)"
    told = f'bench() {{ {shlex.join(words)} "$@" -- -c "{code}"; }}; {script}'
    result: Result = subprocess.run(["sh", "-c", told], cwd=cwd, capture_output=True)
    return result


@pytest.mark.parametrize(
    "script",
    [
        "mkdir gone && cd gone && rmdir ../gone && bench",
        "bench --save a.json >&-",
        "bench <&-",
        "bench 2>&-",
        "trap '' CHLD; bench",
    ],
)
def test_strange_places_to_start_from(tmp_path: Path, script: str) -> None:
    done = shell(script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_nowhere_to_show_it(tmp_path: Path) -> None:
    refused(shell("bench >&-", tmp_path), 2, "standard output is closed")


def test_without_setsid(tmp_path: Path) -> None:
    """The resident size is not measured; that is an error only where it was asked for."""
    (tmp_path / "p.py").write_text(PROGRAM)
    words = ["--runs", "3", "--json", "--no-recording"]
    some = bench(*words, "--", "p.py", "1", cwd=tmp_path, PATH="/nowhere")
    assert some.returncode == 0, some.stderr
    _, figures = told(some)
    assert figures["peak_rss"]["new"] is None and "setsid" in figures["peak_rss"]["reason"]
    assert figures["wall"]["new"]["count"] == 3
    asked = bench("--runs", "3", "--metric", "peak_rss", "--", "p.py", "1", cwd=tmp_path, PATH="/")
    assert asked.returncode == 2
    assert b"setsid" in asked.stdout


def test_names_that_are_no_text(build: Builder, tmp_path: Path) -> None:
    """The program, in all that is written of it."""
    name = os.fsdecode(b"./k\xff|`")
    shutil.copy(build("keeps.c"), tmp_path / name)
    words = ["--runs", "3", "--metric", "total"]
    first = bench(*words, "--save", "a.json", "--markdown", "a.md", "--", name, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    again = bench(*words, "--compare", "a.json", "--json", "--", name, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    document, figures = told(again)
    assert figures["total"]["verdict"] == "same"
    assert document["base"]["command"] == document["command"]


def test_the_environment_of_the_command(tmp_path: Path) -> None:
    """Its own, with the hash seed and what --env says; nothing that makes our work cheaper."""
    code = "import os; print(*map(os.environ.get, ('PYTHONHASHSEED', 'A', 'OPENBLAS_NUM_THREADS')))"
    words = [
        "--runs",
        "3",
        "--warmup",
        "0",
        "--show-output",
        "--metric",
        "wall",
        "--metric",
        "total",
    ]
    result = bench(*words, "--env", "A=b=c", "--", "-c", code, cwd=tmp_path)
    assert result.stdout.splitlines()[:6] == [b"0 b=c None"] * 6
    other = bench(*words, "--env", "PYTHONHASHSEED=7", "--", "-c", code, cwd=tmp_path)
    assert other.stdout.splitlines()[:6] == [b"7 None None"] * 6
