"""``heaptide diff`` on real programs of which one was edited."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Record
from tests.support.recorded import HEAPTIDE

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
std::vector<void *> held;
void leak() {{ for (int i = 0; i < {count}; i++) held.push_back(malloc(1000)); }}
int main() {{ leak(); }}
"""


def diff(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HEAPTIDE, "diff", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_a_python_program_whose_function_moved(record: Record, tmp_path: Path) -> None:
    """Recorded from two places, with lines inserted above: only what holds more is listed."""
    paths = []
    for name, program in (
        ("old", PYTHON.format(loaded=50)),
        ("new", "# a comment\n\n" + PYTHON.format(loaded=450)),
    ):
        folder = tmp_path / name / "app"
        folder.mkdir(parents=True)
        (folder / "service.py").write_text(program)
        paths.append(record([sys.executable, str(folder / "service.py")]).path)
    found = json.loads(diff(*paths, "--json").stdout)
    own = [c for c in found["changes"] if (c["file"] or "").endswith("app/service.py")]
    assert [(c["function"].partition(".")[0], c["status"]) for c in own][:1] == [("load", "grew")]
    assert own[0]["change"] == pytest.approx(400 * 1033, rel=0.05)
    assert not any(c["function"].startswith("parse") for c in own)


def test_a_compiled_program_that_leaks_more(record: Record, tmp_path: Path) -> None:
    paths = []
    for name, count in (("old", 10), ("new", 500)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "p.cpp").write_text(("\n" if name == "new" else "") + CPP.format(count=count))
        subprocess.run(["g++", "-g", "-o", folder / "p", folder / "p.cpp"], check=True)
        paths.append(record([str(folder / "p")]).path)
    result = diff(*paths, "--metric", "alive")
    assert result.returncode == 0
    lines = result.stdout.split("\n")
    top = lines[lines.index("What grew: alive at exit, by function") + 2]
    assert top.startswith("+49") and "leak()" in top


def test_errors_are_one_line(tmp_path: Path) -> None:
    missing = diff(tmp_path / "a.tide", tmp_path / "b.tide")
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1
    assert diff(tmp_path / "a.tide").returncode == 2
