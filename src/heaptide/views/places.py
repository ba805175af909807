"""How functions and files are written where room is short."""

from __future__ import annotations

import os
import re

from rich.cells import cell_len

from heaptide.profile.names import qualified, without_arguments
from heaptide.recording import Language

_FROZEN = re.compile(r"^<frozen (.*)>")
_CPP = (Language.CPP, Language.C, Language.UNKNOWN, Language.OTHER)
# What a path is under says less than what it is below that; the longest match goes.
_PREFIXES = re.compile(
    r"^.*/(?:site|dist)-packages/"
    r"|^.*/lib(?:32|64)?/(?:python|pypy)\d+\.\d+t?/"
    r"|^.*/\.cargo/(?:registry/src|git/checkouts)/[^/]+/"
    r"|^/rustc/[0-9a-f]+/"
    r"|^.*/rustlib/src/rust/"
)


def short_path(path: str, here: str | None = None) -> str:
    """``path`` as seen from directory ``here``, or from where its package is installed."""
    if not path.startswith("/"):
        return path
    short = _PREFIXES.sub("", path)
    if short != path:
        return short
    here = _here() if here is None else here
    if here != "/" and path.startswith(here + "/"):
        return path[len(here) + 1 :]
    return path


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string is wanted
    except FileNotFoundError:  # we are in a directory that has been removed
        return "/"


def short_place(where: str, width: int) -> str:
    """``file:line``; if it is too long, without the brackets around a frozen module's name."""
    return where if cell_len(where) <= width else _FROZEN.sub(r"\1", where)


def short_function(name: str, language: int, width: int) -> str:
    """``name`` without parameters; if it is too long, without what is in ``<>`` either.

    Parameters go however much room there is, so that a function has one name in all tables:
    overloads are told apart by their lines.
    """
    if language in _CPP and not name.startswith(("<", "[", "0x")):
        name = qualified(name)
    if len(name) <= width:
        return name
    if language == Language.PYTHON:
        return name.replace(".<locals>", "")
    return without_arguments(name)
