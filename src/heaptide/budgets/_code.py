"""Limits for a block of code: what ``heaptide.budget`` and tests hold it to."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from heaptide.errors import UsageError

from ._limits import BYTES, COUNT, RATIO, Limit, parse_limit
from ._result import Result


class CodeFigures(Protocol):
    """What is read of a measured block (``heaptide.inside.Measured``)."""

    @property
    def allocations(self) -> int: ...
    @property
    def reallocs(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def peak(self) -> int: ...
    @property
    def live(self) -> int: ...
    @property
    def live_blocks(self) -> int: ...
    @property
    def copied(self) -> int: ...
    @property
    def temporary_share(self) -> float: ...


@dataclass(frozen=True)
class CodeMeasure:
    """``of``: the figure of a measured block."""

    name: str
    words: str
    unit: str
    of: Callable[[CodeFigures], float]


CODE_MEASURES: Final = {
    measure.name: measure
    for measure in (
        CodeMeasure("peak", "peak heap", BYTES, lambda of: of.peak),
        CodeMeasure("total", "allocated in total", BYTES, lambda of: of.bytes),
        CodeMeasure(
            "allocations", "calls to allocation functions", COUNT, lambda of: of.allocations
        ),
        CodeMeasure("reallocations", "reallocations", COUNT, lambda of: of.reallocs),
        CodeMeasure("copied", "copied by realloc", BYTES, lambda of: of.copied),
        CodeMeasure("temporary", "temporary allocations", RATIO, lambda of: of.temporary_share),
        CodeMeasure("live", "alive at the end", BYTES, lambda of: of.live),
        CodeMeasure("live_blocks", "blocks alive at the end", COUNT, lambda of: of.live_blocks),
    )
}


def code_limits(
    written: Mapping[str, object], known: Mapping[str, CodeMeasure] = CODE_MEASURES
) -> dict[str, Limit]:
    """Limits by the names of measures, as they were written: ``{"peak": "24 MB"}``.

    Raises UsageError: there is no such measure, or the limit is none.
    """
    limits = {}
    for name, limit in written.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise UsageError(f"{name} cannot be limited{hint}: choose of {', '.join(known)}")
        try:
            limits[name] = parse_limit(limit, known[name].unit)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    return limits


def judge(
    figures: CodeFigures,
    limits: Mapping[str, Limit],
    known: Mapping[str, CodeMeasure] = CODE_MEASURES,
) -> list[Result]:
    """A result for each limit, in their order."""
    return [
        Result.of(name, known[name].words, limit, known[name].of(figures))
        for name, limit in limits.items()
    ]
