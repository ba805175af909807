"""The text of source files that a recording names, as far as it is on this machine."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide.profile import Origin
from heaptide.recording import FrameKind

from .. import units

if TYPE_CHECKING:
    from .tables import Tables

MOST_FILE_BYTES = 1_000_000
MOST_BYTES = 20_000_000  # of all files

# A recording may come from anywhere and name any file: only what is source text is read, so that a
# page that is passed on holds nothing else.
_SOURCE = re.compile(
    r"\.(?:py[wix]?|pxd|pxi|ipy|c|h|cc|hh|cpp|hpp|cxx|hxx|c\+\+|h\+\+|inc|inl|ipp|tcc|tpp|cu|cuh"
    r"|rs|go|zig|d|nim|swift|m|mm|f|f90|f95|f03|for|s|asm)\Z",
    re.IGNORECASE,
)
_HEADERS = re.compile(r"/include/(?:[\w+][\w.+-]*/)*\w+\Z")  # <vector> has no ending
_SCRIPT = re.compile(rb"#!.*python")
_NO_FILES = ("/proc/", "/sys/", "/dev/")  # what the kernel says, not what somebody wrote
_SAID = 3  # names of files in a note


def source_text(file: str) -> str | None:
    """The file's text; None: there is none, or it is no source text, or too much.

    Both the name and the file that it leads to have to be those of source text.
    """
    if not file.startswith("/") or ".." in file.split("/"):
        return None
    try:
        real = os.path.realpath(file)
        if real.startswith(_NO_FILES):
            return None
        raw = _content(real)
    except (OSError, ValueError):
        return None
    if raw is None or not (_SCRIPT.match(raw) or (_named(file) and _named(real))):
        return None
    return raw.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _named(file: str) -> bool:
    """Whether a file of this name is source text."""
    return bool(_SOURCE.search(file) or _HEADERS.search(file))


def _content(path: str) -> bytes | None:
    """What is in a file; None: it is none of the usual kind, or empty, or too large."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or not 0 < state.st_size <= MOST_FILE_BYTES:
            return None
        raw = opened.read(MOST_FILE_BYTES + 1)
    return raw if len(raw) <= MOST_FILE_BYTES else None


def wanted_files(tables: Tables) -> list[str]:
    """Files with the user's own code, those that most memory was allocated in first; then the
    others of Python."""
    own = tables.places["origin"] == Origin.OWN
    python = tables.places["kind"] == FrameKind.PYTHON
    file = tables.places["file"]
    weight = np.zeros(len(tables.texts), np.float64)
    np.add.at(
        weight,
        file[tables.place[tables.site]],
        np.abs(tables.new.figures).sum(axis=1, dtype=np.float64),
    )
    found: list[str] = []
    for chosen in (own, python & ~own):
        numbers = np.unique(file[chosen])
        order = np.lexsort((numbers, -weight[numbers]))
        found += [tables.texts[number] for number in numbers[order].tolist() if number]
    return list(dict.fromkeys(found))


def embedded(
    tables: Tables, started: float | None, most: int
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The texts of the files that are wanted, by name, in at most ``most`` bytes; and notes.

    ``started``: when the program was (Unix time). What has changed since may not fit its lines.
    """
    found: dict[str, str] = {}
    changed: list[str] = []
    room = min(most, MOST_BYTES)
    left = 0
    for name in wanted_files(tables):
        text = source_text(name)
        if text is None:
            continue
        if len(text) > room:
            left += 1
            continue
        found[name] = text
        room -= len(text)
        if started is not None and _modified(name) > started:
            changed.append(posixpath.basename(name))
    notes = _about_changed(changed)
    if left:
        files = units.some(left, "source file", "source files")
        notes.append({"level": "note", "text": f"there was no room for {files}"})
    return found, notes


def changed_since(tables: Tables, started: float | None) -> list[dict[str, Any]]:
    """Notes on files that will be shown from where they are: see ``embedded``."""
    if started is None:
        return []
    later = [name for name in wanted_files(tables) if _modified(name) > started]
    return _about_changed([posixpath.basename(name) for name in later if source_text(name)])


def _about_changed(names: list[str]) -> list[dict[str, Any]]:
    if not names:
        return []
    files = units.some(len(names), "source file", "source files")
    verb = "has" if len(names) == 1 else "have"
    named = ", ".join(names[:_SAID]) + (", …" if len(names) > _SAID else "")
    text = f"{files} {verb} changed since the recording began, so lines may not fit: {named}"
    return [{"level": "warning", "text": text}]


def _modified(file: str) -> float:
    try:
        return Path(file).stat().st_mtime
    except (OSError, ValueError):
        return 0.0
