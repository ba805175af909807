"""What becomes of a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """``status``: ``ok``, ``over``, or ``unknown``: it could not be measured, and why.

    ``value`` and ``limit`` in ``unit``: bytes, counts, parts of 1, or bytes an hour.
    """

    budget: str  # peak_heap; modules.numpy
    words: str
    phase: str  # "": the whole run
    unit: str
    limit: float
    value: float | None
    status: str
    reason: str = ""
    binary: bool = False  # the limit was given in MiB

    @property
    def margin(self) -> float | None:
        """What is left of the limit; negative: so much too much."""
        return None if self.value is None else self.limit - self.value


def exit_status(results: Sequence[Result]) -> int:
    """2: something could not be measured; 1: a budget was exceeded; else 0."""
    statuses = {result.status for result in results}
    return 2 if "unknown" in statuses else 1 if "over" in statuses else 0
