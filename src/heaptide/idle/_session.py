"""Several fresh starts of a program, or of two versions of it in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from heaptide.budgets import Change, Spread, change, spread
from heaptide.errors import LaunchError, OutputError
from heaptide.recorder import Target

from ._errors import StartError
from ._start import FIGURES, Plan, Start, measure_start

COMPARED = (
    "rss",
    "pss",
    "uss",
    "alone",
    "heap",
)  # swap says more about the machine than about a program
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Version:
    """A program, and what was measured of it. ``untraced``: why there is no traced heap; "" where
    there is, or where nobody asked."""

    target: Target
    starts: tuple[Start, ...]
    traced: tuple[Start, ...]
    untraced: str = ""

    def values(self, figure: str) -> list[float]:
        """One for each start that tells it, in bytes: the median of its readings."""
        starts = self.traced if figure == "heap" else self.starts
        found = [start.value(figure) for start in starts]
        return [value for value in found if value is not None]

    def spread(self, figure: str) -> Spread | None:
        """Of the values of the starts; None: no start tells."""
        values = self.values(figure)
        return spread(values) if values else None

    def spreads(self) -> dict[str, Spread]:
        """Of all figures that are known."""
        found = {figure: self.spread(figure) for figure in FIGURES}
        return {figure: one for figure, one in found.items() if one is not None}

    @property
    def unsettled(self) -> int:
        """How many starts were still moving when they were read."""
        return sum(not start.converged for start in self.starts)

    def typical(self) -> Start:
        """The start whose PSS is nearest to the median."""
        middle = self.spread("pss")
        assert middle is not None
        level = middle.median
        return min(self.starts, key=lambda start: abs((start.value("pss") or 0) - level))


@dataclass(frozen=True)
class Measured:
    """``base``: the version that ``new`` was measured against, in turn."""

    plan: Plan
    new: Version
    base: Version | None = None

    def changes(self) -> dict[str, Change]:
        """Of the figures that both tell in the same number of starts."""
        found: dict[str, Change] = {}
        for figure in COMPARED if self.base is not None else ():
            assert self.base is not None
            before, after = self.base.values(figure), self.new.values(figure)
            if before and len(before) == len(after):
                found[figure] = change(before, after)
        return found

    def grown(self) -> list[str]:
        """The figures that are higher beyond what is to be expected of chance."""
        return [figure for figure, one in self.changes().items() if one.grew()]


def measure(
    new: Target,
    plan: Plan,
    environment: Mapping[str, str],
    *,
    base: Target | None = None,
    starts: int = 5,
    traced: int = 1,
    progress: Progress = lambda done, total, what: None,
) -> Measured:
    """Starts each program ``starts`` times, and ``traced`` times more to be recorded.

    With a base, both are started in turn, and who begins changes each time. Raises StartError: a
    start could not be measured; the others are of no use then.
    """
    targets = {"new": new} if base is None else {"new": new, "base": base}
    plain: dict[str, list[Start]] = {name: [] for name in targets}
    recorded: dict[str, list[Start]] = {name: [] for name in targets}
    untraced = dict.fromkeys(targets, "")
    total = (starts + traced) * len(targets)
    for done, (number, name, is_traced) in enumerate(_order(list(targets), starts, traced)):
        of = f"{name}, " if base is not None else ""
        where = f"{of}{'traced ' if is_traced else ''}start {number + 1}"

        def say(step: str, done: int = done, where: str = where) -> None:
            progress(done, total, f"{where}: {step}")

        try:
            start = measure_start(targets[name], plan, environment, traced=is_traced, say=say)
        except StartError as error:
            error.place(where)
            raise
        except (LaunchError, OutputError) as error:
            if not is_traced:
                raise
            untraced[name] = error.message
            continue
        (recorded if is_traced else plain)[name].append(start)
        untraced[name] = untraced[name] or start.untraced
    versions = {
        name: Version(target, tuple(plain[name]), tuple(recorded[name]), untraced[name])
        for name, target in targets.items()
    }
    return Measured(plan, versions["new"], versions.get("base"))


def _order(names: list[str], starts: int, traced: int) -> Iterator[tuple[int, str, bool]]:
    """Number, name and whether it is traced, of each start."""
    for is_traced, count in ((False, starts), (True, traced)):
        for number in range(count):
            for name in names if number % 2 else reversed(names):
                yield number, name, is_traced
