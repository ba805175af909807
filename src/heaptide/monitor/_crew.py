"""All workers of a service, as whichever of them is asked sees them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from heaptide.allocators.process import INTERVAL, read_cheap
from heaptide.errors import HeaptideError

from ._figures import FIGURES, Sample
from ._leave import EVERY, Leaving
from ._rollups import Rollups, Sweep
from ._source import Source, of_process, start_time
from ._workers import Folder, Left

_START = "process.start_time"
_INSIDE = ("allocator.", "python.")  # what only a worker itself can tell


class Crew:
    """What a worker alone can tell it leaves in a file, and reads from the others'; what the kernel
    tells of any process is read now. May be used from several threads, and in forked children."""

    def __init__(
        self,
        path: Path,
        *,
        objects: bool = False,
        interval: float = INTERVAL,
        every: float = EVERY,
        source: Source | None = None,
    ) -> None:
        """``path``: the folder that all of them have. ``objects``: as `Source` has it. ``interval``
        and ``every``: seconds between two readings of PSS and USS, and between two times that files
        are written. Raises HeaptideError: the folder may not be written."""
        self.source = source or Source(objects=objects)
        folder = Folder(path)
        self._folder, self._sweep = folder, Sweep(folder, interval)
        self._leaving = Leaving(folder, self._own, every)

    def end(self) -> None:
        """This process is told by no one any more."""
        self._leaving.end()

    def read(self) -> Iterator[tuple[str, Sample]]:
        """Each sample with the id of its process; that is empty for the control group's."""
        own, me = self._leaving.leave(), self._leaving.worker
        left = {one.worker: one for one in self._folder.read()}
        if me is not None:
            left[me] = Left(me, own)
        crew = sorted(left.values(), key=lambda one: one.worker.pid)
        rollups = self._sweep.get([one.worker for one in crew])
        for one in crew:
            for sample in _of(one, rollups):
                yield str(one.worker.pid), sample
        for sample in self.source.around():
            yield "", sample

    def _own(self) -> list[Sample]:
        """What is left for others. The start: it must be the same whoever is asked."""
        started = start_time()
        known = [] if started is None else [Sample(FIGURES[_START], started)]
        return [*known, *self.source.inside()]


def _of(left: Left, rollups: Rollups) -> Iterator[Sample]:
    started = next((one.value for one in left.samples if one.figure.key == _START), None)
    try:
        stats = read_cheap(left.worker.pid)
    except HeaptideError:  # it has just ended
        return
    sizes = rollups.sizes.get(left.worker)
    if sizes is not None:
        stats = replace(stats, pss=sizes[0], uss=sizes[1], age=rollups.age)
    yield from of_process(stats, started)
    # Each once, and nothing that is told above: a text with a sample twice is refused as a whole.
    yield from {
        (one.figure.key, one.labels): one
        for one in left.samples
        if one.figure.key.startswith(_INSIDE)
    }.values()


_crews: dict[Path, Crew] = {}
_lock = threading.RLock()


def _after_in_child() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_in_child)


def crew_of(path: Path, *, objects: bool, interval: float) -> Crew:
    """One for each folder, whoever asks: a process has one file in it. Raises as `Crew`."""
    place = Path(os.path.realpath(path))  # Path.resolve raises where links lead in a circle
    with _lock:
        if place not in _crews:
            _crews[place] = Crew(place, objects=objects, interval=interval)
        crew = _crews[place]
    crew.source.objects = crew.source.objects or objects
    return crew
