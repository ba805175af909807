"""The text of source files that a recording names, as far as it is on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heaptide.profile import Origin

if TYPE_CHECKING:
    from .tables import Tables

MOST_FILE_BYTES = 1_000_000
MOST_BYTES = 20_000_000  # of all files


def source_text(file: str) -> str | None:
    """The file's text; None: there is none, or it is no text, or too much."""
    if not file.startswith("/"):
        return None
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > MOST_FILE_BYTES:
            return None
        return (
            path.read_bytes().decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        )
    except (OSError, ValueError):
        return None


def own_files(tables: Tables) -> list[int]:
    """Numbers of the texts that name files with the user's own code, those with the most first."""
    own = tables.places["origin"] == Origin.OWN
    files = tables.places["file"][own]
    numbers, counts = np.unique(files[files > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found: list[int] = numbers[order].tolist()
    return found


def embedded(tables: Tables, files: Iterable[int]) -> dict[str, str]:
    """The texts of ``files``, by number, until there is too much."""
    found: dict[str, str] = {}
    room = MOST_BYTES
    for number in files:
        text = source_text(tables.texts[number])
        if text is None or len(text) > room:
            continue
        found[str(number)] = text
        room -= len(text)
    return found
