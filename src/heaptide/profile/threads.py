"""What each thread runs: threads that nobody has named are told apart by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .metrics import COLUMNS
from .origin import Origin

if TYPE_CHECKING:
    from .profile import Profile

Ints = npt.NDArray[np.int64]


def thread_entries(profile: Profile) -> Ints:
    """For each thread a location in its outermost function that is the user's own: its target.

    Where it ran several, the one that most of its bytes were allocated under; -1: there is none.
    """
    locations, tree = profile.locations, profile.tree
    own = locations.origin[profile.node_location] == Origin.OWN
    above = tree.nearest(own)
    outermost = own & ((tree.parent < 0) | (above[tree.parent] < 0))
    entry = tree.nearest(outermost)[profile.context_node]
    thread = profile.recording.contexts.thread.astype(np.int64)
    found = np.full(len(profile.recording.threads), -1, np.int64)
    used = np.flatnonzero((entry >= 0) & (thread >= 0))
    location, thread = profile.node_location[entry[used]], thread[used]
    function = locations.function[location] * len(locations.texts) + locations.file[location]
    pairs = np.stack([thread, function])
    number = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
    size = np.zeros(len(used), np.int64)
    np.add.at(size, number, profile.figures[used, COLUMNS.index("total_bytes")])
    order = np.lexsort((-location, size[number], thread))
    found[thread[order]] = location[order]  # the last of a thread's stays: the one of most bytes
    return found
