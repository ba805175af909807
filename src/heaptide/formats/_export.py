"""What is written of a profile, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.profile import COLUMNS, Metric, Profile, StackTree, stack_tree
from heaptide.profile.known import known_metrics, unknown
from heaptide.recording import FrameKind

from ._builder import Function

if TYPE_CHECKING:
    from heaptide.recording import Recording

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Export:
    """A profile on its way into a file of another format.

    ``metric``: the one for formats that carry a single figure. ``path`` need not exist yet; what
    is written there is moved into its place when it is whole. ``shown`` is its name for messages
    and, where compression goes by name, for that.
    """

    profile: Profile
    metric: Metric
    path: Path
    shown: str
    given: bool = False  # the metric was asked for

    @property
    def recording(self) -> Recording:
        return self.profile.recording

    @cached_property
    def command(self) -> list[str]:
        """The command that was recorded, or the name of the recording."""
        return self.recording.command or [Path(self.recording.path).name]

    @cached_property
    def pid(self) -> int:
        """Of the first process that counts."""
        rows = self.profile.processes
        table = self.recording.processes
        row = 0 if rows is None else rows[0] if len(rows) else 0
        return int(table.pid[row]) if len(table) else 0

    @cached_property
    def unknown(self) -> frozenset[str]:
        """Figures of COLUMNS that the recording does not know."""
        return unknown(self.recording)

    def need(self, format: str, *figures: str) -> None:
        """Raises UsageError if none of ``figures`` is known: there would be nothing to write."""
        if set(figures) <= self.unknown:
            known = ", ".join(one.name for one in known_metrics(self.recording)) or "none"
            raise UsageError(
                f"{self.recording.path} does not tell what {format} is about; what it tells "
                f"({known}) fits into folded stacks: --to folded --metric METRIC"
            )

    def column(self, name: str) -> Ints:
        """A figure of COLUMNS for each context."""
        found: Ints = self.profile.figures[:, COLUMNS.index(name)]
        return found

    def tree(self, *, inverted: bool = False, figures: Ints | None = None) -> StackTree:
        """All stacks as a tree of places, nodes of equal paths merged: row 0 is the root. With the
        figures of COLUMNS, unless others are given."""
        return stack_tree(self.profile, "place", figures=figures, inverted=inverted)

    @cached_property
    def by_stack(self) -> tuple[Ints, Ints]:
        """The stacks that have figures, ascending, and their sums: shape (stacks, COLUMNS)."""
        figures = self.profile.figures
        used = np.flatnonzero(figures.any(axis=1))
        stacks, place = np.unique(
            self.recording.contexts.stack[used].astype(np.int64), return_inverse=True
        )
        sums = np.zeros((len(stacks), figures.shape[1]), np.int64)
        np.add.at(sums, place, figures[used])
        return stacks, sums

    def extra_by_stack(self, name: str) -> Ints:
        """A figure of a foreign format's own for each of these stacks; zeros where it has none."""
        stacks, _ = self.by_stack
        found = np.zeros(len(stacks), np.int64)
        figures, contexts = self.profile.figures, self.recording.contexts
        used = np.flatnonzero(figures.any(axis=1))
        place = np.searchsorted(stacks, contexts.stack[used])
        np.add.at(found, place, self.profile.extra(name)[used, 0])
        return found

    # Places.

    def function(self, location: int) -> Function:
        """A row of the profile's locations."""
        at = self.profile.locations
        language = int(at.language[location])
        return Function(
            at.texts[int(at.function[location])],
            at.texts[int(at.file[location])],
            int(at.line[location]),
            int(at.column[location]),
            type(_NO_LANGUAGE)(language),
        )

    def module(self, location: int) -> str:
        """The path of the shared object or executable of a native location, else ""."""
        at = self.profile.locations
        return at.texts[int(at.module[location])]

    def is_python(self, location: int) -> bool:
        return int(self.profile.locations.kind[location]) == FrameKind.PYTHON

    def label(self, location: int) -> str:
        """A place as one line of text: ``function (file:line)``, as far as it is known."""
        one = self.function(location)
        if one.file:
            where = f"{one.file}:{one.line}" if one.line else one.file
            return f"{one.name} ({where})"
        module = self.module(location)
        return f"{one.name} (in {module})" if module and module not in one.name else one.name

    def labels(self) -> list[str]:
        """``label`` of every location."""
        return [self.label(row) for row in range(len(self.profile.locations))]


_NO_LANGUAGE = Function("").language
