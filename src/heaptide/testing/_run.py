"""One measured test: its body run, its figures judged, what became of it attached to its report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import TestCase

import pytest

from heaptide.budgets import Limit, Result
from heaptide.errors import HeaptideError
from heaptide.inside import measure
from heaptide.inside._measuring import measuring
from heaptide.testing._baseline import Compared
from heaptide.testing._between import Between
from heaptide.testing._body import Body
from heaptide.testing._measures import MEASURES, SHOWN, Figures
from heaptide.testing._results import PROPERTY, TestResult, plain
from heaptide.testing._settings import MARK
from heaptide.testing._where import Listing, listings, point_at, stacks_of
from heaptide.testing._words import ran_into, varying
from heaptide.views.budgets import sentence

if TYPE_CHECKING:
    from heaptide.testing._project import Project
    from heaptide.testing._settings import Settings

_SURE_BYTES = 50_000


@dataclass
class MeasuredTest:
    """Runs ``item`` by ``original``, its own way to run."""

    item: pytest.Function
    settings: Settings
    project: Project
    original: Callable[[], object]

    def __call__(self) -> None:
        """Raises what the test raises, or fails it."""
        if self.settings.isolate and self.project.isolated is None:
            from heaptide.testing._isolate import run_apart

            kept = self.project.recording_of(self.item.nodeid, self.settings)
            result = run_apart(self.item, self.project, kept)
            hold_to_baseline(result, self.settings, self.project, kept)
        else:
            found = self._here()
            if found is None:  # its report is not to have figures of an earlier run
                clear(self.item)
                return
            result = found
        attach(self.item, result)
        if result.problems:
            pytest.fail("\n".join(result.problems), pytrace=False)

    def _here(self) -> TestResult | None:
        """None: it is not judged, as a subtest has failed."""
        __tracebackhide__ = True
        between = Between(self.item)
        body = Body(self.settings, between)
        function = self.item.obj
        kept = self.project.recording_of(self.item.nodeid, self.settings)
        peak = _PeakRss() if self.settings.isolate else None
        found: list[Listing] = []
        over: set[str] = set()
        try:
            _be_sure()
            if self.settings.repeats_for_leaks:
                measuring.fresh()
            with between.subtests, recorded(kept):
                with _called_instead(self.item, body.wrap(function)):
                    self.original()
                if body.failed:
                    return None
                figures = body.figures()
                if figures is not None and peak is not None:
                    figures.rss = peak.above_start()
            results = []
            if figures is not None:
                values = {name: one.of(figures) for name, one in MEASURES.items()}
                results = judge(self.settings.limits, values)
            over = {one.budget for one in results if one.status == "over"}
            found = listings(over, body.measurements[-1], kept, body.held) if over else []
        except HeaptideError as error:
            return TestResult(self.item.nodeid, "error", {}, problems=[f"memory: {error}"])
        if figures is None:
            problem = (
                "memory: nothing was measured: the body of the test did not run where it could be "
                "seen (is it run by another plugin, or in another process?)"
            )
            return TestResult(self.item.nodeid, "error", {}, problems=[problem])
        result = self._result(figures, results)
        if body.repetitions is not None and body.repetitions.stacks:
            heading = f"what grows, in the last {(result.repetitions - 1) // 2} repetitions:"
            found.append(Listing(heading, body.repetitions.stacks, live=True))
        if body.survivors is not None and "live_objects" in over:
            result.problems += body.survivors.lines()
        explain(result, found)
        hold_to_baseline(result, self.settings, self.project, kept)
        if result.problems and not result.place:
            point_at(result, stacks_of(body.measurements[-1], None, "bytes"))
        return result

    def _result(self, figures: Figures, results: list[Result]) -> TestResult:
        names = dict.fromkeys([*SHOWN, *self.settings.limits])
        values = {name: MEASURES[name].of(figures) for name in names}
        others = Figures(figures.others, figures.others)
        found = TestResult(
            self.item.nodeid,
            "ok",
            {name: value for name, value in values.items() if value is not None},
            {name: limit.value for name, limit in self.settings.limits.items()},
            {name: float(MEASURES[name].of(others) or 0) for name in SHOWN},
            figures.repeats,
            figures.repetitions,
        )
        marked = self.item.get_closest_marker(MARK) is not None
        if marked and not figures.own.allocations and not _expects_nothing(self.settings.limits):
            found.status = "error"
            found.problems.append(
                "memory: nothing was measured: the body made no allocation at all. If that is what "
                "it has to do, say allocations=0"
            )
        if varying(figures.counts, self.settings.vary):
            found.status = "error"
            found.problems.append(
                "memory: the repeats do not agree: "
                f"{', '.join(f'{count:,}' for count in figures.counts)} calls to allocation "
                'functions. More warm-up (warmup=2), or an allowance (vary="2 %")'
            )
        tell(found, results)
        return found


@contextlib.contextmanager
def _called_instead(item: pytest.Function, function: Callable[..., object]) -> Iterator[None]:
    """``function`` is the test's. Coroutines of unittest are looked up by it, not by pytest."""
    original = item.obj
    case = getattr(original, "__self__", None)
    own = vars(case) if isinstance(case, TestCase) and iscoroutinefunction(function) else {}
    item.obj = own[item.name] = function
    try:
        yield
    finally:
        item.obj = original
        own.pop(item.name, None)


def judge(limits: Mapping[str, Limit], values: Mapping[str, float | None]) -> list[Result]:
    """A result for each limit; None: it was not measured."""
    reason = "it was not measured"
    return [
        Result.of(name, MEASURES[name].words, limit, values.get(name), reason)
        for name, limit in limits.items()
    ]


def tell(found: TestResult, results: Sequence[Result]) -> None:
    """Adds what was exceeded, or not measured."""
    bad = [result for result in results if result.status != "ok"]
    if bad:
        found.status = "over" if found.status == "ok" else found.status
        found.problems += [f"memory: {sentence(result)}" for result in bad]


def hold_to_baseline(
    result: TestResult, settings: Settings, project: Project, kept: Path | None
) -> None:
    """Compares with the baseline, and decides what becomes of the recording at ``kept``."""
    if not settings.baseline:
        result.baseline = "off"
    compared = project.compare(result, settings)
    if compared is not None:
        result.baseline, result.base = compared.status, compared.base
        if compared.higher:
            result.status = "over" if result.status == "ok" else result.status
            result.problems += _higher(compared, result)
    if kept is not None:
        recorded = project.keep(kept, result, compared.higher if compared is not None else ())
        result.problems += recorded.lines
        point_at(result, recorded.stacks)


def explain(result: TestResult, found: Sequence[Listing]) -> None:
    """Adds where it came from to what was told, and points at the first place."""
    if result.problems:
        for listing in found:
            result.problems += listing.lines()
    for listing in found:
        point_at(result, listing.stacks)


def attach(item: pytest.Item, result: TestResult) -> None:
    """Puts the result among the properties of the item's reports."""
    clear(item)
    if result.problems and not result.place:
        file, line, _ = item.reportinfo()
        result.place = [os.fspath(file), (line or 0) + 1]
    properties = item.user_properties
    for name, value in result.figures.items():
        properties.append((f"memory.{name}", plain(value)))
    for name, value in result.limits.items():
        properties.append((f"memory.limit.{name}", plain(value)))
    properties.append(("memory.status", result.status))
    properties.append((PROPERTY, result.to_json()))


def clear(item: pytest.Item) -> None:
    properties = item.user_properties
    properties[:] = [one for one in properties if not one[0].startswith((PROPERTY, "memory."))]


def _higher(compared: Compared, result: TestResult) -> list[str]:
    return [
        "memory: " + ran_into(name, result.figures[name], compared.base[name], exact=compared.exact)
        for name in compared.higher
    ]


def _expects_nothing(limits: object) -> bool:
    zero = ("allocations", "total", "peak")
    return isinstance(limits, dict) and any(
        name in limits and isinstance(limits[name], Limit) and limits[name].value == 0
        for name in zero
    )


class _User:
    """Of the session."""


@contextlib.contextmanager
def recorded(path: Path | None) -> Iterator[None]:
    """The session goes on from the first to the last repeat; at ``path``, if that is to be kept."""
    if path is not None:
        with measuring.into(path):
            yield
        return
    user = _User()
    owns = measuring.begin(user)
    try:
        yield
    finally:
        if owns:
            measuring.end(user)


_sure = False


def _be_sure() -> None:
    """Once in a process: what is allocated is seen. Raises HeaptideError."""
    global _sure
    if _sure:
        return
    with measure() as m:
        kept = bytes(_SURE_BYTES)
    if m.bytes < len(kept):
        raise HeaptideError(
            "the recorder sees nothing of what this interpreter allocates: heaptide run "
            "python -c 1 says why"
        )
    _sure = True


class _PeakRss:
    """The highest resident size of this process from now on."""

    def __init__(self) -> None:
        from heaptide.allocators import read_cheap

        self._read = read_cheap
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak is the size of now
        self._start = self._read().rss or 0

    def above_start(self) -> int:
        return max((self._read().peak_rss or 0) - self._start, 0)
