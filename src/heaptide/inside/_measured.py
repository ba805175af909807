"""The figures of a block of code."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from heaptide.inside._agent import Figures


@dataclass(frozen=True)
class Measured:
    """What a block of code did. Bytes and counts.

    ``peak`` and ``live`` are above what there was when the block began; ``live`` is below 0 where
    it freed more than it allocated. ``temporary``: freed before the next allocation of its thread.
    """

    allocations: int  # calls to allocation functions, reallocations among them
    reallocs: int
    frees: int
    bytes: int  # allocated in total
    peak: int
    live: int
    live_blocks: int
    temporary: int
    copied: int  # the most that reallocations can have copied

    @classmethod
    def between(cls, before: Figures, after: Figures) -> Measured:
        """``before.peak_bytes``: the highest since then, as windows have it."""
        reallocs = after.reallocations - before.reallocations
        return cls(
            allocations=after.allocations - before.allocations + reallocs,
            reallocs=reallocs,
            frees=after.deallocations - before.deallocations,
            bytes=after.bytes - before.bytes,
            peak=max(before.peak_bytes - before.live_bytes, 0),
            live=after.live_bytes - before.live_bytes,
            live_blocks=after.live_blocks - before.live_blocks,
            temporary=after.temporary - before.temporary,
            copied=after.copied_bytes - before.copied_bytes,
        )

    def without(self, part: Measured) -> Measured:
        """What is left; of the peak, by how much it is higher than the part's."""
        mine, its = asdict(self), asdict(part)
        rest = {name: mine[name] - its[name] for name in mine}
        rest["peak"] = max(rest["peak"], 0)
        return Measured(**rest)

    @property
    def temporary_share(self) -> float:
        """Of all allocations, 0 to 1."""
        return self.temporary / self.allocations if self.allocations else 0.0
