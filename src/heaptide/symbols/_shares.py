"""What share of the allocations has a given frame in its stack.

Stacks are trees of parents; what is asked of all ancestors (or of all descendants) of each is found
by pointer doubling: as many vectorised passes as the logarithm of the depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from heaptide.recording._recording import Recording


def share_of_frames(
    recording: Recording, frames: list[int], *, innermost_only: bool = False
) -> float:
    """Share, 0 to 1, of allocations whose stack has one of `frames`, or ends in one."""
    stacks, contexts, totals = recording.stacks, recording.contexts, recording.totals
    wanted = np.zeros(len(recording.frames), np.bool_)
    wanted[frames] = True
    has = wanted[stacks.frame]
    if not innermost_only:
        has = _any_ancestor(stacks.parent, has)
    allocations = totals.allocations * contexts.counted
    whole = int(allocations.sum())
    return int(allocations[has[contexts.stack]].sum()) / whole if whole else 0.0


def processes_of_frames(recording: Recording) -> NDArray[np.int64]:
    """For each frame a process (row) that it was seen in, or -1."""
    stacks, contexts = recording.stacks, recording.contexts
    process = np.full(len(stacks), -1, np.int64)
    np.maximum.at(process, contexts.stack, contexts.process)
    ancestor = stacks.parent.astype(np.int64)
    while True:
        rows = np.flatnonzero(ancestor >= 0)
        if not rows.size:
            break
        # After k passes a stack knows those of its descendants less than 2**k away.
        np.maximum.at(process, ancestor[rows], process[rows])
        ancestor[rows] = ancestor[ancestor[rows]]
    found = np.full(len(recording.frames), -1, np.int64)
    np.maximum.at(found, stacks.frame, process)
    return found


def _any_ancestor(parent: NDArray[np.int32], has: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each stack whether `has` is true of it or of a stack it grows from."""
    found: NDArray[np.bool_] = has.copy()
    ancestor = parent.astype(np.int64)
    while True:
        rows = np.flatnonzero(ancestor >= 0)
        if not rows.size:
            return found
        found[rows] |= found[ancestor[rows]]
        ancestor[rows] = ancestor[ancestor[rows]]
