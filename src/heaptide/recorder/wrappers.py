"""Programs that start another one: which of the words is the program that is meant?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class _Wrapper:
    """How a wrapper's own words end, as GNU options do: at the first word that is none."""

    valued: str = ""  # letters of options that take a value
    long_valued: tuple[str, ...] = ()
    own: int = 0  # words of its own in front of the program: a duration, a mask
    assignments: bool = False  # NAME=VALUE words in front of it
    other: str = ""  # letters and long names of options with which all is different
    forks: bool = False  # the program becomes its child; others become the program


_WRAPPERS = {
    "chrt": _Wrapper("TPD", ("--sched-runtime", "--sched-period", "--sched-deadline"), own=1),
    "env": _Wrapper("uC", ("--unset", "--chdir"), assignments=True, other="S --split-string"),
    "ionice": _Wrapper("cn", ("--class", "--classdata"), other="pPu --pid --pgid --uid"),
    "nice": _Wrapper("n", ("--adjustment",)),
    "nohup": _Wrapper(),
    "setsid": _Wrapper(),
    "stdbuf": _Wrapper("ioe", ("--input", "--output", "--error")),
    "sudo": _Wrapper(
        "CDghpRrtTUu",
        ("--close-from", "--chdir", "--group", "--host", "--prompt", "--role", "--type", "--user"),
        assignments=True,
        other="eilKksvV --edit --login --list --shell --validate",
        forks=True,
    ),
    "taskset": _Wrapper(own=1, other="p --pid"),
    "time": _Wrapper("fo", ("--format", "--output"), forks=True),
    "timeout": _Wrapper("ks", ("--kill-after", "--signal"), own=1, forks=True),
}

_ASSIGNMENT = re.compile(r"[^=]+=")
_PYTHON = re.compile(r"python(\d(\.\d+)?t?)?$")
_PYTHON_VALUED = "WX"


_SHELL = re.compile(r"-?(?:ba|da|z|k|mk|fi|tc|c|a)?sh$")


def is_shell_alone(words: Sequence[str]) -> bool:
    """Whether ``words`` start a shell without a script or a command: it will read commands."""
    meant = program_meant(words)
    if not meant or not _SHELL.match(Path(meant[0]).name):
        return False
    return all(word.startswith("--") or re.fullmatch(r"-[ail]+", word) for word in meant[1:])


def program_meant(words: Sequence[str]) -> Sequence[str]:
    """``words`` from the program on that wrappers in front of it start (``env A=1 nice ./prog``).

    Those given, when they name no wrapper or one that is not understood.
    """
    rest = words
    while rest and Path(rest[0]).name in _WRAPPERS:
        found = _behind(_WRAPPERS[Path(rest[0]).name], rest[1:])
        if not found:
            break
        rest = found
    return rest


def parent_of_meant(words: Sequence[str]) -> str | None:
    """The wrapper whose child process the program that is meant becomes; None: there is none."""
    rest = words
    while rest and Path(rest[0]).name in _WRAPPERS:
        wrapper = _WRAPPERS[Path(rest[0]).name]
        found = _behind(wrapper, rest[1:])
        if not found:
            return None
        if wrapper.forks:
            return Path(rest[0]).name
        rest = found
    return None


def _behind(wrapper: _Wrapper, words: Sequence[str]) -> Sequence[str]:
    """The words behind a wrapper's own; none when they are not understood."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        at += 1
        if word == "--":
            break
        if word.startswith("--"):
            name = word.partition("=")[0]
            if name in wrapper.other.split():
                return ()
            at += name in wrapper.long_valued and "=" not in word
            continue
        for place, letter in enumerate(word[1:], 1):
            if letter in wrapper.other.split(" ")[0]:
                return ()
            if letter in wrapper.valued:
                at += place == len(word) - 1
                break
    while wrapper.assignments and at < len(words) and _ASSIGNMENT.match(words[at]):
        at += 1
    return words[at + wrapper.own :]


def name_of(words: Sequence[str]) -> str:
    """What people call a program with its arguments: of a Python, what it runs."""
    name = Path(words[0]).name
    if not _PYTHON.match(name):
        return name
    at = 1
    while at < len(words):
        word = words[at]
        if not word.startswith("-") or word == "-":
            return script_name(word) if word != "-" else name
        for place, letter in enumerate(word[1:], 1):
            value = word[place + 1 :] or (words[at + 1] if at + 1 < len(words) else "")
            if letter == "m":
                return value or name
            if letter == "c" or word.startswith("--"):
                return name
            if letter in _PYTHON_VALUED:
                at += place == len(word) - 1
                break
        at += 1
    return name


def script_name(script: str) -> str:
    """``server`` for ``path/server.py``."""
    path = Path(script)
    return path.stem if path.suffix == ".py" else path.name
