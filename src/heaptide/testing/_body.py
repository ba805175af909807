"""Running the body of a test: warm-ups, measured repeats, repetitions of the leak check."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heaptide.errors import HeaptideError
from heaptide.inside import Measured, Measurement, measure
from heaptide.testing._garbage import is_frozen, no_collections
from heaptide.testing._measures import Figures
from heaptide.testing._objects import Survivors
from heaptide.testing._settings import Settings
from heaptide.testing._where import PeakHeld

if TYPE_CHECKING:
    from heaptide.testing._between import Between
    from heaptide.testing._repetitions import Repetitions

Function = Callable[..., Any]


@dataclass
class Body:
    """One test's body, measured as ``settings`` say whenever its wrapper is called."""

    settings: Settings
    between: Between | None = None
    measurements: list[Measurement] = field(default_factory=list)
    repetitions: Repetitions | None = None
    held: PeakHeld = field(init=False)
    survivors: Survivors | None = None

    def __post_init__(self) -> None:
        self.held = PeakHeld(self.settings.limits.get("peak"))
        if "live_objects" in self.settings.limits and not is_frozen():
            self.survivors = Survivors(self.settings.suppress_objects)

    @property
    def failed(self) -> bool:
        """Whether a subtest has, in the last run: then there is no further one."""
        return self.between is not None and self.between.subtests.failed

    def wrap(self, function: Function) -> Function:
        """What pytest calls in place of ``function``; a coroutine function stays one."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_coroutine(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                return await self._run_coroutine(*_in_order(function, args, kwargs))

            return measured_coroutine

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return self._run(*_in_order(function, args, kwargs))

        return measured

    def _run(self, function: Function, args: tuple[Any, ...]) -> Any:
        __tracebackhide__ = True
        result = None
        for turn in range(self.settings.warmup):
            with self._repeated(turn, "warm-up"):
                function(*args)
            if self.failed:
                return result
        for turn in range(self.settings.repeats):
            measurement = self._next()
            with self._repeated(turn + self.settings.warmup, "repeat"), self._in_control():
                # No `with`: that makes a method of its own to call, and frees it within the block.
                # Nothing between this and the body allocates.
                measurement.__enter__()
                try:
                    result = function(*args)
                finally:
                    measurement.__exit__(None, None, None)
                if self.survivors is not None:
                    self.survivors.look(measurement)
            if self.failed:
                return result
            self.held.look(measurement)
        if self.settings.repeats_for_leaks:
            repetitions = self._repetitions()
            with self._in_control(), repetitions:
                while repetitions.more():
                    with self._repeated(1, "repetition"):
                        function(*args)
                    if self.failed:
                        return result
                    repetitions.turn()
        return result

    async def _run_coroutine(self, function: Function, args: tuple[Any, ...]) -> Any:
        __tracebackhide__ = True
        result = None
        for turn in range(self.settings.warmup):
            with self._repeated(turn, "warm-up"):
                await function(*args)
            if self.failed:
                return result
        for turn in range(self.settings.repeats):
            measurement = self._next()
            with self._repeated(turn + self.settings.warmup, "repeat"), self._in_control():
                measurement.__enter__()
                try:
                    result = await function(*args)
                finally:
                    measurement.__exit__(None, None, None)
                if self.survivors is not None:
                    self.survivors.look(measurement)
            if self.failed:
                return result
            self.held.look(measurement)
        if self.settings.repeats_for_leaks:
            repetitions = self._repetitions()
            with self._in_control(), repetitions:
                while repetitions.more():
                    with self._repeated(1, "repetition"):
                        await function(*args)
                    if self.failed:
                        return result
                    repetitions.turn()
        return result

    @contextlib.contextmanager
    def _repeated(self, turn: int, what: str) -> Iterator[None]:
        """A body that fails only when it is run again is told to be at fault for that."""
        __tracebackhide__ = True
        if turn > 0 and self.between is not None:
            self.between.forget()
        try:
            yield
        except HeaptideError:
            raise
        except Exception as error:
            if turn > 0 and hasattr(error, "add_note"):
                error.add_note(
                    f"heaptide: the body has run before in this test, and failed in a {what}: "
                    "where a test is repeated (warmup, repeats, leaked, growth), its body has to "
                    "be repeatable"
                )
            raise

    def _repetitions(self) -> Repetitions:
        from heaptide.testing._repetitions import Repetitions

        self.repetitions = Repetitions(self.settings.threads, self.settings.suppress)
        return self.repetitions

    def _next(self) -> Measurement:
        measurement = measure("thread")
        if self.settings.threads:
            measurement.peak_scope = "process"
        self.measurements.append(measurement)
        return measurement

    @contextlib.contextmanager
    def _in_control(self) -> Iterator[None]:
        """Without collections in the middle, tracers that have seen the body, bytecode files."""
        wrote, tracer = sys.dont_write_bytecode, None
        with contextlib.nullcontext() if self.settings.gc else no_collections():
            sys.dont_write_bytecode = True
            if self.settings.warmup:  # what traces lines has had its turn
                tracer = sys.gettrace()
                if tracer is not None:
                    sys.settrace(None)
            try:
                yield
            finally:
                if tracer is not None:
                    sys.settrace(tracer)
                sys.dont_write_bytecode = wrote

    def figures(self) -> Figures | None:
        """What was measured; None: nothing was, the body has not run."""
        if not self.measurements:
            return None
        shares = [_shares(one, self.settings) for one in self.measurements]
        own = [mine for mine, _ in shares]
        best = min(range(len(own)), key=lambda turn: (own[turn].allocations, own[turn].bytes))
        found = Figures(
            own=_least(own),
            others=shares[best][1],
            repeats=len(own),
            counts=[one.allocations for one in own],
        )
        if self.survivors is not None:
            found.live_objects = self.survivors.count
        if self.repetitions is not None:
            found.repetitions = self.repetitions.count
            found.leaked = self.repetitions.leaked
            found.growth = self.repetitions.growth
        return found


def _shares(measurement: Measurement, settings: Settings) -> tuple[Measured, Measured]:
    """What counts, and what other threads did."""
    others = measurement.others
    if others is None:  # somebody else records this process, and keeps no threads apart
        return measurement.figures, Measured(0, 0, 0, 0, 0, 0, 0, 0, 0)
    if settings.threads:
        assert measurement.whole is not None
        return measurement.whole, others
    return measurement.figures, others


def _least(all_: list[Measured]) -> Measured:
    """Figure by figure: what a repeat needs that nothing disturbs."""
    return Measured(
        **{name: min(getattr(one, name) for one in all_) for name in Measured.__dataclass_fields__}
    )


def _in_order(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Function, tuple[Any, ...]]:
    """The same call with arguments by place only: with a tuple that exists it allocates nothing."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        bound = None
    if bound is None or bound.kwargs:
        return functools.partial(function, *args, **kwargs), ()
    return function, bound.args
