"""Budgets: what a program may do with memory, and whether a recording kept to it.

``find_budgets`` reads them from heaptide.toml or pyproject.toml, ``check`` holds a profile to them.
"""

from __future__ import annotations

from ._check import Result, check, exit_status
from ._config import Budgets, Project, find_budgets, from_options, load_budgets, program_of
from ._limits import Limit, parse_limit
from ._measures import MEASURES, Measure
from ._presets import PRESETS
from ._spread import Change, Spread, change, spread

__all__ = [
    "MEASURES",
    "PRESETS",
    "Budgets",
    "Change",
    "Limit",
    "Measure",
    "Project",
    "Result",
    "Spread",
    "change",
    "check",
    "exit_status",
    "find_budgets",
    "from_options",
    "load_budgets",
    "parse_limit",
    "program_of",
    "spread",
]
