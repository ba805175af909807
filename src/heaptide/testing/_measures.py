"""What tests can be held to: figures of the body, and of its repetitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from heaptide.budgets import BYTES, CODE_MEASURES, COUNT

if TYPE_CHECKING:
    from heaptide.inside import Measured


@dataclass
class Figures:
    """What a test did. ``own``: the least of its repeats, of the test's own thread (or of all of
    them); ``others``: what other threads did in the same repeat."""

    own: Measured
    others: Measured
    repeats: int = 1
    counts: list[int] = field(default_factory=list)  # allocations, of each repeat
    repetitions: int = 0  # of the leak check; 0: there was none
    leaked: float | None = None  # bytes a repetition, of places that grow beyond doubt
    growth: float | None = None  # bytes a repetition, of all there is
    live_objects: int | None = None  # of Python, at the end
    rss: int | None = None  # peak resident size above that at the beginning


@dataclass(frozen=True)
class TestMeasure:
    """A limit's name, words and unit."""

    __test__ = False  # no test, whatever its name

    name: str
    words: str
    unit: str

    def of(self, figures: Figures) -> float | None:
        """None: it was not measured."""
        if self.name in CODE_MEASURES:
            return CODE_MEASURES[self.name].of(figures.own)
        found: float | None = getattr(figures, self.name)
        return found


MEASURES: Final = {
    **{one.name: TestMeasure(one.name, one.words, one.unit) for one in CODE_MEASURES.values()},
    "live_objects": TestMeasure("live_objects", "Python objects alive at the end", COUNT),
    "leaked": TestMeasure("leaked", "leaked by each repetition", BYTES),
    "growth": TestMeasure("growth", "growth with each repetition", BYTES),
    "rss": TestMeasure("rss", "peak RSS above the start", BYTES),
}

SHOWN: Final = ("peak", "total", "allocations")
"""In the summary, and in baselines."""
