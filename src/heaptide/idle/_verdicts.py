"""What was measured of an idle program, held to budgets."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from heaptide.budgets import Budgets, Result

from ._session import Version

BUDGETS: Final = {"idle_rss": "rss", "idle_pss": "pss", "idle_uss": "uss"}
"""Budgets that are about an idle program, and the figure that each is of."""


def idle_only(budgets: Budgets) -> Budgets:
    """Of budgets those that can be judged here."""
    limits = {name: limit for name, limit in budgets.limits.items() if name in BUDGETS}
    return replace(budgets, limits=limits, modules={}, phases={})


def judge(version: Version, budgets: Budgets) -> list[Result]:
    """A result for each: the median over the starts. Of a program that has not settled nothing can
    be said, but that it is over a limit already."""
    found = []
    for name, limit in idle_only(budgets).limits.items():
        figure = BUDGETS[name]
        middle = version.spread(figure)
        value = None if middle is None else middle.median
        reason = "it could not be read"
        if value is not None and value <= limit.value and version.unsettled:
            value = None
            reason = f"{version.unsettled} of {len(version.starts)} starts did not settle in time"
        found.append(Result.of(name, f"idle {figure.upper()}", limit, value, reason))
    return found
