"""The memory of an idle program: ready, settled, read, over fresh starts.

``measure`` starts a program again and again and gives what it took; ``judge`` holds that to
budgets. docs/idle.md defines each figure.
"""

from __future__ import annotations

from ._errors import StartError
from ._ready import Ready, parse_pattern, parse_port, parse_url
from ._session import COMPARED, Measured, Version, measure
from ._settle import Rule, Sample, Settled
from ._start import FIGURES, Plan, ProcessReading, Reading, Start, measure_start
from ._verdicts import BUDGETS, idle_only, judge

__all__ = [
    "BUDGETS",
    "COMPARED",
    "FIGURES",
    "Measured",
    "Plan",
    "ProcessReading",
    "Reading",
    "Ready",
    "Rule",
    "Sample",
    "Settled",
    "Start",
    "StartError",
    "Version",
    "idle_only",
    "judge",
    "measure",
    "measure_start",
    "parse_pattern",
    "parse_port",
    "parse_url",
]
