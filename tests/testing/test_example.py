"""``examples/notes``: a library whose tests hold its memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "notes"
TESTS = {
    "test_reading_keeps_one_note",
    "test_rendering_does_not_leak",
    "test_what_is_removed_is_gone",
    "test_a_page_is_made_of_few_pieces",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example, in a folder of its own."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "notes"))


def results(folder: Path) -> dict[str, dict[str, object]]:
    """By the names of the tests, what became of them."""
    out = folder.parent / "memory.json"
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *words, f"--memory-json={out}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return {one["test"].partition("::")[2]: one for one in json.loads(out.read_text())["tests"]}


def test_it_keeps_its_limits(folder: Path) -> None:
    found = results(folder)
    assert {name: one["status"] for name, one in found.items()} == dict.fromkeys(TESTS, "ok")


@pytest.mark.parametrize(
    ("before", "after", "test"),
    [
        ("maxsize=64", "maxsize=None", "test_rendering_does_not_leak"),
        ("if not numbers:", "if word is None:", "test_what_is_removed_is_gone"),
        ("for line in lines:", "for line in list(lines):", "test_reading_keeps_one_note"),
    ],
    ids=["cache", "index", "reader"],
)
def test_what_breaks_it_is_found(folder: Path, before: str, after: str, test: str) -> None:
    """By one test only, the one that is there for it."""
    source = folder / "notes.py"
    text = source.read_text()
    assert text.count(before) == 1
    source.write_text(text.replace(before, after))
    statuses = {name: one["status"] for name, one in results(folder).items()}
    assert statuses == {**dict.fromkeys(TESTS, "ok"), test: "over"}
