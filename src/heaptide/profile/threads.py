"""What threads are called, and what each runs: those that nobody has named are told apart by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .metrics import COLUMNS
from .origin import Origin

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .profile import Profile

Ints = npt.NDArray[np.int64]

_COMM = 15  # characters of a thread's name that the kernel keeps
MAIN_THREADS = ("MainThread", "main thread")  # of a Python program, of another


def thread_name(recording: Recording, row: int) -> str:
    """What a thread is called: its own name, if it has one.

    The system calls a thread like its program until it is renamed, which CPython before 3.14 does
    not do. Such a name says nothing.
    """
    threads, processes = recording.threads, recording.processes
    name, process = threads.name[row], int(threads.process[row])
    if process < 0:
        return name or "thread"
    command = recording.command_of(process)
    programs = {processes.exe[process].rpartition("/")[2]}
    programs |= {word.rpartition("/")[2] for word in command[:2]}  # a script with #! by its name
    if name and name not in {program[:_COMM] for program in programs}:
        return name
    if int(threads.tid[row]) != int(processes.pid[process]):
        return "thread"
    return MAIN_THREADS[int(processes.python_version[process]) == 0]


def thread_entries(profile: Profile, size: Ints | None = None) -> Ints:
    """For each thread a location in its outermost function that is the user's own: its target.

    Where it ran several, the one that most of its bytes were allocated under; -1: there is none.
    ``size``: the bytes that each context allocated, if not those of the profile's figures.
    """
    if size is None:
        size = profile.figures[:, COLUMNS.index("total_bytes")]
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
    under = np.zeros(len(used), np.int64)
    np.add.at(under, number, size[used])
    order = np.lexsort((-location, under[number], thread))
    found[thread[order]] = location[order]  # the last of a thread's stays: the one of most bytes
    return found
