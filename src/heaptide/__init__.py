"""Shows where a program's memory goes, in one stack from Python through Rust, C and C++."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heaptide._later import later
from heaptide._mark import mark, phase
from heaptide._version import __version__
from heaptide.errors import HeaptideError

if TYPE_CHECKING:
    from heaptide.inside import (
        Budget,
        BudgetError,
        HeapStats,
        Measured,
        Measurement,
        Recorder,
        Stack,
        budget,
        measure,
        record,
        stats,
    )
    from heaptide.monitor import Monitor, monitor
    from heaptide.recording import Recording

__all__ = [
    "Budget",
    "BudgetError",
    "HeapStats",
    "HeaptideError",
    "Measured",
    "Measurement",
    "Monitor",
    "Recorder",
    "Recording",
    "Stack",
    "__version__",
    "budget",
    "load_ipython_extension",
    "mark",
    "measure",
    "monitor",
    "phase",
    "record",
    "stats",
]

# Imported when they are asked for: NumPy takes a tenth of a second, and `heaptide --version`, or a
# program that only sets marks, needs none of it.
_LATER = {"Monitor": "monitor", "Recording": "recording"}
_LATER.update(
    dict.fromkeys(
        (
            "Budget",
            "BudgetError",
            "HeapStats",
            "Measured",
            "Measurement",
            "Recorder",
            "Stack",
            "budget",
            "measure",
            "record",
            "stats",
        ),
        "inside",
    )
)

_find = later(__name__, _LATER)


def __getattr__(name: str) -> Any:
    # A package that can be called: as an attribute it is what an import of it makes of it.
    return import_module("heaptide.monitor") if name == "monitor" else _find(name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext heaptide``: the cell magic ``%%heaptide``."""
    from heaptide.inside._notebook import Magics

    shell.register_magics(Magics)
