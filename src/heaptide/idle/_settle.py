"""When a program has settled: its memory stays within a tolerance for a while."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_LEAST_SAMPLES = 4
_SLACK = (
    64 << 10
)  # bytes; of a program of 2 MB a few pages are more than any part that is asked for


@dataclass(frozen=True)
class Rule:
    """``window``, ``timeout``, ``interval`` in seconds; ``tolerance``: a part of the level."""

    window: float = 3.0
    tolerance: float = 0.005
    timeout: float = 30.0
    interval: float = 0.25


@dataclass(frozen=True)
class Sample:
    """``time`` in seconds, the rest in bytes: sums over the processes."""

    time: float
    pss: int
    private_dirty: int
    processes: int


@dataclass(frozen=True)
class Settled:
    """``seconds``: how long was waited. ``steady``: from when on, of that, nothing moved any more;
    None: it did not converge."""

    converged: bool
    seconds: float
    steady: float | None
    range: int  # bytes that PSS went up and down by in the last window


class Settling:
    """Takes samples in the order of time, and says when the program has settled.

    It has when, over a window, PSS and private dirty memory have each stayed within the tolerance,
    the part of their highest or 64 KiB, and no process has come or gone.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._window: deque[Sample] = deque()
        self._start: float | None = None
        self._now = 0.0

    def add(self, sample: Sample) -> bool:
        """Whether it has settled."""
        if self._start is None:
            self._start = sample.time
        self._now = sample.time
        window = self._window
        window.append(sample)
        # The first of the window is the last that is at least as old as the window is long; where
        # looking takes long, the window is as long as a few looks.
        while len(window) > _LEAST_SAMPLES and sample.time - window[1].time >= self._rule.window:
            window.popleft()
        return self.converged

    @property
    def converged(self) -> bool:
        window = self._window
        if len(window) < _LEAST_SAMPLES or self._now - window[0].time < self._rule.window:
            return False
        if len({sample.processes for sample in window}) > 1:
            return False
        return self._steady([s.pss for s in window]) and self._steady(
            [s.private_dirty for s in window]
        )

    @property
    def expired(self) -> bool:
        """Whether there has been time enough."""
        return self._start is not None and self._now - self._start >= self._rule.timeout

    def result(self) -> Settled:
        """What came of it; after at least one sample."""
        assert self._start is not None
        pss = [sample.pss for sample in self._window]
        steady = self._window[0].time - self._start if self.converged else None
        return Settled(self.converged, self._now - self._start, steady, max(pss) - min(pss))

    def _steady(self, values: list[int]) -> bool:
        allowed = max(self._rule.tolerance * max(values), _SLACK)
        return max(values) - min(values) <= allowed
