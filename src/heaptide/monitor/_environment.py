"""What HEAPTIDE_MONITOR says: ``prometheus=:9100 log=60s json budgets=heaptide.toml``.

Whoever runs a program sets it, and not who wrote it: nothing that is wrong with it raises.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from heaptide._printable import printable
from heaptide.errors import HeaptideError, UsageError

from ._stderr import tell

NAME: Final = "HEAPTIDE_MONITOR"
OWNER: Final = "HEAPTIDE_MONITOR_PID"  # the process that was started first
_OFF = ("off", "0", "no", "false")
_LONG = 100  # digits: of thousands Python makes no number


@dataclass(frozen=True)
class Options:
    """As `heaptide.monitor` takes them. None: nothing is said of it."""

    prometheus: Any = None
    opentelemetry: Any = None
    log: Any = None
    json: Any = None
    budgets: Any = None
    objects: Any = None
    alias: Any = None

    def over(self, other: Options) -> Options:
        """These, and of ``other`` what these do not say."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(other, **{name: value for name, value in said.items() if value is not None})


_KNOWN = tuple(field.name for field in fields(Options))
_FLAGS = ("opentelemetry", "json", "objects")


def of_environment() -> Options | None:
    """None: all is to be off. What cannot be understood is told, and is as if it were not there.

    Programs that this one starts inherit the variable, and so do forked children: they log for
    themselves, but the port is taken, and they leave that alone.
    """
    text = os.environ.get(NAME, "").strip()
    if text.lower() in _OFF:
        return None
    said, wrong = parse(text)
    for error in wrong:
        complain(error)
    return said if is_first() else replace(said, prometheus=None)


def is_first() -> bool:
    """Not if the variable was meant for another process, from which this one has it."""
    return os.environ.get(OWNER) in (None, str(os.getpid()))


def complain(error: Exception) -> None:
    """In a line on stderr: a program that cannot be monitored runs as it would have. Its children
    say nothing of what it has told already."""
    if is_first():
        words = error.message if isinstance(error, HeaptideError) else repr(error)
        tell(f"{NAME}: {printable(' '.join(words.split()))}")


def parse(text: str) -> tuple[Options, list[UsageError]]:
    """What can be understood, and what cannot: there is no such word, or it has no value, or has
    one too many."""
    found: dict[str, Any] = {}
    wrong: list[UsageError] = []
    try:
        words = shlex.split(text)
    except ValueError as error:
        return Options(), [UsageError(f"{text!r} cannot be understood: {error}")]
    for word in words:
        name, equals, value = word.partition("=")
        try:
            _check(word, name, equals, value)
        except UsageError as error:
            wrong.append(error)
        else:
            found[name] = _value(name, value) if equals else True
    return Options(**found), wrong


def _check(word: str, name: str, equals: str, value: str) -> None:
    """Raises UsageError."""
    if name not in _KNOWN:
        raise UsageError(f"there is no {name!r}; there are {', '.join(_KNOWN)}")
    if equals and (not value or name in _FLAGS):
        raise UsageError(f"{word!r}: say {name}{'' if name in _FLAGS else '=VALUE'}")
    if not equals and name == "alias":
        raise UsageError("'alias' is the name of a metric: say alias=NAME")


def _value(name: str, text: str) -> Any:
    """A port alone is a number; Prometheus's users write it with a colon."""
    port = text[1:] if text[:1] == ":" else text
    return int(port) if name == "prometheus" and port.isdecimal() and len(port) < _LONG else text


_begun = False


def begin() -> None:
    """Starts what the variable says, before the program's first line. Never raises. Once: Python
    reads the file that calls this twice where there is a virtual environment."""
    global _begun
    if _begun or sys.flags.isolated:  # python -I wants nothing of its surroundings
        return
    _begun = True
    try:
        if not _is_main_interpreter():
            return
        from ._start import monitor

        if _is_heaptide():
            return
        os.environ.setdefault(OWNER, str(os.getpid()))
        monitor()
    except Exception as error:
        complain(error)


def _is_main_interpreter() -> bool:
    """Others of the process, such as those of mod_wsgi, read the file too: a thread in one of them
    keeps it from ending, and the process has its monitor already."""
    try:
        from ctypes import PYFUNCTYPE, c_int64, c_void_p, pythonapi
    except ImportError:  # as in one with a lock of its own
        return False
    current = PYFUNCTYPE(c_void_p)(("PyInterpreterState_Get", pythonapi))
    number = PYFUNCTYPE(c_int64, c_void_p)(("PyInterpreterState_GetID", pythonapi))
    return bool(number(current()) == 0)


def _is_heaptide() -> bool:
    """Its commands start the program that is meant, which then finds the port free."""
    from heaptide.allocators import ProcessReader
    from heaptide.budgets import program_of

    return program_of(ProcessReader().command()) == "heaptide"
