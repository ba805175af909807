"""The agent's Python frames, without collector and reader between: see check_python.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heaptide.recorder.native import agent_path

SOURCES = Path(__file__).resolve().parents[2] / "native"


@pytest.mark.interpreters
def test_python_frames(tmp_path: Path) -> None:
    """Every announced allocation has the frames, files and lines that the interpreter says."""
    runner = tmp_path / "test_python"
    source = SOURCES / "agent" / "tests" / "test_python.c"
    subprocess.run(["cc", "-std=gnu17", f"-I{SOURCES}", "-o", runner, source], check=True)
    check = SOURCES / "agent" / "tests" / "check_python.py"
    result = subprocess.run(
        [sys.executable, check, runner, agent_path(), sys.executable],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-10_000:]
    last = result.stdout.splitlines()[-1]
    assert last.endswith(", 0 failed") and not last.endswith(": 0 passed, 0 failed")
