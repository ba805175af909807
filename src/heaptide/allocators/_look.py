"""All that can be told of a process at one moment, for a person or a document."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from heaptide._procfs import runs
from heaptide.errors import HeaptideError

from ._outside import Outside, mapped, read_outside
from ._read import Reader
from ._stats import AllocatorStats
from .cgroup import Cgroup, Pressure, read_cgroup, read_pressure
from .process import Family, ProcessReader, ProcessStats, start_of

_INSIDE = (
    "the figures of its allocators are in its own memory: call heaptide.allocators.read() in it, "
    "or, if it is no Python, record it: heaptide run"
)


@dataclass(frozen=True)
class Look:
    """A process at one moment. None: there is none, or it cannot be seen; ``notes`` say more."""

    process: ProcessStats
    command: Sequence[str] = ()
    family: Family | None = None
    family_age: float = 0.0  # seconds since it was read
    cgroup: Cgroup | None = None
    pressure: Pressure | None = None  # of the whole machine
    allocators: Sequence[AllocatorStats] = ()  # of this process
    outside: Sequence[Outside] = ()  # of another one
    notes: Sequence[str] = field(default=())


class Looking:
    """Looks at a process again and again, at bounded cost."""

    def __init__(self, pid: int | None = None, *, arenas: bool = False) -> None:
        """``pid`` None: this process. ``arenas``: those as well, of this process only."""
        self._pid = os.getpid() if pid is None else pid
        self._started = start_of(self._pid)
        self._process = ProcessReader(self._pid)
        self._own = self._pid == os.getpid()
        # A person who asks about this process, which is our own, makes nothing wait.
        self._reader = Reader(arenas=arenas, asking="always") if self._own else None
        self._mapped: tuple[str, ...] = ()
        self._outside: list[Outside] = []

    def runs(self) -> bool:
        """Whether it is still the same process, and alive."""
        return runs(self._pid) and start_of(self._pid) == self._started

    def look(self) -> Look:
        """Raises HeaptideError: there is no such process, it has ended, or its id is another's."""
        if not self.runs():
            raise HeaptideError(f"there is no process {self._pid}")
        process, family = self._process.read(), self._process.family()
        notes = []
        if process.reason:
            notes.append(f"PSS and USS: {process.reason}")
        if family.value is not None and family.value.unread:
            notes.append(
                f"{family.value.unread} of {family.value.processes} processes may not be read: "
                "they are in no sum"
            )
        if not self._own:
            notes += self._see_outside()
        return Look(
            process=process,
            command=self._process.command(),
            family=family.value,
            family_age=family.age,
            cgroup=read_cgroup(self._pid),
            pressure=read_pressure(),
            allocators=() if self._reader is None else self._reader.read(),
            outside=self._outside,
            notes=notes,
        )

    def _see_outside(self) -> list[str]:
        """Looks through its files, which takes 0.1 s, when there are others: after an exec, say."""
        try:
            files = mapped(self._pid)
            if files != self._mapped:
                self._outside = read_outside(self._pid)
                self._mapped = files
        except HeaptideError as error:
            return [f"allocators: {error.message}"]
        if not self._outside:
            return ["no allocator was found in it: what is linked in without names is not seen"]
        return [_INSIDE]
