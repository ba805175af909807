"""Reading a recording in every way there is, for tests of what comes out of damaged ones."""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import Any

from heaptide.cli.show import show
from heaptide.recording import Recording
from tests.recording import make

TABLES = (
    "births", "processes", "threads", "modules", "codes", "frames", "stacks", "contexts", "slices",
    "timeline", "peaks", "lifetimes", "sizes", "marks", "notes", "symbols", "end", "totals",
    "summary",
)  # fmt: skip

SHOWN = (
    (),
    ("--json",),
    ("--by", "line", "--metric", "temporary"),
    ("--json", "--by", "thread"),
    ("--by", "process", "--metric", "alive"),
    ("--json", "--by", "module", "--metric", "copied"),
    ("--by", "file", "--top", "0"),
    ("--histogram", "sizes", "--histogram", "lifetimes", "--from", "1"),
)
"""Options of ``heaptide show`` that between them compute all it can."""


def read_all(path: str | os.PathLike[str]) -> Recording:
    """Opens a recording and touches everything it offers."""
    with Recording.open(path) as recording:
        assert recording.meta is not None
        for name in TABLES:
            getattr(recording, name)
        recording.deltas()
        recording.spreads()
        recording.live_at(make.SECOND)
        for process in range(-1, len(recording.processes)):
            recording.peak_of(process)
        for _ in recording.frame_names():
            pass
        for stack in range(len(recording.stacks)):
            recording.stack_frames(stack)
        assert all("\n" not in line for line in recording.warnings)
        list(recording.strings)
        return recording


def shown(path: str | os.PathLike[str], *options: str) -> str:
    """What ``heaptide show`` prints; its errors come through."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        show.main([*options, os.fspath(path)], "show", standalone_mode=False)
    return printed.getvalue()


def documented(path: str | os.PathLike[str], *options: str) -> dict[str, Any]:
    """What ``heaptide show --json`` prints."""
    document: dict[str, Any] = json.loads(shown(path, "--json", *options))
    return document
