"""musl's malloc, which tells nothing."""

from __future__ import annotations

import re
from pathlib import PurePath

from ._objects import Library
from ._stats import Answer

NAME = "musl"

_FILE = re.compile(r"(ld|libc\.)-?musl-.*\.so(\.\d+)?")


class Allocator:
    """The malloc of a C library."""

    name, prefix, costly, walks = NAME, "", False, False
    version = None

    def __init__(self, file: str) -> None:
        self.file = file

    def ask(self, arenas: bool) -> Answer:
        return Answer(
            reason="musl's malloc has no statistics: see the process's anonymous memory, or "
            "record it with heaptide run on a system with glibc"
        )


def is_musl(file: str) -> bool:
    """Whether a file is musl's, by its name: it has no function that others lack."""
    return _FILE.fullmatch(PurePath(file).name) is not None


def find(library: Library) -> Allocator | None:
    return Allocator(library.path) if is_musl(library.path) else None
