"""``heaptide diff`` on real programs of which one was edited."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Record
from tests.recording.make import example
from tests.support.recorded import HEAPTIDE

from heaptide.cli import diff as command
from heaptide.profile.diff import SCALES

PYTHON = """\
import sys

def load():
    return [bytes(1000) for _ in range({loaded})]

def parse():
    return [bytes(5000) for _ in range(20)]

def main():
    held = load(), parse()
    return held

kept = main()
"""
CPP = """\
#include <cstdlib>
#include <vector>
static std::vector<void *> held;
{inserted}
void keep(size_t size) {{ held.push_back(malloc(size)); }}
void leak(int count) {{
  for (int i = 0; i < count; i++)
    keep(1000);
}}
void same() {{
  for (int i = 0; i < 3; i++) {{
    keep(100);
    keep(20000);
  }}
}}
int main() {{ leak({count}); same(); {call} }}
"""


def diff(*words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HEAPTIDE, "diff", *map(str, words)], capture_output=True, text=True, check=False, **more
    )


def changes(*words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(diff(*words, "--json").stdout)["changes"]
    return found


def test_the_command_line_names_what_there_is() -> None:
    assert command.SCALES == SCALES


@pytest.fixture
def services(record: Record, tmp_path: Path) -> list[Path]:
    """A program of Python recorded in two places; in the newer one lines were inserted above."""
    paths = []
    for name, program in (
        ("old", PYTHON.format(loaded=50)),
        ("new", "# a comment\n\n" + PYTHON.format(loaded=450)),
    ):
        folder = tmp_path / name / "app"
        folder.mkdir(parents=True)
        (folder / "service.py").write_text(program)
        paths.append(record([sys.executable, str(folder / "service.py")]).path)
    return paths


def test_a_python_program_whose_function_moved(services: list[Path]) -> None:
    """Only what holds more is listed."""
    own = [c for c in changes(*services) if (c["file"] or "").endswith("app/service.py")]
    assert [(c["function"].partition(".")[0], c["status"]) for c in own][:1] == [("load", "grew")]
    assert own[0]["change"] == pytest.approx(400 * 1033, rel=0.05)
    assert not any(c["function"].startswith("parse") for c in own)


def test_its_line_moved_with_it(services: list[Path]) -> None:
    top = changes(*services, "--by", "line")[0]
    assert (top["status"], top["old_line"], top["line"]) == ("grew", 4, 6)
    assert top["change"] == pytest.approx(400 * 1033, rel=0.05)
    lines = diff(*services, "--by", "line").stdout
    assert re.search(r"service\.py:4→6 ", lines)


@pytest.mark.parametrize("flags", [("-g",), ("-g", "-O2"), ()])
def test_a_compiled_program_that_leaks_more(
    record: Record, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Built in two places under two names; a function is new, all others moved down."""
    paths = []
    fresh = "void fresh() { held.push_back(malloc(7777)); }\n// and a line"
    for name, count, inserted, call in (("old", 10, "", ""), ("new", 500, fresh, "fresh();")):
        folder = tmp_path / name
        folder.mkdir()
        source = CPP.format(count=count, inserted=inserted, call=call)
        (folder / "p.cpp").write_text(source)
        built = str(folder / f"p-{name}")
        compiler = ["g++", "-fno-inline", *flags]
        subprocess.run([*compiler, "-o", built, str(folder / "p.cpp")], check=True)
        paths.append(record([built]).path)
    found = changes(*paths, "--metric", "alive")
    assert [(c["status"], c["function"], c["change"]) for c in found[:2]] == [
        ("grew", "keep(unsigned long)", 490_000),
        ("new", "fresh()", 7777),
    ]
    assert len(found) == 2
    assert found[0]["old"]["alive_at_exit_bytes"] == 10 * 1000 + 3 * 20_100
    result = diff(*paths, "--metric", "alive")
    assert result.returncode == 0
    lines = result.stdout.split("\n")
    top = lines[lines.index("What grew: alive at exit, by function (+497.8 kB)") + 2]
    assert top.startswith("+490.0 kB") and " keep " in top
    if "-g" in flags:
        (line,) = (c for c in changes(*paths, "--metric", "alive", "--by", "line")[:1])
        assert (line["old_line"], line["line"], line["change"]) == (5, 6, 490_000)
    modules = changes(*paths, "--metric", "alive", "--by", "module")
    assert [Path(c["module"]).name for c in modules] == ["p-new"]
    assert [Path(c["old_module"]).name for c in modules] == ["p-old"]


def test_csv(services: list[Path]) -> None:
    result = diff(*services, "--csv", "--top", 1)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["status"] for row in rows[:1]] == ["grew"]
    assert len(rows) <= 2
    assert rows[0]["function"].startswith("load")


def test_a_recording_and_itself(tmp_path: Path) -> None:
    path = example().write(tmp_path / "a.tide")
    result = diff(path, path)
    assert result.returncode == 0
    assert "No difference: at peak, by function\n" in result.stdout
    assert changes(path, path) == []


def test_nothing_but_text_reaches_a_pipe(tmp_path: Path) -> None:
    paths = [example().write(tmp_path / name) for name in ("a.tide", "b.tide")]
    for environment in (
        {},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
    ):
        result = diff(*paths, env={**os.environ, **environment})
        assert result.returncode == 0
        assert result.stderr == ""
        assert "\x1b" not in result.stdout


def test_errors_are_one_line(tmp_path: Path) -> None:
    good = example().write(tmp_path / "good.tide")
    text = tmp_path / "text.tide"
    text.write_text("no recording")
    for words, status, said in (
        ((tmp_path / "a.tide", good), 1, "a.tide"),
        ((good, tmp_path / "a.tide"), 1, "a.tide"),
        ((good, text), 1, "text.tide"),
        ((good,), 2, "NEW"),
        ((good, good, "--json", "--csv"), 2, "choose one"),
        ((good, good, "--normalize", "time"), 2, "does not add up"),
        ((good, good, "--by", "colour"), 2, "colour"),
        ((good, good, "--top", "-1"), 2, "--top"),
    ):
        result = diff(*words)
        assert result.returncode == status, words
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("heaptide: ") and said in result.stderr
        assert result.stdout == ""


def test_a_recording_that_was_cut_off(tmp_path: Path) -> None:
    whole = Path(example().write(tmp_path / "whole.tide"))
    cut = tmp_path / "cut.tide"
    cut.write_bytes(whole.read_bytes()[:-200])
    result = diff(cut, whole)
    assert result.returncode == 0
    assert "cut.tide is not complete" in " ".join(result.stdout.split())
