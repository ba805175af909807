"""The fixture ``memory_benchmark``: what an iteration of a function costs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pytest

from heaptide.errors import HeaptideError, UsageError
from heaptide.inside import Measured, Measurement, measure
from heaptide.inside._measuring import measuring
from heaptide.testing._garbage import no_collections
from heaptide.testing._results import PROPERTY, TestResult, plain, results_of
from heaptide.testing._run import (
    attach,
    explain,
    hold_to_baseline,
    judge,
    recorded,
    tell,
)
from heaptide.testing._settings import Settings, limited_to
from heaptide.testing._where import PeakHeld, listings, point_at, stacks_of

if TYPE_CHECKING:
    from heaptide.testing._project import Project

_ITERATIONS, _WARM_UP, _ROUNDS = 10, 2, 3

FIXTURE = "memory_benchmark"
LIMITS = ("peak", "total", "allocations", "reallocations", "copied", "temporary")
_COROUTINE = (
    f"{FIXTURE}: a call of a coroutine function only makes the coroutine: measure one that runs "
    "it, as lambda: asyncio.run(function())"
)
SETTINGS = pytest.StashKey[Settings]()


def take(item: pytest.Function, settings: Settings, *, marked: bool) -> None:
    """A test with the fixture: its limits are those of what the fixture measures, and that has to
    be called. Raises UsageError: a limit that it has ``marked`` is not for that."""
    own = [name for name in settings.limits if name not in LIMITS]
    if own and marked:
        raise UsageError(
            f"{item.nodeid}: {own[0]} cannot be limited in a test with {FIXTURE}: "
            f"choose of {', '.join(LIMITS)}"
        )
    item.stash[SETTINGS] = limited_to(settings, LIMITS)
    item.runtest = functools.partial(_run, item, item.runtest)  # type: ignore[method-assign]


def _run(item: pytest.Function, original: Callable[[], object]) -> None:
    __tracebackhide__ = True
    item.user_properties[:] = [one for one in item.user_properties if one[0] != PROPERTY]
    original()
    if not results_of(item.user_properties):
        pytest.fail(
            f"memory: nothing was measured: {FIXTURE} has not been called. Call "
            f"{FIXTURE}(function, *args), or do not ask for it",
            pytrace=False,
        )


class MemoryBenchmark:
    """Call it once in a test. ``figures``: what an iteration allocates, and the peak of all.

    Limits of the test are those of an iteration.
    """

    def __init__(self, item: pytest.Item, project: Project) -> None:
        self.figures: dict[str, float] = {}
        self._item = item
        self._project = project
        self._settings = item.stash.get(SETTINGS, project.defaults)
        self._result: TestResult | None = None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs ``function`` some times, and measures it some times more."""
        __tracebackhide__ = True
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

        Raises UsageError: called before in this test, or with what makes no sense.
        """
        __tracebackhide__ = True
        if self._result is not None:
            raise UsageError("memory_benchmark has been called in this test: once is all")
        _check_call(function, args, kwargs)
        _check_numbers(iterations=(iterations, 1), warmup=(warmup, 0), rounds=(rounds, 1))
        call = functools.partial(function, *args, **kwargs) if kwargs else function
        places = () if kwargs else args
        settings = self._settings
        kept = None
        if not measuring.active:
            kept = self._project.recording_of(self._item.nodeid, settings)
        result = None
        measured: list[Measurement] = []
        held = PeakHeld(settings.limits.get("peak"))
        try:
            with recorded(kept):
                for _ in range(warmup):
                    result = call(*places)
                    _check_result(result)
                for _ in range(rounds):
                    result, measurement = _round(call, places, iterations, settings.threads)
                    _check_result(result)
                    measured.append(measurement)
                    held.look(measurement)
        except HeaptideError as error:
            pytest.fail(f"memory: {error}", pytrace=False)
        found = self._result = self._keep([one.figures for one in measured], iterations)
        results = judge(settings.limits, self._amounts())
        found.limits = {name: limit.value for name, limit in settings.limits.items()}
        tell(found, results)
        over = {one.budget for one in results if one.status == "over"}
        most = f"most was allocated in, by {iterations} calls:"
        explain(found, listings(over, measured[-1], kept, held, most) if over else [])
        hold_to_baseline(found, settings, self._project, kept)
        if found.problems and not found.place:
            point_at(found, stacks_of(measured[-1], None, "bytes"))
        attach(self._item, found)
        for name, value in self.figures.items():
            self._item.user_properties.append((f"memory.iteration.{name}", plain(value)))
        if found.problems:
            pytest.fail("\n".join(found.problems), pytrace=False)
        return result

    def _amounts(self) -> dict[str, float | None]:
        """What can be limited, of an iteration."""
        one = self.figures
        calls = one["allocations"]
        return {
            "peak": one["peak"],
            "total": one["bytes"],
            "allocations": calls,
            "reallocations": one["reallocs"],
            "copied": one["copied"],
            "temporary": one["temporary"] / calls if calls else 0,
        }

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


def _check_call(function: object, args: object, kwargs: object) -> None:
    __tracebackhide__ = True
    if not callable(function):
        raise UsageError(f"{FIXTURE}: {function!r} cannot be called: the first is a function")
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, (Mapping, type(None))):
        raise UsageError(f"{FIXTURE}: args is a tuple of arguments, kwargs a dictionary")
    called = getattr(function, "__call__", None)  # noqa: B004 - the method, of an object
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called):
        raise UsageError(_COROUTINE)


def _check_result(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
        raise UsageError(_COROUTINE)


def _check_numbers(**numbers: tuple[object, int]) -> None:
    __tracebackhide__ = True
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{FIXTURE}: {name}={value!r}: it is a number, at least {least}")


def _share(total: int, iterations: int) -> float:
    whole, rest = divmod(total, iterations)
    return total / iterations if rest else whole


def _round(
    call: Callable[..., Any], args: tuple[Any, ...], iterations: int, threads: bool
) -> tuple[Any, Measurement]:
    __tracebackhide__ = True
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
    return result, measurement
