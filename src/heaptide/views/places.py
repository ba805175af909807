"""How functions and files are written where room is short."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from rich.cells import cell_len

from heaptide.profile.names import qualified
from heaptide.recording import Language

if TYPE_CHECKING:
    from heaptide.recording import Recording

_COMM = 15  # characters of a thread's name that the kernel keeps
MAIN_THREADS = ("MainThread", "main thread")  # of a Python program, of another
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
    here = os.getcwd() if here is None else here  # noqa: PTH109 - a string is wanted
    if here != "/" and path.startswith(here + "/"):
        return path[len(here) + 1 :]
    return path


def short_place(where: str, width: int) -> str:
    """``file:line``; if it is too long, without the brackets around a frozen module's name."""
    return where if cell_len(where) <= width else _FROZEN.sub(r"\1", where)


def thread_name(recording: Recording, row: int) -> str:
    """What a thread is called: its own name, if it has one.

    The system calls a thread like its program until it is renamed, which CPython before 3.14 does
    not do. Such a name says nothing.
    """
    threads, processes = recording.threads, recording.processes
    name, process = threads.name[row], int(threads.process[row])
    if process < 0:
        return name or "thread"
    command = recording.command_of(process)
    programs = {processes.exe[process].rpartition("/")[2]}
    programs |= {word.rpartition("/")[2] for word in command[:2]}  # a script with #! by its name
    if name and name not in {program[:_COMM] for program in programs}:
        return name
    if int(threads.tid[row]) != int(processes.pid[process]):
        return "thread"
    return MAIN_THREADS[int(processes.python_version[process]) == 0]


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
