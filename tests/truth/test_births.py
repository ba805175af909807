"""When what lives was born: the recorder's counts against its slices, and a known program."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pytest

from heaptide.recording import Recording
from tests.conftest import Record
from tests.support.building import PROGRAMS

PROGRAM = [sys.executable, str(PROGRAMS / "generations.py")]


@pytest.mark.interpreters
@pytest.mark.parametrize("options", [(), ("--sample", "4KiB"), ("--no-python-objects",)])
def test_counts_agree_with_slices(record: Record, options: tuple[str, ...]) -> None:
    """At each moment the blocks of all ages are what was live then, to the byte, in each context:
    with threads, reallocations under way, mappings, and a child that ended before."""
    recorded = record(PROGRAM, *options)
    with Recording.open(recorded.path) as recording:
        births, counted = recording.births, recording.contexts.counted
        compared = 0
        for number, moment in enumerate(births.times.tolist()):
            found = births.survivors(len(counted), 0, number)
            if number == len(births.times) - 1:
                blocks, size = recording.totals.live_blocks, recording.totals.live_bytes
            elif moment in recording.slices.end:
                live = recording.live_at(moment)
                blocks, size = live.blocks, live.bytes
            else:
                continue
            assert found.bytes.tolist() == (size * counted).tolist()
            assert found.blocks.tolist() == (blocks * counted).tolist()
            compared += 1
        assert compared > 10


def test_ages_of_known_blocks(record: Record) -> None:
    """What was born in a phase, and survived it, is told apart from what was there before."""
    recorded = record(PROGRAM)
    with Recording.open(recorded.path) as recording:
        births = recording.births
        seconds = births.times / 1e9
        last = len(seconds) - 1

        def held(function: str, since: float, at: int) -> int:
            # The cell that begins at the last count before: nothing changed while it slept.
            first = int(np.searchsorted(seconds, since, side="right"))
            own = contexts_under(recording, function)
            return int(births.survivors(len(own), first, at).bytes[own].sum())

        born = {name: first_birth(recording, name) for name in ("early", "middle", "late")}
        assert born["early"] < born["middle"] < born["late"]
        during = int(np.searchsorted(seconds, born["middle"] + 0.2))
        # At the end only what the child has left is alive, which it made in the middle phase.
        assert held("late", born["middle"] - 0.1, last) >= 50 * 30_000
        assert held("early", born["middle"] - 0.1, last) == 0
        assert 50 * 20_000 <= held("middle", born["middle"] - 0.1, during) < 51 * 20_100
        assert held("middle", born["middle"] - 0.1, last) == 0
        everything = births.survivors(len(recording.contexts), 0, during).bytes
        assert int(everything[contexts_under(recording, "early")].sum()) >= 50 * 10_000


def contexts_under(recording: Recording, function: str) -> npt.NDArray[np.bool_]:
    """True for the contexts with the function anywhere in their stacks."""
    names = recording.frame_names()
    return np.array(
        [
            any(
                name.function == function
                for f in recording.stack_frames(int(s))
                for name in names[f]
            )
            for s in recording.contexts.stack
        ]
    )


def first_birth(recording: Recording, function: str) -> float:
    """The end, in seconds, of the first slice in which the function allocated, in its process."""
    own = contexts_under(recording, function) & (recording.contexts.process == 0)
    for number in range(len(recording.slices)):
        if recording.totals_between(number, number + 1).blocks_in[own].any():
            return float(recording.slices.end[number]) / 1e9
    raise AssertionError(f"{function} allocated nothing")
