"""``%%heaptide``: cells of a shell that has no screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.inside.running import run

PROGRAM = """\
import json, sys
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

shown, errors = [], []

class Publisher(DisplayPublisher):
    def publish(self, data, *args, **kwargs):
        shown.append(data)

shell = InteractiveShell.instance()
shell.display_pub = Publisher()

def cell(text):
    shown.clear()
    result = shell.run_cell(text)
    errors.append(type(result.error_before_exec or result.error_in_exec).__name__)
    return [data["text/html"] for data in shown if "text/html" in data]

found = []
cell("%load_ext heaptide")
found.append(cell("%%heaptide --height 300\\nkept = [bytes(1000) for _ in range(1000)]"))
found.append(len(shell.user_ns["kept"]))
found.append(cell("%%heaptide -o cell.tide\\nmore = bytes(1_000_000)"))
found.append(cell("%%heaptide -o cell.tide\\nnever = 1"))
found.append("never" in shell.user_ns)
found.append(cell("%%heaptide -f -o cell.tide\\nagain = 1"))
found.append(cell("%%heaptide\\n1 / 0"))
found.append(cell("%%heaptide\\nx = ("))
found.append(cell("import heaptide\\nwith heaptide.measure() as m: bytes(1000)"))
print(json.dumps([errors, *found]), file=open("found.json", "w"))
"""


def test_cells(tmp_path: Path) -> None:
    """The page of each is shown below it, also where it fails; no warning of anybody."""
    pytest.importorskip("IPython")
    done = run(PROGRAM, tmp_path, env={"PYTHONWARNINGS": "error::UserWarning"})
    errors, first, kept, second, third, never, forced, failed, wrong, after = json.loads(
        (tmp_path / "found.json").read_text()
    )
    for pages in (first, second, forced, failed):
        assert len(pages) == 1
        assert "<iframe" in pages[0] and "srcdoc=" in pages[0]
    assert "height: 300px" in first[0]
    assert kept == 1000
    assert (third, never) == ([], False)
    assert "cell.tide exists" in done.stderr
    assert errors[3:] == [
        "UsageError",
        "NoneType",
        "ZeroDivisionError",
        "CellError",
        "NoneType",
    ]
    assert done.stdout.count("Traceback (most recent call last)") == 1
    assert done.stdout.count("SyntaxError") == 1
    assert wrong == after == []
    assert (tmp_path / "cell.tide").stat().st_size > 1000
