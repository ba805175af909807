"""``scripts/try``, with what takes minutes in it replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def stub(path: Path) -> None:
    """A program that says what it was called with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\necho "$(basename "$0")" "$@" >&2\n')
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "program"), [([], "examples/index_sources.py"), (["ls", "-l", "a b"], "ls -l a b")]
)
def test_each_step_is_announced_before_it_begins(
    tmp_path: Path, words: list[str], program: str
) -> None:
    for name in ("try", "lib.sh"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(SCRIPTS / name, tmp_path / "scripts" / name)
    stub(tmp_path / ".venv/bin/pip")
    stub(tmp_path / ".venv/bin/heaptide")
    python = getattr(sys, "_base_executable", sys.executable)
    made_by = "import sys; print(sys.executable, sys.version)"
    stamp = subprocess.run([python, "-c", made_by], capture_output=True, text=True, check=True)
    (tmp_path / ".venv/made-by").write_text(stamp.stdout)
    done = subprocess.run(
        [tmp_path / "scripts/try", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHON": python},
    )
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "1 of 3: setting up a virtual environment in .venv",
        "2 of 3: building heaptide into it, with what it needs; this may take minutes",
        "pip install --quiet .",
        f"3 of 3: recording {program}",
        f"heaptide run --force --output example.tide {program}",
    ]
