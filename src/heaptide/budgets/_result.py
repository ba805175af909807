"""What becomes of a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._limits import Limit


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

    @classmethod
    def of(
        cls,
        budget: str,
        words: str,
        limit: Limit,
        value: float | None,
        reason: str = "",
        phase: str = "",
    ) -> Result:
        """``value`` held to ``limit``. ``reason``: why there is none, or why it says nothing."""
        status = "unknown" if value is None else "over" if value > limit.value else "ok"
        return cls(
            budget,
            words,
            phase,
            limit.unit,
            limit.value,
            value,
            status,
            reason if value is None else "",
            limit.binary,
        )

    @property
    def margin(self) -> float | None:
        """What is left of the limit; negative: so much too much."""
        return None if self.value is None else self.limit - self.value


def exit_status(results: Sequence[Result]) -> int:
    """2: something could not be measured; 1: a budget was exceeded; else 0."""
    statuses = {result.status for result in results}
    return 2 if "unknown" in statuses else 1 if "over" in statuses else 0
