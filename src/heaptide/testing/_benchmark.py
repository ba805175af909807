"""The fixture ``memory_benchmark``: what an iteration of a function costs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pytest

from heaptide.errors import HeaptideError, UsageError
from heaptide.inside import Measured, measure
from heaptide.inside._measuring import measuring
from heaptide.testing._garbage import no_collections
from heaptide.testing._results import TestResult
from heaptide.testing._run import attach, hold_to_baseline, recorded

if TYPE_CHECKING:
    from heaptide.testing._project import Project

_ITERATIONS, _WARM_UP, _ROUNDS = 10, 2, 3


class MemoryBenchmark:
    """Call it once in a test. ``figures``: what an iteration allocates, and the peak of all."""

    def __init__(self, item: pytest.Item, project: Project) -> None:
        self.figures: dict[str, float] = {}
        self._item = item
        self._project = project
        self._result: TestResult | None = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs ``function`` some times, and measures it some times more."""
        return self.pedantic(function, args, kwargs)

    def pedantic(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        iterations: int = _ITERATIONS,
        warmup: int = _WARM_UP,
        rounds: int = _ROUNDS,
    ) -> Any:
        """``rounds`` times ``iterations`` calls, after ``warmup`` ones; the least round counts.

        Raises UsageError: called before in this test, or numbers that make no sense.
        """
        if self._result is not None:
            raise UsageError("memory_benchmark has been called in this test: once is all")
        if iterations < 1 or rounds < 1 or warmup < 0:
            raise UsageError("iterations and rounds are at least 1, warmup at least 0")
        call = functools.partial(function, *args, **kwargs) if kwargs else function
        places = () if kwargs else args
        settings = self._project.defaults
        # In a test that is measured itself, its recording goes on.
        kept = None
        if not measuring.active:
            kept = self._project.recording_of(self._item.nodeid, settings)
        result = None
        measured: list[Measured] = []
        try:
            with recorded(kept):
                for _ in range(warmup):
                    result = call(*places)
                for _ in range(rounds):
                    result, figures = _round(call, places, iterations, settings.threads)
                    measured.append(figures)
        except HeaptideError as error:
            pytest.fail(f"memory: {error}", pytrace=False)
        found = self._result = self._keep(measured, iterations)
        hold_to_baseline(found, settings, self._project, kept)
        attach(self._item, found)
        for name, value in self.figures.items():
            self._item.user_properties.append((f"memory.iteration.{name}", value))
        if found.problems:
            pytest.fail("\n".join(found.problems), pytrace=False)
        return result

    def _keep(self, measured: list[Measured], iterations: int) -> TestResult:
        best = min(measured, key=lambda one: (one.allocations, one.bytes))
        all_ = asdict(best)
        self.figures = {
            name: _share(all_[name], iterations)
            for name in ("allocations", "reallocs", "bytes", "temporary", "copied", "live")
        }
        self.figures["peak"] = min(one.peak for one in measured)
        return TestResult(
            self._item.nodeid,
            "ok",
            {
                "peak": self.figures["peak"],
                "total": self.figures["bytes"],
                "allocations": self.figures["allocations"],
            },
            repeats=len(measured),
            benchmark={**self.figures, "iterations": iterations},
        )


def _share(total: int, iterations: int) -> float:
    whole, rest = divmod(total, iterations)
    return total / iterations if rest else whole


def _round(
    call: Callable[..., Any], args: tuple[Any, ...], iterations: int, threads: bool
) -> tuple[Any, Measured]:
    result = None
    turns = repeat(None, iterations)
    with no_collections():
        measurement = measure("process" if threads else "thread")
        measurement.__enter__()  # no `with`, see Body
        try:
            for _ in turns:
                result = None  # what the call before has given is not alive in this one
                result = call(*args)
        finally:
            measurement.__exit__(None, None, None)
    return result, measurement.figures
