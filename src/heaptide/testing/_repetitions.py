"""The leak check of a test: what was live after each repetition of its body, by place."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.errors import LaunchError
from heaptide.inside._agent import agent
from heaptide.inside._frames import Frame, Stack
from heaptide.inside._measuring import measuring
from heaptide.inside._stacks import Namer, sums_by_stack
from heaptide.recording import Recording
from heaptide.testing._garbage import set_aside
from heaptide.testing._repetition import LEAST, MOST, Trend, decide, trend_of_place
from heaptide.testing._suppress import Suppression, allows_stack
from heaptide.testing._words import body_of, calls_body, of_plugin

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.integer[Any]]

_TOTAL = "all"


class Repetitions:
    """``with`` it, call the body and ``turn`` as long as there is ``more``; then read the rest.

    ``leaked``: bytes that each repetition adds, of the places that grow beyond doubt. ``growth``:
    the same of the whole heap, wherever it comes from. ``stacks``: of these places, the largest
    stack of each, with what the last half of the repetitions added.
    """

    def __init__(self, threads: bool, suppress: Sequence[Suppression] = ()) -> None:
        self.leaked = 0.0
        self.growth = 0.0
        self.decided = False
        self.stacks: list[Stack] = []
        self._threads = threads
        self._suppress = suppress
        self._allowed: dict[tuple[Frame, ...], bool] = {}  # stacks that have been asked about
        self._tid = threading.get_native_id()
        self._times: list[int] = []  # ends of repetitions, ns
        self._looks: list[dict[str, Trend]] = []
        self._next_look = LEAST
        self._begun = 0
        self._owns = False
        self._aside = set_aside()

    @property
    def count(self) -> int:
        """How many there have been."""
        return len(self._times)

    def __enter__(self) -> Repetitions:
        measuring.fresh()
        self._owns = measuring.begin(self)
        if not self._owns:
            raise LaunchError(
                "the leak check needs a recording of its own: run the tests without heaptide run "
                "or heaptide.record"
            )
        gc.collect()
        self._aside.__enter__()
        self._begun = self._now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._aside.__exit__(kind, error, traceback)
        measuring.end(self)

    def _now(self) -> int:
        number = agent().read()
        if number < 0:
            raise LaunchError("nothing is measured: the collector does not answer any more")
        return agent().snapshot(number).ns

    def more(self) -> bool:
        """Whether the body is to be run once more."""
        return not self.decided

    def turn(self) -> None:
        """The body has run."""
        gc.collect()
        self._times.append(self._now())
        if len(self._times) >= self._next_look:
            self._look()
            self._next_look *= 2

    def _look(self) -> None:
        last = len(self._times) >= MOST
        with measuring.written() as path:
            if path is None:
                raise LaunchError("what was measured cannot be read: the collector is gone")
            with Recording.open(path) as recording:
                places = _Places(recording, None if self._threads else self._tid)
                if self._suppress:
                    places.leave_out(self._is_allowed)
                live, blocks = places.live(self._begun, self._times)
                trends = {
                    str(place): trend_of_place(row, blocks[place])
                    for place, row in enumerate(live)
                    if row.any()
                }
                trends[_TOTAL] = trend_of_place(live.sum(axis=0), blocks.sum(axis=0))
                self._looks.append(trends)
                verdict = decide(self._looks, last=last)
                self.decided = verdict.decided
                self.growth = verdict.growing.pop(_TOTAL, 0.0)
                self.leaked = sum(verdict.growing.values())
                if verdict.decided and verdict.growing:
                    half = len(self._times) // 2
                    self.stacks = places.stacks(
                        [int(name) for name in verdict.growing],
                        (self._times[half], self._times[-1]),
                    )

    def _is_allowed(self, frames: tuple[Frame, ...]) -> bool:
        if frames not in self._allowed:
            self._allowed[frames] = allows_stack(self._suppress, frames)
        return self._allowed[frames]


class _Places:
    """The stacks of a recording by the place that they allocate in, and what of them counts:
    those within the body of the test, not those of what runs it."""

    def __init__(self, recording: Recording, tid: int | None) -> None:
        self._recording = recording
        self._names = Namer(recording)
        contexts = recording.contexts
        self._stack_of = contexts.stack.astype(np.int64)
        own_thread = (recording.threads.tid == threading.get_native_id())[contexts.thread]
        within, everywhere, self.count = self._by_stack()
        place = np.where(own_thread, within[self._stack_of], everywhere[self._stack_of])
        used = contexts.counted if tid is None else contexts.counted & own_thread
        self._place = np.where(used, place, -1)

    def _by_stack(self) -> tuple[Ints, Ints, int]:
        """For each stack the number of its place, if it is within the body (else -1); the same
        wherever it is; and how many places there are. A place is the innermost line of the user's
        own code, or else the innermost frame."""
        stacks, names = self._recording.stacks, self._names
        numbers: dict[str, int] = {}
        of_frame = [names.innermost(frame) for frame in range(len(self._recording.frames))]
        number = [numbers.setdefault(str(frame), len(numbers)) for frame in of_frame]
        own = [frame.own and frame.line > 0 for frame in of_frame]
        plugin = [of_plugin(frame) for frame in of_frame]
        body = [is_plugin and calls_body(of) for is_plugin, of in zip(plugin, of_frame)]
        count = len(stacks)
        within, everywhere = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        inside, chosen = [False] * count, [False] * count
        # Parents have lower numbers than what they lead to.
        for stack, (parent, frame) in enumerate(zip(stacks.parent.tolist(), stacks.frame.tolist())):
            below = parent >= 0
            if plugin[frame]:
                inside[stack] = body[frame]  # of the plugin itself; what it calls is the body
                continue
            inside[stack] = below and inside[parent]
            if own[frame] or not (below and chosen[parent]):
                everywhere[stack] = number[frame]
            else:
                everywhere[stack] = everywhere[parent]
            chosen[stack] = own[frame] or (below and chosen[parent])
            if inside[stack]:
                within[stack] = everywhere[stack]
        return within, everywhere, len(numbers)

    def leave_out(self, is_allowed: Callable[[tuple[Frame, ...]], bool]) -> None:
        """Counts no stack that may leak, by its frames within the body; asks of what has been alive
        at the end of a slice."""
        deltas = self._recording.deltas(0, len(self._recording.slices))
        changed = np.zeros(len(self._place), bool)
        changed[deltas.context[deltas.blocks_in != deltas.blocks_out]] = True
        changed &= self._place >= 0
        for stack in np.unique(self._stack_of[changed]).tolist():
            if is_allowed(body_of(self._names.frames(stack))):
                self._place[self._stack_of == stack] = -1

    def live(self, begun: int, times: list[int]) -> tuple[Ints, Ints]:
        """Bytes and blocks of each place after each repetition, above those at the beginning: both
        of shape (places, repetitions)."""
        recording = self._recording
        ends = recording.slices.end.astype(np.int64)
        first = int(np.searchsorted(ends, begun, side="right"))
        stop = int(np.searchsorted(ends, times[-1], side="right"))
        deltas = recording.deltas(first, stop)
        turn_of_slice = np.searchsorted(np.array(times), ends, side="left")
        offsets = deltas.offsets.astype(np.int64)
        slices = np.repeat(np.arange(first, stop), offsets[1:] - offsets[:-1])
        turn = turn_of_slice[slices]
        place = self._place[deltas.context]
        kept = (place >= 0) & (turn < len(times))
        at = place[kept], turn[kept]

        def sums(came: Counts, went: Counts) -> Ints:
            changes = np.zeros((max(self.count, 1), len(times)), np.int64)
            np.add.at(changes, at, (came.astype(np.int64) - went.astype(np.int64))[kept])
            return np.cumsum(changes, axis=1)

        return (
            sums(deltas.bytes_in, deltas.bytes_out),
            sums(deltas.blocks_in, deltas.blocks_out),
        )

    def stacks(self, places: list[int], span: tuple[int, int]) -> list[Stack]:
        """Of each place the stack that added most in the span."""
        sums = sums_by_stack(self._recording, *span, None)
        place_of = dict(zip(self._stack_of.tolist(), self._place.tolist()))
        best: dict[int, int] = {}
        added = sums.figures["live"].tolist()
        for row, stack in enumerate(sums.stack.tolist()):
            place = place_of[stack]
            if place not in best or added[row] > added[best[place]]:
                best[place] = row
        return [
            Stack(
                self._names.frames(int(sums.stack[best[place]])),
                **{name: int(column[best[place]]) for name, column in sums.figures.items()},
            )
            for place in places
            if place in best
        ]
