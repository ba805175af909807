"""Readings of a base and of a new version, figure by figure: spread, difference, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from heaptide.budgets import Budgets, Result
from heaptide.budgets import exit_status as status_of
from heaptide.budgets._spread import Change, Spread, change, spread, unpaired
from heaptide.errors import UsageError

from ._figures import FIGURES, Figure, Reading
from ._readings import Readings

_CONSISTENT = 0.9  # of the pairs have to differ in the same direction
GREW, SHRANK, SAME, WITHIN, NOISE = "grew", "shrank", "same", "within", "noise"


@dataclass(frozen=True)
class Thresholds:
    """``relative``: a part of the base's median. ``mads``: combined deviations. What counts as a
    change is beyond both."""

    relative: float
    mads: float


@dataclass(frozen=True)
class Values:
    """The readings of one figure of one side, in the order of the runs, in its unit."""

    readings: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        return spread(self.readings)

    @property
    def same(self) -> int:
        """How many of the runs had the most frequent value, to the byte."""
        return max(Counter(self.readings).values())

    @property
    def exact(self) -> bool:
        return self.same == len(self.readings) > 1


@dataclass(frozen=True)
class Compared:
    """One figure. ``new`` None: not measured, and ``reason`` why; ``base`` None: that, or there is
    no base.

    ``verdict``: ``grew`` or ``shrank`` beyond both thresholds; ``same``: all readings are equal;
    ``within``: less than the relative one; ``noise``: more than that, but no more than readings
    stray, or not in nine of ten pairs; "": nothing to compare.

    ``higher``: the part of the pairs in which new was higher; of readings that were not taken in
    turn, each of one with each of the other. ``lower`` likewise.
    """

    figure: Figure
    judged: bool
    base: Values | None
    new: Values | None
    change: Change | None
    verdict: str
    reason: str = ""
    higher: float = 0.0
    lower: float = 0.0

    @property
    def regressed(self) -> bool:
        return self.judged and self.verdict == GREW


def compare(
    figures: Sequence[Figure],
    new: Readings,
    base: Readings | None,
    thresholds: Thresholds,
    *,
    paired: bool = True,
    asked: bool = False,
) -> list[Compared]:
    """``paired``: run in turn. ``asked``: all figures are judged, for somebody has named them."""
    found = []
    for figure in figures:
        ours, reason = _values(new.get(figure.name, []))
        theirs, missing = (None, "") if base is None else _values(base.get(figure.name, []))
        between, higher, lower = None, 0.0, 0.0
        if ours is not None and theirs is not None:
            between = (change if paired else unpaired)(theirs.readings, ours.readings)
            higher, lower = _directions(theirs.readings, ours.readings, paired)
        found.append(
            Compared(
                figure=figure,
                judged=figure.judged or asked,
                base=theirs,
                new=ours,
                change=between,
                verdict="" if between is None else _verdict(between, thresholds, higher, lower),
                reason=reason or (f"of the base: {missing}" if missing else ""),
                higher=higher,
                lower=lower,
            )
        )
    return found


def _values(readings: list[Reading]) -> tuple[Values | None, str]:
    missing = [reading.reason for reading in readings if reading.value is None]
    if missing:
        return None, missing[0]
    if not readings:
        return None, "not measured"
    return Values(tuple(reading.value for reading in readings if reading.value is not None)), ""


def _directions(base: Sequence[float], new: Sequence[float], paired: bool) -> tuple[float, float]:
    """The parts of the pairs in which new is higher, and lower."""
    pairs = list(zip(base, new) if paired else product(base, new))
    higher = sum(after > before for before, after in pairs)
    lower = sum(after < before for before, after in pairs)
    return higher / len(pairs), lower / len(pairs)


def _verdict(between: Change, thresholds: Thresholds, higher: float, lower: float) -> str:
    relative, mads = thresholds.relative, thresholds.mads
    if between.grew(relative, mads) and higher >= _CONSISTENT:
        return GREW
    if between.shrank(relative, mads) and lower >= _CONSISTENT:
        return SHRANK
    ends = (between.base.minimum, between.base.maximum, between.new.minimum, between.new.maximum)
    if len(set(ends)) == 1:
        return SAME
    return WITHIN if abs(between.difference) <= relative * between.base.median else NOISE


def hold(compared: Iterable[Compared], budgets: Budgets) -> list[Result]:
    """The medians of the new version, held to ``budgets``, those of ``budgets_for``."""
    found = {one.figure.name: one for one in compared}
    results = []
    for name, limit in budgets.limits.items():
        one = found[name]
        value = None if one.new is None else one.new.spread.median
        results.append(Result.of(name, f"{one.figure.words}, median", limit, value, one.reason))
    return results


def budgets_for(options: Iterable[str], figures: Iterable[Figure]) -> Budgets:
    """Budgets of options, for what is measured. Raises UsageError."""
    from heaptide.budgets import from_options

    budgets = from_options(options)
    measured = [figure.name for figure in figures if figure.is_budget]
    for name in (*budgets.limits, *(f"modules.{module}" for module in budgets.modules)):
        if name not in FIGURES:
            raise UsageError(
                f"the budget {name}: bench does not measure it; heaptide check does, in one run"
            )
        if name not in measured:
            raise UsageError(f"the budget {name}: it is not measured; add --metric {name}")
    return budgets


def exit_status(compared: Iterable[Compared], results: Sequence[Result], *, asked: bool) -> int:
    """2: what was asked for could not be measured; 1: a regression, or a budget was exceeded."""
    figures, held = list(compared), status_of(results)
    unmeasured = [one for one in figures if one.reason]
    if held == 2 or (unmeasured and (asked or len(unmeasured) == len(figures))):
        return 2
    return 1 if held or any(one.regressed for one in figures) else 0
