"""What is asked of a test: its marks over the defaults of the project and of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from heaptide.budgets import Limit, parse_limit
from heaptide.errors import UsageError
from heaptide.testing._measures import MEASURES
from heaptide.testing._suppress import Suppression, parse

if TYPE_CHECKING:
    import pytest

MARK = "memory"


@dataclass(frozen=True)
class Settings:
    """Of one test. ``limits``: by the names of measures."""

    limits: Mapping[str, Limit] = field(default_factory=dict)
    warmup: int = 0
    repeats: int = 1
    isolate: bool = False
    threads: bool = False
    gc: bool = False  # left on within the test
    baseline: bool = True
    vary: float = 0.0  # by how much repeats may differ, as a part
    suppress: tuple[Suppression, ...] = ()  # leaks that are allowed
    suppress_objects: tuple[Suppression, ...] = ()  # objects that may stay alive

    @property
    def repeats_for_leaks(self) -> bool:
        """Whether the body is to be repeated until growth has stopped."""
        return bool({"leaked", "growth"} & set(self.limits))


_SUPPRESS: Final = ("suppress", "suppress_objects")
_OPTIONS: Final = (
    *("warmup", "repeats", "isolate", "threads", "gc", "baseline", "vary"),
    *_SUPPRESS,
)


def limited_to(settings: Settings, names: Iterable[str]) -> Settings:
    """With limits of these names only."""
    kept = {name: settings.limits[name] for name in names if name in settings.limits}
    return replace(settings, limits=kept)


def settings_of(item: pytest.Item, defaults: Settings) -> Settings:
    """Those of the marks of a test, the closest first, over ``defaults``.

    Raises UsageError, naming the test: a mark says what makes no sense.
    """
    said: dict[str, Any] = {}
    suppressed: list[dict[str, Any]] = []  # these add up
    for mark in item.iter_markers(MARK):
        written = dict(mark.kwargs)
        if mark.args:
            if len(mark.args) > 1 or "peak" in written:
                raise UsageError(f"{item.nodeid}: memory(...) takes one amount, the peak, by place")
            written["peak"] = mark.args[0]
        for name, value in written.items():
            if name in _SUPPRESS:
                suppressed.append({name: value})
            else:
                said.setdefault(name, value)
    try:
        for one in reversed(suppressed):
            defaults = with_options(defaults, one)
        return with_options(defaults, said)
    except UsageError as error:
        raise UsageError(f"{item.nodeid}: {error.message}") from None


def with_options(settings: Settings, said: Mapping[str, Any]) -> Settings:
    """``settings`` with what was said over them: limits, None for none, and options.

    Raises UsageError: no such name, or a value that makes no sense.
    """
    limits = dict(settings.limits)
    changed: dict[str, Any] = {}
    for name, value in said.items():
        if name in MEASURES:
            if value is None:
                limits.pop(name, None)
            else:
                limits[name] = _limit(name, value)
        elif name in _SUPPRESS:
            changed[name] = () if value is None else getattr(settings, name) + parse(name, value)
        elif name in _OPTIONS:
            changed[name] = _option(name, value)
        else:
            known = [*MEASURES, *_OPTIONS]
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise UsageError(f"{name} is nothing that memory knows{hint}: {', '.join(known)}")
    found = replace(settings, limits=limits, **changed)
    if "live_objects" in limits and found.gc:
        raise UsageError("live_objects needs Python's collector off in the body: not with gc=True")
    if "rss" in limits and not found.isolate:
        raise UsageError(
            "rss can be measured in a process of its own only: isolate=True, or --memory-isolate"
        )
    return found


def limits_of_lines(lines: Iterable[str]) -> list[tuple[str, str, str]]:
    """``peak = 100 MB``, or ``tests/unit: peak = 10 MB``, as (folder, name, limit).

    Raises UsageError for other lines.
    """
    found = []
    for line in lines:
        folder, _, rest = line.rpartition(":")
        name, equals, limit = rest.partition("=")
        if not equals or not name.strip() or not limit.strip():
            raise UsageError(f"{line!r} is no limit: say NAME = LIMIT, or FOLDER: NAME = LIMIT")
        _limit(name.strip(), limit.strip())
        found.append((folder.strip().strip("/"), name.strip(), limit.strip()))
    return found


def _limit(name: str, value: object) -> Limit:
    if name not in MEASURES:
        raise UsageError(f"{name} cannot be limited: choose of {', '.join(MEASURES)}")
    try:
        return parse_limit(value, MEASURES[name].unit)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _option(name: str, value: object) -> object:
    if name in ("warmup", "repeats"):
        least = 0 if name == "warmup" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{name}={value!r}: it is a number, at least {least}")
        return value
    if name == "vary":
        try:
            return parse_limit(value, "ratio").value
        except ValueError as error:
            raise UsageError(f"vary: {error}") from None
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value!r}: it is True or False")
    return value
