"""Running ``heaptide idle``, and looking at what it measures without its help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.building import PROGRAMS

IDLE = [sys.executable, "-m", "heaptide", "idle"]
SERVER = str(PROGRAMS / "idle_server.py")
# As short as a test can have it.
QUICK = ["--settle-window", "500ms", "--interval", "100ms", "--no-config"]
ONE = [*QUICK, "--starts", "1", "--readings", "2", "--traced", "0", "--stop-timeout", "2s"]
READY = ["--ready-log", "^ready"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Ours, with temporary files in ``folder``."""
    env = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    return {**env, "TMPDIR": str(folder), "PYTHONUTF8": "1", **more}


def idle(
    folder: Path, *words: str, status: int | None = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs it in ``folder``."""
    done = subprocess.run(
        [*IDLE, *words], cwd=folder, env=environment(folder, **env), capture_output=True, text=True
    )
    assert status in (None, done.returncode), done.stderr
    return done


def measured(folder: Path, *words: str, **more: Any) -> Any:
    """The JSON of it."""
    return json.loads(idle(folder, "--json", *words, **more).stdout)


def running(word: str) -> list[int]:
    """The processes with this in their command, ended ones left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in command:
                found.append(int(entry.name))
    return found
