"""Commands as a person would type them: without the path to the interpreter, which is long, and
cuts off what tells two runs apart."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .places import short_path

if TYPE_CHECKING:
    from heaptide.recording import Recording

_BIN = re.compile(r"/s?bin/[^/]+$")


def short_command(words: Sequence[object], here: str | None = None) -> str:
    """``/srv/venv/bin/python /srv/app/run.py 300`` as ``python run.py 300``, seen from ``here``."""
    texts = [str(word) for word in words]
    for index, text in enumerate(texts[:2]):
        if not text.startswith("/"):
            continue
        short = short_path(text, here)
        # A program by its name; a script as seen from here, one that was installed by its name.
        if index == 0 or (short == text and _BIN.search(text)):
            short = posixpath.basename(text)
        texts[index] = short or text
    return " ".join(texts)


def recorded_command(recording: Recording) -> str:
    """What was recorded; "" where that is not known, as of an imported file."""
    return short_command(recording.command)


def process_command(recording: Recording, row: int) -> str:
    """What a process ran."""
    return short_command(recording.command_of(row)) or recording.processes.exe[row]
