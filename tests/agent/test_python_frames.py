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
    here = SOURCES / "agent" / "tests"
    runner, kept_chunk = tmp_path / "test_python", tmp_path / "kept_chunk.so"
    cc = ["cc", "-std=gnu17", "-o"]
    subprocess.run([*cc, runner, here / "test_python.c", f"-I{SOURCES}"], check=True)
    subprocess.run([*cc, kept_chunk, here / "kept_chunk.c", "-shared", "-fPIC"], check=True)
    result = subprocess.run(
        [
            sys.executable,
            here / "check_python.py",
            "--kept-chunk",
            kept_chunk,
            runner,
            agent_path(),
            sys.executable,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-10_000:]
    last = result.stdout.splitlines()[-1]
    assert last.endswith(", 0 failed") and not last.endswith(": 0 passed, 0 failed")
