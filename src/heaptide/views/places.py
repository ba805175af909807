"""How functions and files are written where room is short."""

from __future__ import annotations

import os
import re

from heaptide.profile.names import qualified
from heaptide.recording import Language

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
    here = os.getcwd() if here is None else here  # noqa: PTH109 - a string is wanted
    if here != "/" and path.startswith(here + "/"):
        return path[len(here) + 1 :]
    return path


def short_function(name: str, language: int, width: int) -> str:
    """``name``; if it is too long without parameters, and then without what is in ``<>``."""
    if len(name) <= width:
        return name
    if language in _CPP and not name.startswith(("<", "[", "0x")):
        name = qualified(name)
    if len(name) <= width:
        return name
    if language == Language.PYTHON:
        return name.replace(".<locals>", "")
    return _without_arguments(name)


def _without_arguments(name: str) -> str:
    """``std::map<int, std::string>::find`` as ``std::map<>::find``; odd text as it is.

    A leading ``<`` is no argument: it is Rust's way to name a type's implementation.
    """
    start = _closing(name) if name.startswith("<") else 0
    if start < 0:
        return name
    out = [name[:start]]
    depth = 0
    for i, c in enumerate(name[start:], start):
        if c == "<" and "operator" not in name[max(0, i - 9) : i]:
            depth += 1
            if depth == 1:
                out.append("<>")
        elif c == ">" and depth and name[i - 1] != "-":
            depth -= 1
        elif depth == 0:
            out.append(c)
    return "".join(out) if depth == 0 else name


def _closing(name: str) -> int:
    """Just behind the ``>`` that closes the ``<`` at the start; -1: none does."""
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">" and name[i - 1 : i] != "-")
        if depth == 0:
            return i + 1
    return -1
