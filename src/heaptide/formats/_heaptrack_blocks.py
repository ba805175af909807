"""Blocks of one stack whose sizes make its sums come out, for a heaptrack file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


class Blocks:
    """``count`` blocks of ``size`` bytes in all: of two sizes that differ by one."""

    __slots__ = ("left", "sizes")

    def __init__(self, count: int, size: int) -> None:
        self.sizes: list[list[int]] = []  # [size of one, how many]
        self.left = count
        if count > 0:
            one, more = divmod(max(size, 0), count)
            self.sizes = [[one, count - more], [one + 1, more]]
            self.sizes = [pair for pair in self.sizes if pair[1]]

    def take(self, room: int, most: int | None = None) -> Iterator[tuple[int, int]]:
        """Takes blocks out as long as they fit into ``room``: (size of one, how many)."""
        for pair in self.sizes:
            count = pair[1] if most is None else min(pair[1], most)
            if pair[0] > 0:
                count = min(count, room // pair[0])
            if count <= 0:
                continue
            pair[1] -= count
            self.left -= count
            room -= count * pair[0]
            if most is not None:
                most -= count
            yield pair[0], count

    def all(self) -> Iterator[tuple[int, int]]:
        for pair in self.sizes:
            if pair[1]:
                yield pair[0], pair[1]
                pair[1] = 0
        self.left = 0


@dataclass
class Row:
    """One stack. Blocks live at the peak and at the end, at one of both, or at neither."""

    stack: int
    both: Blocks
    peak: Blocks
    end: Blocks
    temporary: Blocks  # freed before the next allocation
    brief: Blocks  # freed before the end, and not live at the peak
    live: int = 0
    freeable: list[tuple[int, int]] = field(default_factory=list)  # of the peak's: (size, count)


def divided(stack: int, calls: int, total: int, temporary: int, sums: tuple[int, ...]) -> Row:
    """Divides a stack's blocks. ``sums``: blocks and bytes at the peak, and at the end.

    How many are in both is not known: as many as may be. There is always a number that leaves
    nothing negative, where the figures are of real blocks; of estimates the nearest is taken.
    """
    peak_count, peak, end_count, end = sums
    peak_count, end_count = (
        max(count, int(size > 0)) for count, size in ((peak_count, peak), (end_count, end))
    )
    least = min(peak_count, end_count)
    equal = peak_count == end_count and peak == end
    fits = (peak_count < end_count and peak <= end) or (end_count < peak_count and end <= peak)
    both_count, both = least, min(peak, end)
    if least and not (equal or fits):
        both_count = least - 1
        most = max(peak_count, end_count)
        if calls - most - 1 <= 0:  # nothing else is left to take what remains
            both = max(0, min(both, peak + end - total))
        if both_count == 0:
            both = 0
    others = max(0, calls - peak_count - end_count + both_count)
    rest = max(0, total - peak - end + both) if others else 0
    temporary = min(temporary, others)
    brief_bytes = rest * (others - temporary) // others if others else 0
    return Row(
        stack,
        Blocks(both_count, both),
        Blocks(peak_count - both_count, peak - both),
        Blocks(end_count - both_count, end - both),
        Blocks(temporary, rest - brief_bytes),
        Blocks(others - temporary, brief_bytes),
    )
