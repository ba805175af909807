"""Running a program that uses the API, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def environment(**more: str) -> dict[str, str]:
    """This one's, with the heaptide that is tested."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


def run(
    program: str,
    cwd: Path,
    arguments: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    status: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Runs the text of a Python program in ``cwd``; its exit status has to be ``status``."""
    script = cwd / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**(env or {})),
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done
