"""Python objects that a test leaves: what its garbage collector knows of, by type."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from heaptide.testing._suppress import Suppression, allows_object, type_name

_PACKAGE = str(Path(__file__).parent.parent)
_TYPES = 5  # in a listing
_LENGTH = 80  # of what an object says of itself


class Survivors:
    """``look`` after each repeat, with what was before it set aside (``gc.freeze``).

    ``count``: of the repeat with the fewest; None: it is not known. ``types``: how many of each,
    the most first, with one of them in words.
    """

    def __init__(self, suppressed: Sequence[Suppression]) -> None:
        self.count: int | None = None
        self.types: list[tuple[str, int, str]] = []
        self._suppressed = suppressed

    def look(self, measurement: object) -> None:
        """Garbage is collected first. What the ``measurement`` has found is none of the body's."""
        gc.collect()
        known = vars(measurement)
        everything = gc.get_objects()  # no closures here: their cells would be among these
        found: list[object] = []
        for one in everything:
            if one is known or _is_ours(one):
                continue
            if not allows_object(self._suppressed, one):
                found.append(one)
        self._keep(found)

    def _keep(self, found: list[object]) -> None:
        if self.count is not None and len(found) >= self.count:
            return
        self.count = len(found)
        counts = Counter(type(one) for one in found)
        first = {type(one): one for one in reversed(found)}
        self.types = [
            (type_name(kind), count, _in_words(first[kind])) for kind, count in counts.most_common()
        ]

    def lines(self) -> list[str]:
        """For a report."""
        if not self.types:
            return []
        lines = ["objects alive at the end, by type:"]
        for name, count, words in self.types[:_TYPES]:
            lines += [f"  {count:,} {name}", f"    {words}"]
        more = sum(count for _, count, _ in self.types[_TYPES:])
        if more:
            lines.append(f"  {more:,} of {len(self.types) - _TYPES} more types")
        return lines


def _is_ours(one: object) -> bool:
    """What measures, and its frames."""
    if isinstance(one, FrameType):
        return one.f_code.co_filename.startswith(_PACKAGE)
    return type(one).__module__.startswith("heaptide.")


def _in_words(one: object) -> str:
    try:
        text = " ".join(repr(one).split())
    except Exception:  # of the program's own code
        return "(no repr)"
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."
