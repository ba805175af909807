"""Budgets: what a program may do with memory, and whether a recording kept to it.

``find_budgets`` reads them from heaptide.toml or pyproject.toml, ``check`` holds a profile to them.
"""

from __future__ import annotations

from ._check import Result, check, exit_status
from ._code import CODE_MEASURES, CodeMeasure, code_limits, judge
from ._config import Budgets, Project, find_budgets, from_options, load_budgets, program_of
from ._limits import BYTES, COUNT, RATIO, Limit, parse_limit
from ._measures import MEASURES, Measure
from ._presets import PRESETS
from ._spread import Change, Spread, change, spread

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
