"""What a process is held to while it runs, and whether it keeps to it: without flapping."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Union

from heaptide.allocators import Headroom
from heaptide.errors import UsageError

if TYPE_CHECKING:
    from heaptide.budgets import Budgets, Limit

HELD: Final = ("peak_rss", "idle_rss")  # of all budgets, those that need no recording
NEAR: Final = "cgroup.limit"
_BACK = 0.95  # of a limit: only below it a budget that was exceeded is kept again
_NEAR, _NOT_NEAR = 0.9, 0.85  # parts of the control group's limit
_IDLE = 5  # readings: what memory does not go below for so long is what it takes when idle

Written = Union[str, "os.PathLike[str]", "Budgets", bool, None]


class _Threshold:
    """Passed above ``limit``, and until it is at or below ``back``."""

    def __init__(self) -> None:
        self.passed = False

    def see(self, value: float, limit: float, back: float) -> None:
        self.passed = value > (back if self.passed else limit)


@dataclass(frozen=True)
class Changes:
    """Names of what is passed, and of what was passed the last time and is no more."""

    passed: tuple[str, ...] = ()
    kept_again: tuple[str, ...] = ()


class Thresholds:
    """Budgets of resident memory, and how near the control group's limit is."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        """``limits``: of `HELD`, by their names."""
        self.limits = limits
        self.begin()

    def begin(self) -> None:
        """Forgets what was seen: of another process, say."""
        self._found = {name: _Threshold() for name in (*HELD, NEAR)}
        self._rss: deque[int] = deque(maxlen=_IDLE)

    def see(self, rss: int | None, most: int | None, left: Headroom | None) -> Changes:
        """``rss``: now; ``most``: since the last time. What cannot be told leaves all as it is."""
        before = self._passed()
        if rss is not None:
            self._rss.append(rss)
        if most is not None:
            self._see("peak_rss", most)
        if len(self._rss) == _IDLE:
            self._see("idle_rss", min(self._rss))
        if left is not None:
            used = left.limit - left.headroom
            self._found[NEAR].see(used, _NEAR * left.limit, _NOT_NEAR * left.limit)
        else:
            self._found[NEAR].passed = False
        after = self._passed()
        return Changes(after, tuple(name for name in before if name not in after))

    def _see(self, name: str, value: int) -> None:
        limit = self.limits.get(name)
        if limit is not None:
            self._found[name].see(value, limit.value, _BACK * limit.value)

    def _passed(self) -> tuple[str, ...]:
        return tuple(name for name, one in self._found.items() if one.passed)


def held(written: Written) -> dict[str, Limit]:
    """Limits of `HELD`.

    ``written``: a file of budgets, of which this program's are taken, a preset's name, budgets that
    were read, or True: those of the working directory's project, if it has any.

    Raises UsageError: there is no such file, it cannot be understood, or has none of `HELD`.
    """
    if written is None or written is False:
        return {}
    found = _read(written)
    limits = {str(name): found.limits[name] for name in HELD if name in found.limits}
    if not limits and written is not True:
        raise UsageError(
            f"{found.source or 'budgets'}: neither {' nor '.join(HELD)} is among the budgets, and "
            "others need a recording: heaptide check"
        )
    return limits


def _read(written: str | os.PathLike[str] | Budgets | bool) -> Budgets:
    from heaptide.allocators import ProcessReader
    from heaptide.budgets import (
        PRESETS,
        Budgets,
        find_budgets,
        from_options,
        load_budgets,
        program_of,
    )

    if isinstance(written, Budgets):
        return written
    if isinstance(written, bool):
        project = find_budgets(Path.cwd())
        if project is None:
            return Budgets()
    elif not isinstance(written, (str, os.PathLike)):
        raise UsageError(f"budgets={written!r}: say a file, a preset's name, or True")
    elif written in PRESETS:
        return from_options([], [str(written)])
    elif _is_missing(written):
        raise UsageError(
            f"budgets={os.fspath(written)!r}: there is no such file, nor a preset of this name "
            f"({', '.join(PRESETS)})"
        )
    else:
        project = load_budgets(Path(written))
    return project.of(program_of(ProcessReader().command()))


def _is_missing(path: str | os.PathLike[str]) -> bool:
    """Not where nobody may look."""
    try:
        os.lstat(path)
    except (FileNotFoundError, ValueError):  # the second: with a null in it
        return True
    except OSError:
        return False
    return False
