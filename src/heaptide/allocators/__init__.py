"""Which allocators are live in this process, what they hold, and what the kernel says of it.

``read()`` asks each: what malloc is, what CPython's objects come from, those of libraries.
``read_process``, ``read_family`` and ``read_cgroup`` read files of the kernel, of any process. A
figure that cannot be had is None, never 0. docs/monitoring.md defines each and says what it costs.
"""

from __future__ import annotations

from . import jemalloc
from ._headroom import Headroom, HeadroomReader
from ._look import Look, Looking
from ._outside import Outside, read_outside
from ._read import Reader, read
from ._stats import AllocatorStats, ArenaStats
from .cgroup import Cgroup, CgroupReader, Pressure, Stall, read_cgroup, read_pressure
from .process import Family, ProcessReader, ProcessStats, read_cheap, read_family, read_process

__all__ = [
    "AllocatorStats",
    "ArenaStats",
    "Cgroup",
    "CgroupReader",
    "Family",
    "Headroom",
    "HeadroomReader",
    "Look",
    "Looking",
    "Outside",
    "Pressure",
    "ProcessReader",
    "ProcessStats",
    "Reader",
    "Stall",
    "jemalloc",
    "read",
    "read_cgroup",
    "read_cheap",
    "read_family",
    "read_outside",
    "read_pressure",
    "read_process",
]
