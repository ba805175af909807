"""``heaptide.measure``: exact figures of a block of code."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, overload

from heaptide._async import AsyncToo
from heaptide.errors import LaunchError, UsageError
from heaptide.inside._agent import PEAK_OF_PROCESS, PEAK_OF_THREAD, Agent, Apart, Snapshot, agent
from heaptide.inside._changing import changing
from heaptide.inside._measured import Measured
from heaptide.inside._measuring import measuring

if TYPE_CHECKING:
    from heaptide.inside._frames import Stack

SCOPES = ("process", "thread")


class _Entering:
    """``__enter__`` as ``with`` looks it up: a bound method that lives as long as the block.

    That of a function is made for ``with`` alone, and goes as soon as it has returned: in the
    block, where another one counts it.
    """

    @overload
    def __get__(
        self, of: None, owner: type[Measurement]
    ) -> Callable[[Measurement], Measurement]: ...
    @overload
    def __get__(self, of: Measurement, owner: type[Measurement]) -> Callable[[], Measurement]: ...
    def __get__(
        self, of: Measurement | None, owner: type[Measurement]
    ) -> Callable[..., Measurement]:
        if of is None:
            return owner._enter
        of._entering = of._enter
        return of._entering


class Measurement(AsyncToo):
    """The result of ``measure``: its figures can be read once the block has ended.

    ``scope`` is what they are of: ``process``, or ``thread`` for the thread that measured.
    ``whole``: those of the process, and ``others``: what other threads did, where the scope is a
    thread.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.peak_scope = scope  # whose peak ``held`` is of
        self.whole: Measured | None = None
        self.others: Measured | None = None
        self.start_ns = self.end_ns = 0  # since the recording's start
        self._measured: Measured | None = None
        self._agent: Agent | None = None
        self._window = -1
        self.thread_id = 0
        self._owns = False  # the recording is that of measurements
        self._pid = 0
        self._entering: Callable[[], Measurement] | None = None

    __enter__ = _Entering()

    def _enter(self) -> Measurement:
        if self._window >= 0:
            raise UsageError("this measurement is going on; make another one for each block")
        self._measured = None
        self._agent = library = agent()
        library.apart()  # until the window is open
        self._pid = os.getpid()
        library.about_to_open(0)
        try:
            with changing:
                self._owns = measuring.begin(self)
            self.thread_id = threading.get_native_id()
            if not self._owns and self.scope == "thread":
                self.scope = "process"  # who records this process does not keep threads apart
            if self._owns:
                of_thread = self.peak_scope == "thread"
                library.about_to_open(PEAK_OF_THREAD if of_thread else PEAK_OF_PROCESS)
            # The last thing done here, and the first below: what is between is the block's.
            self._window = library.open()
            if self._window < 0:
                raise LaunchError(_reason(self._window))
        except BaseException:  # a signal's, too
            with changing:
                self._window = library.opened()
                self._leave()
            library.back()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            number = self._window
            if number >= 0:
                number = self._agent.finish()  # type: ignore[union-attr]
            agent().apart()
            self._finish(number)
        finally:
            try:
                with changing:
                    self._leave()
            finally:
                agent().back()

    def _leave(self) -> None:
        """The block is over, however it has ended."""
        window, self._window = self._window, -1
        self._entering = None
        if self._pid != os.getpid():  # both are the parent's
            return
        agent().close(window)
        measuring.end(self)

    def _finish(self, number: int) -> None:
        library = agent()
        window = self._window
        if self._pid != os.getpid():
            raise LaunchError("nothing was measured: the block has begun in the parent process")
        if window < 0 or number < 0:
            raise LaunchError(_reason(min(window, number)))
        before, after = library.window(window), library.snapshot(number)
        if before.generation != after.generation:
            raise LaunchError(
                "what was measured is not known: the process was forked, or its recording "
                "ended, in the middle of it"
            )
        if self.scope == "thread" and after.tid != self.thread_id:
            raise UsageError(
                "a block of one thread has ended in another; measure(scope='process') does that"
            )
        self._keep(before, after)

    def _keep(self, before: Snapshot, after: Snapshot) -> None:
        self.start_ns, self.end_ns = before.ns, after.ns
        self.whole = whole = Measured.between(before.process, after.process)
        if self.scope == "process":
            self._measured = whole
            return
        self._measured = own = Measured.between(before.thread, after.thread)
        self.others = whole.without(own)

    @property
    def figures(self) -> Measured:
        """All of them. Raises UsageError while the block goes on, or before it."""
        if self._measured is None:
            raise UsageError("nothing has been measured yet: the figures are there after the block")
        return self._measured

    @property
    def allocations(self) -> int:
        """Calls to allocation functions, reallocations among them."""
        return self.figures.allocations

    @property
    def reallocs(self) -> int:
        """Reallocations of blocks that existed."""
        return self.figures.reallocs

    @property
    def frees(self) -> int:
        """Blocks that were freed, of those that were seen to be allocated."""
        return self.figures.frees

    @property
    def bytes(self) -> int:
        """Allocated in total."""
        return self.figures.bytes

    @property
    def peak(self) -> int:
        """The most bytes that were live at one time, above those at the beginning."""
        return self.figures.peak

    @property
    def live(self) -> int:
        """Bytes that are live now and were not at the beginning; below 0: more were freed."""
        return self.figures.live

    @property
    def live_blocks(self) -> int:
        """Of as many blocks."""
        return self.figures.live_blocks

    @property
    def temporary(self) -> int:
        """Allocations that were freed before the thread's next one."""
        return self.figures.temporary

    @property
    def copied(self) -> int:
        """Bytes, the most that reallocations can have copied."""
        return self.figures.copied

    def stacks(self, limit: int = 10, *, by: str = "bytes") -> list[Stack]:
        """Where most was allocated in the block, or, by ``live``, what of it is alive at its end:
        at most ``limit`` stacks, the largest first.

        Until the next measurement that begins when none goes on. Costs some milliseconds for each
        thousand stacks. Raises UsageError if somebody else records this process, or for another
        ``by``.
        """
        if by not in ("bytes", "live"):
            raise UsageError(f"by={by!r}: it is bytes or live")
        _ = self.figures  # there are some
        if not self._owns:
            raise UsageError("this process is recorded by somebody else: its stacks are there")
        with Apart():
            from heaptide.inside._stacks import stacks_of

            return stacks_of(self, limit, by)

    def held(self, limit: int = 10) -> list[Stack]:
        """What the block's peak was made of: at most ``limit`` stacks, the largest first. Their
        ``live`` and ``live_blocks`` are of that moment, above the block's beginning, their
        ``bytes`` and ``allocations`` of the whole block.

        Exact, for the outermost of blocks within one another, and as long as ``stacks`` are there.
        Raises UsageError where it is not known, or somebody else records this process.
        """
        figures = self.figures
        if not self._owns:
            raise UsageError("this process is recorded by somebody else: its peak is there")
        if self.peak_scope == "process" and self.whole is not None:
            figures = self.whole
        with Apart():
            from heaptide.inside._held import held_by

            return held_by(self, figures, limit)

    def __repr__(self) -> str:
        if self._measured is None:
            return f"<measurement of this {self.scope}, no figures yet>"
        return f"<measurement of this {self.scope}: {self._measured}>"


def measure(scope: str = "process") -> Measurement:
    """Measures a ``with`` block: what it allocates, exactly, by whatever language.

    ``scope``: ``process`` or ``thread``, the thread that measures. Raises UsageError: there is no
    such scope; LaunchError: the recorder cannot be started.
    """
    if scope not in SCOPES:
        raise UsageError(f"scope={scope!r}: it is one of {', '.join(SCOPES)}")
    return Measurement(scope)


def _reason(number: int) -> str:
    return {
        -5: "too many measurements go on at one time: at most 256",
        -4: "nothing was measured: the collector does not answer any more",
    }.get(number, "nothing was measured: the recording of this process has ended")
