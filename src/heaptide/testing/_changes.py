"""What of a test has grown since its baseline was made: two recordings, stack by stack."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.inside import Frame, Stack
from heaptide.testing._where import Listing
from heaptide.testing._words import body_of, is_of_test

if TYPE_CHECKING:
    from heaptide.inside._stacks import Named


def changes(base: Path | None, new: Path, higher: Collection[str], *, many: bool) -> list[Listing]:
    """What holds more at the peak, and what allocates more, if such measures are ``higher``;
    without a ``base``, what there is. ``many``: the recordings are of several runs."""
    from heaptide.inside._held import held_by_name
    from heaptide.inside._stacks import stacks_by_name

    found = []
    if "peak" in higher:
        heading = "what holds more at the peak:" if base else "what holds the peak:"
        before = held_by_name(base, _of_test) if base else {}
        found.append(
            Listing(heading, _grown(before, held_by_name(new, _of_test), live=True), live=True)
        )
    if set(higher) - {"peak"}:
        heading = "what grew" if base else "what was allocated"
        before = stacks_by_name(base, _of_test) if base else {}
        stacks = _grown(before, stacks_by_name(new, _of_test), live=False)
        found.append(Listing(f"{heading}, in all runs:" if many else f"{heading}:", stacks))
    return [one for one in found if one.stacks]


def _of_test(frames: tuple[Frame, ...]) -> tuple[Frame, ...] | None:
    """Not of what measures it; and the same whatever runs it, by one process or by workers."""
    return body_of(frames) if is_of_test(frames) else None


def _grown(before: Named, after: Named, *, live: bool) -> list[Stack]:
    """By how much, the largest first."""
    found = []
    for key, stack in after.items():
        old = before.get(key)
        more = replace(
            stack,
            bytes=stack.bytes - (old.bytes if old else 0),
            allocations=stack.allocations - (old.allocations if old else 0),
            live=stack.live - (old.live if old else 0),
            live_blocks=stack.live_blocks - (old.live_blocks if old else 0),
        )
        if (more.live if live else more.bytes) > 0:
            found.append(more)
    return sorted(found, key=lambda one: -(one.live if live else one.bytes))
