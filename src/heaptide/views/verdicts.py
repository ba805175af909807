"""The guide's thresholds, held against a recording's figures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import units

if TYPE_CHECKING:
    from heaptide.profile import Summary

TEMPORARY_LIMIT = 0.5  # part of all calls to allocation functions
PEAK_LIMIT = 256_000_000  # bytes; the guide says MB
GROWTH_LIMIT = 0.01  # part of the peak: less is said, and no more


@dataclass(frozen=True)
class Growth:
    """What leaked, by the definition of docs/format.md, and the place that most of it is from."""

    bytes: int
    place: str
    share: float  # of the place, 0 to 1
    may_be_warm_up: bool = False


def _grew(summary: Summary, growth: Growth) -> Verdict:
    over = growth.bytes >= GROWTH_LIMIT * summary.peak_bytes
    text = f"growing: {units.size(growth.bytes)} came after warm-up and stayed, and more and more"
    if growth.place:
        text += f"; {units.percent(growth.share)} of it in {growth.place}"
    if growth.may_be_warm_up:
        text += ". In so short a run that may be warm-up still"
        over = False
    status = "over" if over else "note"
    return Verdict("growth", status, growth.bytes, 0, "bytes", text)


@dataclass(frozen=True)
class Verdict:
    """One sentence. ``status``: ``ok``, ``over``, or ``note`` where no limit would be honest."""

    name: str
    status: str
    value: float
    limit: float | None
    unit: str  # "ratio" or "bytes"
    text: str


def verdicts(
    summary: Summary,
    *,
    exited: bool,
    unknown: Collection[str] = frozenset(),
    growth: Growth | None = None,
) -> list[Verdict]:
    """Verdicts on ``summary``. ``exited``: the recording lasted to the program's end.

    ``unknown``: figures that the recording does not tell; nothing is said of them. ``growth``:
    what leaked, None where nobody has looked.
    """
    if not summary.calls and "allocations" not in unknown:
        return []
    found = []
    share = summary.temporary_share
    if share is not None:
        over = share >= TEMPORARY_LIMIT
        found.append(
            Verdict(
                "temporary_allocations",
                "over" if over else "ok",
                share,
                TEMPORARY_LIMIT,
                "ratio",
                f"temporary allocations: {units.percent(share)} of all calls, limit 50 %",
            )
        )
    if "peak_bytes" not in unknown:
        over = summary.peak_bytes >= PEAK_LIMIT
        found.append(
            Verdict(
                "peak_heap",
                "over" if over else "ok",
                summary.peak_bytes,
                PEAK_LIMIT,
                "bytes",
                f"peak heap: {units.both_sizes(summary.peak_bytes)}, "
                f"limit {units.both_sizes(PEAK_LIMIT)}",
            )
        )
    if growth is not None and growth.bytes:
        found.append(_grew(summary, growth))
    if "alive_at_exit_bytes" in unknown:
        return found
    alive = summary.alive_at_exit_bytes
    blocks = units.some(summary.alive_at_exit_allocations, "block", "blocks")
    moment = "alive at exit" if exited else "alive when the recording ended"
    # Statics, caches and the runtime's own memory live until the end by design, so a limit of 0
    # would never hold; only growth tells a leak.
    text = f"{moment}: {units.size(alive)}"
    if "alive_at_exit_allocations" not in unknown:
        text += f" in {blocks}"
    if alive:
        text += ". Not a leak by itself: a leak is memory that keeps growing after warm-up"
    found.append(Verdict("alive_at_exit", "note" if alive else "ok", alive, None, "bytes", text))
    return found
