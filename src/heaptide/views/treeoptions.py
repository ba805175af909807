"""How a tree of stacks was asked for, the same for text, JSON and CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heaptide.profile import Origin, metric_figures, stack_tree
from heaptide.profile.names import merged_name
from heaptide.profile.selection import functions_like
from heaptide.recording import Language

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile, StackTree

HIDDEN = ("interpreter", "allocator")
"""Whose frames trees do not show unless told otherwise: they are the same in every program."""

OWN = ("library", *HIDDEN)
"""Whose frames are not shown where only one's own code is asked for."""


@dataclass(frozen=True)
class TreeOptions:
    """``direction``: "callers" or "callees". Others as ``heaptide.profile.stack_tree`` takes them,
    origins by their names in lower case."""

    direction: str
    by: str = "function"
    hide: tuple[str, ...] = HIDDEN
    merge: tuple[str, ...] = ()
    recursion: str = "direct"
    templates: bool = False

    @property
    def inverted(self) -> bool:
        return self.direction == "callers"

    def tree(self, profile: Profile, metric: Metric, least: float) -> StackTree:
        """Of the metric and what is beside it, branches below ``least`` of the whole not opened.

        With functions in the selection it begins with them.
        """
        figures = metric_figures(profile, metric)
        focus = None
        for pattern in profile.selection.functions:
            found = functions_like(profile, pattern)
            focus = found if focus is None else focus | found
        return stack_tree(
            profile,
            self.by,
            figures=figures,
            inverted=self.inverted,
            focus=focus,
            hide=_origins(self.hide),
            merge=_origins(self.merge),
            recursion=self.recursion,
            templates=self.templates,
            least=int(np.ceil(least * int(figures[:, 0].sum()))),
        )

    def by_of(self, profile: Profile, location: int) -> str:
        """What the node of ``location`` stands for: its module, where that is merged."""
        merged = Origin(int(profile.locations.origin[location])) in _origins(self.merge)
        return "module" if merged else self.by

    def function_of(self, profile: Profile, location: int) -> str:
        """What its function is called: without template arguments, where these are merged."""
        at = profile.locations
        name = at.texts[at.function[location]]
        return merged_name(name, Language(int(at.language[location]))) if self.templates else name


def _origins(names: tuple[str, ...]) -> list[Origin]:
    return [Origin[name.upper()] for name in names]
