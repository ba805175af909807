"""Recording and measuring the program from within itself."""

from __future__ import annotations

from ._budget import Budget, BudgetError, budget
from ._frames import Frame, Stack
from ._measure import Measurement, measure
from ._measured import Measured
from ._record import Recorder, record
from ._stats import HeapStats, stats

__all__ = [
    "Budget",
    "BudgetError",
    "Frame",
    "HeapStats",
    "Measured",
    "Measurement",
    "Recorder",
    "Stack",
    "budget",
    "measure",
    "record",
    "stats",
]
