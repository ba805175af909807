"""``%%heaptide`` in a notebook, or in IPython's terminal."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from heaptide.profile import Profile, summarize
from heaptide.recording import Recording
from tests.inside.running import run

PROGRAM = """\
from IPython.core.interactiveshell import InteractiveShell
import sys
shown = []
shell = InteractiveShell.instance()
shell.display_pub.publish = lambda data, *_, **__: shown.append(data)
shell.run_line_magic("load_ext", "heaptide")
shell.run_cell_magic("heaptide", sys.argv[1], sys.argv[2])
for data in shown:
    print(data.get("text/html", ""))
"""


def cell(tmp_path: Path, line: str, text: str) -> tuple[str, str]:
    """What a cell with the magic shows, and what it says on stderr."""
    pytest.importorskip("IPython")
    env = {"IPYTHONDIR": str(tmp_path / "ipython")}
    done = run(PROGRAM, tmp_path, [line, text], env)
    return done.stdout, done.stderr


def test_a_cell_and_its_page(tmp_path: Path) -> None:
    """The page of what the cell did is a document of its own in the output."""
    shown, _ = cell(tmp_path, "", "kept = [bytes(1000) for _ in range(3000)]\nprint(len(kept))")
    assert "3000" in shown
    [page] = re.findall(r'<iframe [^>]*srcdoc="([^"]*)"', shown)
    assert html.unescape(page).startswith("<!DOCTYPE html>")
    assert list(tmp_path.glob("*.tide")) == []


def test_a_recording_that_is_kept(tmp_path: Path) -> None:
    """And a cell that raises is shown all the same."""
    shown, said = cell(tmp_path, "-o a.tide", "kept = [bytes(1000) for _ in range(3000)]\n1 / 0")
    assert "ZeroDivisionError" in shown + said
    assert "<iframe" in shown
    with Recording.open(tmp_path / "a.tide") as recording:
        assert summarize(Profile(recording)).total_bytes > 3_000_000
    shown, said = cell(tmp_path, "-o a.tide", "1 + 1")
    assert "exists" in said
    assert "<iframe" not in shown
