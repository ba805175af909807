"""Fixtures of all tests: building a program, recording a command."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.support import recorded
from tests.support.building import Builder

# A job in the background of a shell, or one under nohup, finds these ignored, and so would every
# program that it starts.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(
            _number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL
        )
# Programs are run as people run them: with buffers that are written when they are full.
os.environ.pop("PYTHONUNBUFFERED", None)


class Record(Protocol):
    def __call__(
        self,
        command: Sequence[str | Path],
        *options: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        input: str | None = None,
    ) -> recorded.Recorded: ...


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Compiles a program of tests/programs, once for each set of flags."""
    return Builder(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Records a command with ``heaptide run`` and gives what it did and what was recorded."""
    directory = tmp_path / "recordings"
    directory.mkdir()

    def run(
        command: Sequence[str | Path],
        *options: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        input: str | None = None,
    ) -> recorded.Recorded:
        return recorded.record(directory, command, options, env, cwd, input)

    return run
