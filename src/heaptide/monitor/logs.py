"""A record of this process's memory now and then, through whatever logger a program has."""

from __future__ import annotations

import contextlib
import json as _json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from heaptide._printable import printable
from heaptide._times import parse_seconds
from heaptide.allocators import Headroom, HeadroomReader
from heaptide.errors import UsageError
from heaptide.views import units

from ._brief import Brief, read_brief
from ._every import Every
from ._logger import EVENT, can_be, write
from ._stderr import tell
from ._thresholds import NEAR, Changes, Thresholds, Written, held

LEAST = 0.1  # seconds between two records


@dataclass(frozen=True)
class _Seen:
    """What the last record told."""

    pid: int
    time: float
    brief: Brief


class Log:
    """Makes records; each costs less than 0.1 ms, what handlers do with it not counted."""

    def __init__(
        self,
        *,
        logger: object = None,
        json: bool = False,
        budgets: Written = None,
        brief: Callable[[], Brief] = read_brief,
        headroom: Callable[[], Headroom | None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``brief``, ``headroom``, ``now``: who reads. The others, and what is raised: `start`."""
        if not can_be(logger):
            raise UsageError(
                f"logger={logger!r} is no logger: give it one, such as logging.getLogger('memory')"
            )
        self._thresholds = Thresholds(held(budgets))
        self._logger, self._json = logger, json
        self._brief, self._now = brief, now
        self._headroom = headroom or HeadroomReader().read
        self._complained = False
        self._last = self._look()

    def record(self) -> None:
        """Never raises: what goes wrong is told on stderr, once."""
        try:
            self._record()
        except Exception as error:
            self._complain(error)

    def _look(self) -> _Seen:
        return _Seen(os.getpid(), self._now(), self._brief())

    def _record(self) -> None:
        last, seen, left = self._last, self._look(), self._headroom()
        self._last = seen
        if last.pid != seen.pid:  # a forked child: what was before is its parent's
            self._thresholds.begin()
        change, most = _since(last, seen)
        changes = self._thresholds.see(seen.brief.rss, most, left)
        level = logging.WARNING if changes.passed else logging.INFO
        seconds = seen.time - last.time if change is not None else None
        values = self._values(seen, change, seconds, left, changes)
        if self._json:
            message = _document(level, values)
        else:
            message = self._words(seen, change, seconds, left, changes)
        write(self._logger, level, message, values)

    def _values(
        self,
        seen: _Seen,
        change: int | None,
        seconds: float | None,
        left: Headroom | None,
        changes: Changes,
    ) -> dict[str, Any]:
        values: dict[str, Any] = {
            "process.pid": seen.pid,
            "process.rss": seen.brief.rss,
            "process.rss_change": change,
            "process.rss_change_seconds": None if seconds is None else round(seconds, 3),
            "process.rss_peak": seen.brief.rss_peak,
            "process.swap": seen.brief.swap,
            "process.threads": seen.brief.threads,
            "cgroup.limit": None if left is None else left.limit,
            "cgroup.headroom": None if left is None else left.headroom,
        }
        for name, limit in self._thresholds.limits.items():
            values[f"budget.{name}"] = round(limit.value)
            if seen.brief.rss is not None:
                values[f"budget.{name}.headroom"] = round(limit.value) - seen.brief.rss
        found = {name: value for name, value in values.items() if value is not None}
        if changes.passed:
            found["thresholds.passed"] = list(changes.passed)
        if changes.kept_again:
            found["thresholds.kept_again"] = list(changes.kept_again)
        return found

    def _words(
        self,
        seen: _Seen,
        change: int | None,
        seconds: float | None,
        left: Headroom | None,
        changes: Changes,
    ) -> str:
        brief = seen.brief
        parts = ["unknown" if brief.rss is None else f"{units.size(brief.rss)} resident"]
        if change is not None and seconds is not None:
            sign = "+" if change >= 0 else ""
            parts.append(f"{sign}{units.size(change)} in {units.duration(seconds)}")
        if brief.rss_peak is not None:
            parts.append(f"peak {units.size(brief.rss_peak)}")
        if brief.swap:
            parts.append(f"{units.size(brief.swap)} in swap")
        text = f"memory of {seen.pid}: {', '.join(parts)}"
        if left is not None:
            text += f"; {units.binary_size(left.headroom)} left of {self._size(NEAR, left)}"
        for name in changes.passed:
            near = name == NEAR
            text += f"; {'near' if near else 'over'} {name} {self._size(name, left)}"
        for name in changes.kept_again:
            text += f"; {name} kept again"
        return text

    def _size(self, name: str, left: Headroom | None) -> str:
        """Of a limit, in the units that it was given in."""
        if name == NEAR:
            return "" if left is None else units.binary_size(left.limit)
        limit = self._thresholds.limits[name]
        size = units.binary_size if limit.binary else units.size
        return size(round(limit.value))

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            with contextlib.suppress(Exception):  # an error of the program may raise as text
                text = printable(" ".join(f"{type(error).__name__}: {error}".split()))
                tell(f"a record of memory cannot be logged: {text}")


def _since(last: _Seen, seen: _Seen) -> tuple[int | None, int | None]:
    """The change of RSS, and the most that it has been since; None: not known."""
    then, now = last.brief, seen.brief
    if now.rss is None:
        return None, None
    if last.pid != seen.pid or then.rss is None:
        return None, now.rss
    rose = then.rss_peak is not None and now.rss_peak is not None and now.rss_peak > then.rss_peak
    return now.rss - then.rss, now.rss_peak if rose else now.rss


def _document(level: int, values: dict[str, Any]) -> str:
    time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    head = {"time": time, "level": logging.getLevelName(level).lower(), "event": EVENT}
    return _json.dumps({**head, **values})


def interval_of(written: str | float) -> float:
    """Seconds. Raises UsageError: it is no time, or too short."""
    try:
        seconds = parse_seconds(written)
    except ValueError as error:
        raise UsageError(f"log={error}") from None
    if seconds < LEAST:
        raise UsageError(f"log={written!r} is too often: say {LEAST:g} seconds or more")
    return seconds


def start(
    interval: str | float = "60s",
    *,
    logger: object = None,
    json: bool = False,
    budgets: Written = None,
) -> Callable[[], None]:
    """A record each ``interval`` (seconds, or ``"5 min"``), the first after one; ends with what is
    returned, and with the process. Goes on in forked children, each of which logs for itself.

    ``logger``: one of logging, which gets a message and figures as ``extra``, or of structlog,
    which gets an event with figures. None: ``heaptide.monitor``, of structlog if the program has
    set that up. ``json``: the message is a document of one line. ``budgets``: a file, a preset's
    name, or True for the project's; a record is a warning while one of them is exceeded, or while
    less than a tenth is left of the control group's limit.

    Raises UsageError: the time, the logger or the budgets make no sense.
    """
    log = Log(logger=logger, json=json, budgets=budgets)
    every = Every(interval_of(interval), log.record, "heaptide-log")
    every.start()
    return every.stop
