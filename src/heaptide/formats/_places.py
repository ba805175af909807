"""Places in code, numbered in the order in which a file needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ._export import Export

_Row = TypeVar("_Row")


class Places:
    """The locations of a profile that are used, each once, however many rows it has there."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._numbers: dict[int, int] = {}
        self._known: dict[tuple[str, str, int, int], int] = {}
        self.locations: list[int] = []  # one that stands for each number

    def number(self, location: int) -> int:
        found = self._numbers.get(location)
        if found is None:
            one = self._export.function(location)
            file = one.file or self._export.module(location)
            key = (one.name or "?", file, one.line, one.column)
            found = self._known.setdefault(key, len(self._known))
            if found == len(self.locations):
                self.locations.append(location)
            self._numbers[location] = found
        return found

    def rows(self, make: Callable[[str, str, int, int], _Row]) -> list[_Row]:
        """``make(function, file or module, line, column)`` of each place, in their order."""
        return [make(*key) for key in self._known]
