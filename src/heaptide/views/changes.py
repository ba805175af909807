"""Differences as people read them: ``+2.8 MB``, ``+22.8 %``, ``+1.2 kB/s``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from . import units

if TYPE_CHECKING:
    from heaptide.profile import Metric

_MANY = 10.0  # times: beyond that a percentage says less


def signed(change: float | np.integer[Any], figure: Callable[..., str]) -> Text:
    """``change`` with its sign, in the colour that it means."""
    number: float = change.item() if isinstance(change, np.generic) else change
    if number == 0:
        return Text("same", "dim")
    sign = "+" if number > 0 else "-"
    return Text(f"{sign}{figure(abs(number))}", "red" if number > 0 else "green")


def part(before: float, after: float) -> str:
    """What the change is of what was: ``+22.8 %``, ``12.5 times``; "" where nothing changed.

    However small it is, it has its sign.
    """
    if before == after:
        return ""
    if not before:
        return "new"
    ratio = after / before
    if ratio >= _MANY:
        return f"{ratio:,.1f} times"
    return f"{'+' if ratio > 1 else '-'}{abs(ratio - 1) * 100:.1f} %"


@dataclass(frozen=True)
class Scale:
    """How a metric is written where it is compared by ``by``: None, "time" or "allocations"."""

    metric: Metric
    by: str | None

    @property
    def words(self) -> str:
        if self.by is None:
            return ""
        return " per second" if self.by == "time" else " per 1,000 allocations"

    def figure(self, amount: float) -> str:
        """``amount`` as ``Diff.values`` has it, not negative."""
        if self.by is None:
            whole = int(amount)
            return units.size(whole) if self.metric.unit == "bytes" else units.count(whole)
        amount = float(amount) * (1 if self.by == "time" else 1000)
        behind = "/s" if self.by == "time" else ""
        if self.metric.unit == "bytes":
            text = units.size(round(amount)) if amount >= 0.5 or not amount else "<1 B"
        else:
            text = _count(amount)
        return f"{text}{behind}"


def _count(amount: float) -> str:
    """A count that need not be whole, in three digits or more."""
    if amount >= 99.95 or not amount:
        return units.count(round(amount))
    return f"{amount:.{1 if amount >= 9.995 else 2}f}" if amount >= 0.005 else "<0.01"
