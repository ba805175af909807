"""One call that starts what an application needs, and what it gives back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Optional

from heaptide.errors import UsageError

from ._environment import Options, complain, of_environment

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.metrics import MeterProvider
    from prometheus_client import CollectorRegistry

    from ._thresholds import Written

EVERY = "60s"  # for log=True


@dataclass(frozen=True)
class _Part:
    """``process``: where it runs, if it does not go on in forked children."""

    name: str
    stop: Callable[[], None]
    process: Optional[int] = None  # noqa: UP045 (evaluated by 3.9)


class Monitor:
    """What was started, until ``stop()``; a context manager too."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    @property
    def running(self) -> tuple[str, ...]:
        """Of ``prometheus``, ``opentelemetry``, ``log``: those that run in this process."""
        here = os.getpid()
        return tuple(part.name for part in self._parts if part.process in (None, here))

    def __repr__(self) -> str:
        return f"<heaptide.monitor.Monitor: {', '.join(self.running) or 'nothing runs'}>"

    def stop(self) -> None:
        """Ends all of it in this process; again, it does nothing."""
        global _current
        with _lock:
            if _current is self:
                _current = None
            here = os.getpid()
            while self._parts:
                part = self._parts.pop()
                # What a parent has is not ours to end: its thread is not here, and would be waited
                # for.
                if part.process in (None, here):
                    part.stop()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


_current: Monitor | None = None
_lock = threading.RLock()  # there is one monitor, whoever starts another meanwhile


def _after_in_child() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_in_child)


def monitor(
    *,
    prometheus: int | str | CollectorRegistry | None = None,
    opentelemetry: MeterProvider | bool | None = None,
    log: str | float | None = None,
    logger: object = None,
    json: bool | None = None,
    budgets: Written = None,
    objects: bool | None = None,
    alias: str | None = None,
) -> Monitor:
    """Tells what this process holds, by each way that is named, until ``stop()``. There is one
    monitor in a process: a second call ends what the first has started.

    ``prometheus``: a port (9100, ``"127.0.0.1:9100"``) to be served on, a registry of
    prometheus-client, or True for its default one. ``opentelemetry``: a MeterProvider, or True for
    the global one. ``log``: the time between two records (``"60s"``, 60), or True for a minute;
    ``logger``, ``json`` and ``budgets`` as `heaptide.monitor.logs.start` has them. ``objects``:
    count the objects that the collector of garbage tracks, 10 ms for a million at each reading.
    ``alias``: a name for RSS in Prometheus that there was before.

    What is not given is taken from the environment variable HEAPTIDE_MONITOR, if that is set; what
    is False stays off, and HEAPTIDE_MONITOR=off turns all off. What is wrong with the variable is
    told in a line on stderr, and the rest is started.

    Raises UsageError: an argument makes no sense. HeaptideError: a port cannot be had, or a package
    is missing. Then nothing runs.
    """
    for name, value in (("json", json), ("objects", objects)):
        if value not in (None, True, False):
            raise UsageError(f"{name}={value!r}: say True or False")
    said = of_environment()
    given = Options(prometheus, opentelemetry, log, json, budgets, objects, alias)
    with _lock:
        return _start(given, said, logger)


def _start(given: Options, said: Options | None, logger: object) -> Monitor:
    global _current
    if _current is not None:
        _current.stop()
    started = Monitor()
    if said is not None:
        for name, start in _STARTS.items():
            own, foreign = getattr(given, name), getattr(said, name)
            if not _wanted(foreign if own is None else own):
                continue
            try:
                started._parts.append(_part(start, given, said, logger, own is not None))
            except Exception as error:
                if own is not None:
                    started.stop()
                    raise
                complain(error)
    if _current is not None:  # a handler of signals has started it in between
        _current.stop()
    _current = started
    return started


def _part(
    start: Callable[[Options, object], _Part],
    given: Options,
    said: Options,
    logger: object,
    own: bool,
) -> _Part:
    """``own``: the program wants it. What the variable adds, budgets say, may be what is wrong: it
    is started without."""
    both = given.over(said)
    less = given if own else given.over(replace(said, budgets=None, alias=None))
    try:
        return start(both, logger)
    except Exception as error:
        if both == less:
            raise
        part = start(less, logger)
        complain(error)
        return part


def _wanted(value: Any) -> bool:
    """0 is a port that is to be found."""
    return value is not None and value is not False


def _log(options: Options, logger: object) -> _Part:
    from . import logs

    every = EVERY if options.log is True else options.log
    stop = logs.start(every, logger=logger, json=bool(options.json), budgets=options.budgets)
    return _Part("log", stop)


def _opentelemetry(options: Options, logger: object) -> _Part:
    from . import opentelemetry

    provider = None if options.opentelemetry is True else options.opentelemetry
    return _Part("opentelemetry", opentelemetry.start(provider, objects=bool(options.objects)))


def _prometheus(options: Options, logger: object) -> _Part:
    metrics = import_module("heaptide.monitor.prometheus")
    target = options.prometheus
    stop = metrics.start(target, objects=bool(options.objects), alias=options.alias)
    serves = target is not True and isinstance(target, (int, str))
    return _Part("prometheus", stop, os.getpid() if serves else None)


_STARTS: Final[dict[str, Callable[[Options, object], _Part]]] = {
    "prometheus": _prometheus,
    "opentelemetry": _opentelemetry,
    "log": _log,
}
