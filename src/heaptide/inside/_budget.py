"""``heaptide.budget``: limits for a block of code or a function, while it runs."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar, cast

from heaptide._async import AsyncToo
from heaptide.budgets import Result, code_limits, judge
from heaptide.errors import HeaptideError, UsageError
from heaptide.inside._agent import Apart
from heaptide.inside._frames import Stack
from heaptide.inside._measure import Measurement, measure

Function = TypeVar("Function", bound=Callable[..., Any])

# Some can be called, and are not what they were behind a function.
_NO_FUNCTIONS = (type, property, functools.cached_property, staticmethod, classmethod)
_PLACES = 3
_READ = 50  # stacks, of which some are at the same place


class BudgetError(HeaptideError, AssertionError):
    """Code has gone over its budget. ``results``: one for each limit."""

    def __init__(self, message: str, results: list[Result]) -> None:
        super().__init__(message)
        self.results = results


class Budget(AsyncToo):
    """Holds what it surrounds to its limits: ``with``, ``async with``, or as a decorator of a
    function or a coroutine function: each call is measured by itself.

    ``measured``: the figures of the last block that has ended.
    """

    def __init__(self, limits: dict[str, object], scope: str) -> None:
        self._limits = code_limits(limits)
        if not self._limits:
            raise UsageError('a budget needs a limit: heaptide.budget(peak="24 MB")')
        self._scope = scope
        measure(scope)  # raises if there is none of that name
        self.measured: Measurement | None = None
        self._open: list[Measurement] = []

    def __enter__(self) -> Budget:
        measurement = measure(self._scope)
        self._open.append(measurement)
        try:
            measurement.__enter__()
        except BaseException:
            self._open.pop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        measurement = self._open[-1]
        measurement.__exit__(kind, error, traceback)
        self._open.pop()
        self.measured = measurement
        if kind is None:  # what fails is not judged
            with Apart():
                _judge(measurement, self)

    def judge(self, measurement: Measurement) -> list[Result]:
        """A result for each limit."""
        return judge(measurement.figures, self._limits)

    def __call__(self, function: Function) -> Function:
        if isinstance(function, _NO_FUNCTIONS) or not callable(function):
            raise UsageError(
                f"a {type(function).__name__} is no function to hold to a budget; "
                "put @heaptide.budget on a function itself, below @property and its like"
            )
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise UsageError(
                f"{function.__qualname__} is a generator, which has no end to be judged at; "
                "use `with heaptide.budget(...)` around what consumes it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def held(*args: Any, **kwargs: Any) -> Any:
                with copy.copy(self):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def held(*args: Any, **kwargs: Any) -> Any:
                with copy.copy(self):
                    return function(*args, **kwargs)

        return cast(Function, held)

    def __copy__(self) -> Budget:
        """The same limits for a call of its own: calls may overlap."""
        other = Budget.__new__(Budget)
        other._limits, other._scope = self._limits, self._scope
        other.measured, other._open = None, []
        return other


def budget(*, scope: str = "process", **limits: object) -> Budget:
    """Limits for a block or a function: ``budget(peak="24 MB", allocations=1000, live=0)``.

    Names: peak, total, allocations, reallocations, copied, temporary, live, live_blocks; amounts
    as in docs/budgets.md. Going over one raises BudgetError, which is an AssertionError.
    Raises UsageError for what is no limit.
    """
    with Apart():
        return Budget(limits, scope)


def _judge(measurement: Measurement, budget: Budget) -> None:
    from heaptide.views.budgets import sentence

    results = budget.judge(measurement)
    over = [result for result in results if result.status == "over"]
    if not over:
        return
    words = "; ".join(sentence(result) for result in over)
    raise BudgetError(f"over budget: {words}{_where(measurement, over)}", results)


def _where(measurement: Measurement, over: Sequence[Result]) -> str:
    """What held the peak, if that is over, or else where most was allocated, in words."""
    if over[0].budget == "peak":
        with contextlib.suppress(HeaptideError):
            places = _places(measurement.held(_READ), "live")
            return f"; the peak was held by {places}" if places else ""
    try:
        places = _places(measurement.stacks(_READ), "bytes")
    except HeaptideError as error:
        return f"; where it was allocated is not known: {error}"
    return f"; most was allocated in {places}" if places else ""


def _places(stacks: Sequence[Stack], figure: str) -> str:
    sums: Counter[str] = Counter()
    for stack in stacks:
        if stack.place is not None:
            sums[str(stack.place)] += getattr(stack, figure)
    return ", ".join(f"{place} {size:,} bytes" for place, size in sums.most_common(_PLACES))
