"""Budgets: what a program may do with memory, and whether a recording kept to it.

``find_budgets`` reads them from heaptide.toml or pyproject.toml, ``check`` holds a profile to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heaptide._later import later

from ._code import CODE_MEASURES, CodeMeasure, code_limits, judge
from ._limits import BYTES, COUNT, RATIO, Limit, parse_limit
from ._result import Result, exit_status
from ._spread import Change, Spread, change, spread

if TYPE_CHECKING:
    from ._check import check
    from ._config import Budgets, Project, find_budgets, from_options, load_budgets, program_of
    from ._measures import MEASURES, Measure
    from ._presets import PRESETS

__all__ = [
    "BYTES",
    "CODE_MEASURES",
    "COUNT",
    "MEASURES",
    "PRESETS",
    "RATIO",
    "Budgets",
    "Change",
    "CodeMeasure",
    "Limit",
    "Measure",
    "Project",
    "Result",
    "Spread",
    "change",
    "check",
    "code_limits",
    "exit_status",
    "find_budgets",
    "from_options",
    "judge",
    "load_budgets",
    "parse_limit",
    "program_of",
    "spread",
]

# What looks into recordings is imported when it is asked for: tests have figures of their own.
_LATER = {
    "check": "_check",
    "Budgets": "_config",
    "Project": "_config",
    "find_budgets": "_config",
    "from_options": "_config",
    "load_budgets": "_config",
    "program_of": "_config",
    "MEASURES": "_measures",
    "Measure": "_measures",
    "PRESETS": "_presets",
}

__getattr__ = later(__name__, _LATER)
