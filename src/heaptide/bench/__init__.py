"""Many runs of a command beside those of another version of it, and what has changed.

``measure`` runs them in turn, ``compare`` tells what of the differences is more than noise,
``document`` and ``load`` save a result and take it as a base.
"""

from __future__ import annotations

from ._figures import FIGURES, Figure, Reading, chosen
from ._process import Took, run_once
from ._readings import BASE, NEW, Plan, Readings, Side, measure
from ._results import Compared, Thresholds, Values, budgets_for, compare, exit_status, hold
from ._revision import Tree, checked_out, set_up
from ._saved import Base, Bench, Saved, document, load

__all__ = [
    "BASE",
    "FIGURES",
    "NEW",
    "Base",
    "Bench",
    "Compared",
    "Figure",
    "Plan",
    "Reading",
    "Readings",
    "Saved",
    "Side",
    "Thresholds",
    "Took",
    "Tree",
    "Values",
    "budgets_for",
    "checked_out",
    "chosen",
    "compare",
    "document",
    "exit_status",
    "hold",
    "load",
    "measure",
    "run_once",
    "set_up",
]
