"""What the kernel says of a process: cheap figures, exact ones, and those of its children."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass
from typing import Any

from heaptide._procfs import Memory, Procfs, numbers
from heaptide.errors import HeaptideError

from ._limit import Clock, Limited, Limiter, Reading

INTERVAL = 60.0  # seconds between two readings of what is expensive
_SELF = "self"  # our own id may be another's where /proc is of another namespace
_LONG = 1.0  # seconds that it is expected to take, the first time

_SIZES = (
    *(b"VmRSS:", b"VmHWM:", b"RssAnon:", b"RssFile:", b"RssShmem:", b"VmSize:", b"VmSwap:"),
    b"Threads:",
)
_NAME = re.compile(rb"^Name:\t(.*)$", re.MULTILINE)
_MINOR, _MAJOR, _STARTED = 7, 9, 19  # of stat, behind the name


@dataclass(frozen=True)
class ProcessStats:
    """Bytes. None: the kernel does not tell, or not to us."""

    pid: int
    name: str
    rss: int | None = None
    peak_rss: int | None = None
    rss_anon: int | None = None
    rss_file: int | None = None
    rss_shmem: int | None = None
    virtual: int | None = None
    swap: int | None = None
    threads: int | None = None
    minor_faults: int | None = None  # pages that were got without reading a disk, since its start
    major_faults: int | None = None  # and with
    pss: int | None = None
    uss: int | None = None  # private pages, clean and dirty
    age: float | None = None  # seconds since pss and uss were read; None: they were not
    reason: str = ""  # why not


@dataclass(frozen=True)
class Family:
    """A process with all that it has started and that they have: sums, shared pages counted once
    (``pss``), or as often as there are processes that have them (``rss``)."""

    processes: int
    rss: int | None  # None, and all of these: not one of them may be read
    pss: int | None
    uss: int | None
    swap: int | None  # by share of what is shared
    unread: int = 0  # processes that may not be read, of which nothing is in the sums


def read_cheap(pid: int | None = None, procfs: Procfs | None = None) -> ProcessStats:
    """Without PSS and USS: 0.05 ms, however large the process is. ``pid`` None: this process.

    Raises HeaptideError: there is no such process, or it may not be read.
    """
    return ProcessStats(**_cheap(pid, procfs or Procfs()))


def _cheap(pid: int | None, procfs: Procfs) -> dict[str, Any]:
    """Of `ProcessStats` what `read_cheap` tells."""
    number = os.getpid() if pid is None else pid
    status = procfs.read(f"{procfs.root}/{_SELF if pid is None else pid}/status", at_once=True)
    minor, major = _own_faults() if pid is None else _faults(pid, procfs)
    if not status:
        raise HeaptideError(f"there is no process {number}")
    found = numbers(status, _SIZES, b" kB")
    name = _NAME.search(status)

    def size(line: bytes) -> int | None:
        return found[line] * 1024 if line in found else None

    return {
        "pid": number,
        "name": "" if name is None else name[1].decode(errors="replace"),
        "rss": size(b"VmRSS:"),
        "peak_rss": size(b"VmHWM:"),
        "rss_anon": size(b"RssAnon:"),
        "rss_file": size(b"RssFile:"),
        "rss_shmem": size(b"RssShmem:"),
        "virtual": size(b"VmSize:"),
        "swap": size(b"VmSwap:"),
        "threads": found.get(b"Threads:"),
        "minor_faults": minor,
        "major_faults": major,
    }


def _faults(pid: int, procfs: Procfs) -> tuple[int | None, int | None]:
    stat = procfs.read(f"{procfs.root}/{pid}/stat", at_once=True)
    counts = (stat or b"").rpartition(b") ")[2].split()
    return (int(counts[_MINOR]), int(counts[_MAJOR])) if len(counts) > _MAJOR else (None, None)


def _own_faults() -> tuple[int, int]:
    """The same numbers, in a tenth of the time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt, usage.ru_majflt


def read_process(pid: int | None = None, procfs: Procfs | None = None) -> ProcessStats:
    """With PSS and USS, for which the kernel walks all pages: 15 ms at 0.8 GB. Raises as
    `read_cheap`; that only PSS and USS may not be read is told by ``reason``."""
    procfs = procfs or Procfs()
    return _with(_cheap(pid, procfs), Limited(_rollup(pid, procfs), 0.0))


def read_family(pid: int | None = None, procfs: Procfs | None = None) -> Family:
    """Of a process and all below it: smaps_rollup of each. Raises HeaptideError: it has ended."""
    procfs, root = procfs or Procfs(), os.getpid() if pid is None else pid
    processes = procfs.processes()
    if root not in processes:
        raise HeaptideError(f"there is no process {root}")
    children: dict[int, list[int]] = {}
    for one in processes.values():
        children.setdefault(one.parent, []).append(one.pid)
    total, read, unread, waiting = Memory(), 0, 0, [root]
    while waiting:
        number = waiting.pop()
        waiting += children.get(number, [])
        if processes[number].dead:
            continue
        try:
            memory = procfs.memory(number)
        except HeaptideError:
            unread += 1
            continue
        if memory is not None:
            total, read = total + memory, read + 1
    return Family(
        processes=read + unread,
        rss=total.rss if read else None,
        pss=total.pss if read else None,
        uss=total.uss if read else None,
        swap=total.swap_pss if read else None,
        unread=unread,
    )


def start_of(pid: int | None, procfs: Procfs | None = None) -> int | None:
    """When a process was started, in ticks: with its id this is one process and no later one of
    the same id. ``pid`` None: this process. None: there is none."""
    procfs = procfs or Procfs()
    raw = procfs.read(f"{procfs.root}/{_SELF if pid is None else pid}/stat")
    counts = (raw or b"").rpartition(b") ")[2].split()
    return int(counts[_STARTED]) if len(counts) > _STARTED else None


class ProcessReader(Reading):
    """Reads a process again and again: cheap figures each time, PSS, USS and the family once a
    minute at most, and so that they take no more than a thousandth of the time."""

    def __init__(
        self,
        pid: int | None = None,
        *,
        interval: float = INTERVAL,
        patience: float | None = None,
        procfs: Procfs | None = None,
        clock: Clock | None = None,
    ) -> None:
        """``pid`` None: whatever process reads; in a child that was forked that is the child.
        ``patience``: seconds that who reads may wait for what is expensive; where that takes
        longer, a thread reads it, and there is what was read before. None: as long as it takes."""
        self._pid, self._procfs = pid, procfs or Procfs()
        self._interval, self._patience, self._clock = interval, patience, clock
        super().__init__()

    def _begin(self) -> None:
        self._rollup: Limiter[Memory | str] = Limiter(
            lambda: _rollup(self._pid, self._procfs),
            interval=self._interval,
            patience=self._patience,
            took=_LONG,
            clock=self._clock,
        )
        self._family: Limiter[Family] = Limiter(
            lambda: read_family(self._number, self._procfs),
            interval=self._interval,
            patience=self._patience,
            took=_LONG,
            clock=self._clock,
        )

    @property
    def _number(self) -> int:
        return os.getpid() if self._pid is None else self._pid

    def read(self, *, fresh: bool = False) -> ProcessStats:
        """``fresh``: PSS and USS are read now. Raises HeaptideError: it has ended."""
        return _with(_cheap(self._pid, self._procfs), self._rollup.get(fresh=fresh))

    def command(self) -> list[str]:
        """The words that it was started with."""
        return self._procfs.command(_SELF if self._pid is None else self._pid)

    def family(self) -> Limited[Family]:
        """Raises HeaptideError: it has ended."""
        return self._family.get()


def _rollup(pid: int | None, procfs: Procfs) -> Memory | str:
    """Or why there is none."""
    try:
        memory = procfs.memory(_SELF if pid is None else pid)
    except HeaptideError as error:
        return error.message
    return "it has no memory of its own" if memory is None else memory


def _with(cheap: dict[str, Any], told: Limited[Memory | str]) -> ProcessStats:
    if not isinstance(told.value, Memory):
        return ProcessStats(**cheap, reason=told.value or told.reason)
    # Made as any, it would take 0.02 ms more of a process that has been at rest.
    stats = object.__new__(ProcessStats)
    vars(stats).update(cheap, pss=told.value.pss, uss=told.value.uss, age=told.age, reason="")
    return stats
