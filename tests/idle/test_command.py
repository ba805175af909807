"""``heaptide idle`` as a command: options, budgets, files, exit status."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .running import IDLE, ONE, READY, SERVER, environment, idle, measured

# With the budgets of the project, and so without --no-config.
PROJECT = [word for word in ONE if word != "--no-config"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a program behind --"),
        (["--"], "name a program behind --"),
        (["p.py"], "unexpected extra argument"),
        (["--", "nothing-like-it"], "nothing-like-it: no such program"),
        (["--", "gone.py"], "gone.py: no such script"),
        (["--", "/etc/passwd"], "/etc/passwd is not executable"),
        (["--", "-o", "x"], "-o stands behind --"),
        (["--ready-port", "0", "--", "p.py"], "'0' is no port"),
        (["--ready-http", "ftp://x", "--", "p.py"], "'ftp://x' is no address"),
        (["--ready-log", "(", "--", "p.py"], "is no regular expression"),
        (["--plot", "x.png", "--", "p.py"], "x.png is no name of a picture"),
        (["--plot", "no/x.svg", "--", "p.py"], "no/x.svg cannot be written"),
        (["--plot", "d.svg", "--", "p.py"], "d.svg cannot be written: a directory"),
        (["--markdown", "no/x.md", "--", "p.py"], "no/x.md cannot be written"),
        (["--json", "--markdown", "--", "p.py"], "--json and --markdown both print"),
        (["--base", "p.py 'x", "--", "p.py"], "No closing quotation"),
        (["--base", "", "--", "p.py"], "--base names no command"),
        (["--base", "gone.py", "--", "p.py"], "gone.py: no such script"),
        (["--fail-on-growth", "--", "p.py"], "--fail-on-growth compares with --base"),
        (["-b", "peak_heap=1MB", "--", "p.py"], "peak_heap is one for heaptide check"),
        (["-b", "idle_rss=much", "--", "p.py"], "'much' is no limit"),
        (["-b", "idle_rsss=1MB", "--", "p.py"], "idle_rss is meant?"),
        (["--config", "gone.toml", "--", "p.py"], "gone.toml cannot be read"),
        (["--config", "other.toml", "--", "p.py"], "has no budget for an idle p"),
        (["--config", "other.toml", "--no-config", "--", "p.py"], "exclude each other"),
        (["--preset", "strict", "--", "p.py"], "there is no preset 'strict'"),
        (["--starts", "0", "--", "p.py"], "0 is not in the range"),
        (["--settle-window", "soon", "--", "p.py"], "'soon' is not a time"),
        (["--settle-tolerance", "nan", "--", "p.py"], "is not a number from 0 to 100"),
    ],
)
def test_what_makes_no_sense_is_2(tmp_path: Path, words: list[str], said: str) -> None:
    """Before anything is started."""
    (tmp_path / "p.py").write_text("open('started', 'w')")
    (tmp_path / "d.svg").mkdir()
    (tmp_path / "other.toml").write_text("[budgets]\npeak_heap = '1 MB'\n")
    done = idle(tmp_path, *words, status=2)
    [line] = done.stderr.splitlines()
    assert line.startswith("heaptide: ")
    assert said in line
    assert done.stdout == ""
    assert not (tmp_path / "started").exists()


def test_budgets(tmp_path: Path) -> None:
    words = ["--", SERVER, "plain"]
    kept = idle(tmp_path, *ONE, *READY, "-b", "idle_rss=1GB", *words)
    assert "✓  idle RSS" in kept.stdout
    over = idle(
        tmp_path, *ONE, *READY, "-b", "idle_rss=1MiB", "-b", "idle_uss=1GB", *words, status=1
    )
    assert "✗  idle RSS" in over.stdout
    assert "1.0 MiB" in over.stdout
    assert max(map(len, over.stdout.splitlines())) <= 80
    preset = measured(tmp_path, *ONE, *READY, "--preset", "guide", *words)["budgets"]
    assert [(one["budget"], one["status"]) for one in preset["results"]] == [("idle_rss", "ok")]
    assert preset["passed"]


def test_budgets_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "heaptide.toml").write_text(
        "[budgets]\npeak_heap = '1 kB'\n[budgets.programs.idle_server]\nidle_pss = '1 kB'\n"
    )
    words = ["--", SERVER, "plain"]
    found = measured(tmp_path, *PROJECT, *READY, *words, status=1)["budgets"]
    assert [one["budget"] for one in found["results"]] == ["idle_pss"]
    assert found["budgets"].endswith("heaptide.toml")
    other = measured(tmp_path, *PROJECT, *READY, "--program", "other", *words)
    assert other["budgets"] is None
    wrapped = measured(
        tmp_path, *PROJECT, *READY, "--", "env", "A=1", "python3", *words[1:], status=1
    )
    assert not wrapped["budgets"]["passed"]
    (tmp_path / "heaptide.toml").write_text("[budgets]\nidle_pss = 'much'\n")
    done = idle(tmp_path, *PROJECT, *words, status=2)
    assert "heaptide.toml, line 2" in done.stderr


def test_growth_is_1_if_it_is_asked_for(tmp_path: Path) -> None:
    words = [*ONE, *READY, "--base", f"{SERVER} plain", "--", SERVER, "plain", "30000000"]
    told = idle(tmp_path, *words)
    assert "grew" in told.stdout
    failed = idle(tmp_path, "--fail-on-growth", *words, status=1)
    assert "RSS, PSS, USS, alone grew" in failed.stderr


def test_files(tmp_path: Path) -> None:
    """Markdown, the summary of a workflow, a picture; text is printed as always."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    options = ["--markdown", "m.md", "--plot", "p.svg", "-b", "idle_rss=1GB"]
    done = idle(
        tmp_path,
        *ONE,
        *READY,
        *options,
        "--",
        SERVER,
        "plain",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert "MB (MiB)" in done.stdout
    text = (tmp_path / "m.md").read_text()
    assert text.startswith("### Idle memory of ")
    assert "| passed | idle RSS |" in text
    assert summary.read_text() == "before\n" + text
    assert ElementTree.parse(tmp_path / "p.svg").getroot().tag.endswith("svg")
    printed = idle(tmp_path, *ONE, *READY, "--plot", "p.html", "--markdown", "--", SERVER, "plain")
    assert printed.stdout.startswith("### Idle memory of ")
    assert (tmp_path / "p.html").read_text().startswith("<!doctype html>")


def test_nobody_reads(tmp_path: Path) -> None:
    command = [*IDLE, *ONE, *READY, "--plot", "p.svg", "--", SERVER, "plain"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path)
        )
    assert done.returncode == 2
    assert b"standard output cannot be written" in done.stderr
    assert (tmp_path / "p.svg").exists()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""


def test_a_directory_that_has_gone(tmp_path: Path) -> None:
    words = " ".join([*IDLE, *PROJECT, *READY, "--json", "--", SERVER, "plain"])
    script = f"mkdir gone && cd gone && rmdir ../gone && {words}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment(tmp_path), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["new"]["settled"]


def test_no_room_for_what_it_prints(tmp_path: Path) -> None:
    """Nor for anything else of a start: a line, and no traceback."""
    gone = tmp_path / "gone"
    done = idle(tmp_path, *ONE, *READY, "--", SERVER, "plain", status=None, TMPDIR=str(gone))
    assert "Traceback" not in done.stderr
