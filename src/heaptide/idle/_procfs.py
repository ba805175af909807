"""What /proc says of processes: whose children they are, and the memory that they take.

``/proc`` itself is a parameter, so that tests can make one up.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from heaptide.errors import HeaptideError

from ._alone import file_pages

_LINE = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_GONE = (errno.ENOENT, errno.ESRCH)
_DEAD = ("Z", "X", "x")


@dataclass(frozen=True)
class Memory:
    """Bytes. ``uss``: what would be free if this process ended, clean and dirty private pages."""

    rss: int = 0
    pss: int = 0
    pss_anon: int = 0  # of it what is of no file; 0: the kernel does not tell
    uss: int = 0
    private_dirty: int = 0
    swap: int = 0
    swap_pss: int = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Process:
    """A line of ``/proc/PID/stat``. ``started``: in ticks since the machine's start."""

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    started: int

    @property
    def dead(self) -> bool:
        """Whether only its status is left, for its parent to collect."""
        return self.state in _DEAD


class Procfs:
    """A /proc to read."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root

    def processes(self) -> dict[int, Process]:
        """All that there are, by their ids."""
        found = {}
        for entry in self._root.iterdir():
            if entry.name.isdigit():
                raw = self._read(entry / "stat")
                process = _parse_stat(raw) if raw else None
                if process is not None:
                    found[process.pid] = process
        return found

    def memory(self, pid: int) -> Memory | None:
        """None: there is no such process any more. Raises HeaptideError: it may not be read."""
        folder = self._root / str(pid)
        raw = self._read(folder / "smaps_rollup")
        if raw is None and not (self._root / "self" / "smaps_rollup").exists():
            raw = self._read(folder / "smaps")  # before Linux 4.14; the same names, by mapping
        found: dict[bytes, int] = {}
        for name, amount in _LINE.findall(raw or b""):
            found[name] = found.get(name, 0) + int(amount) * 1024
        if b"Rss" not in found:
            return None
        dirty = found.get(b"Private_Dirty", 0)
        return Memory(
            rss=found[b"Rss"],
            pss=found.get(b"Pss", 0),
            pss_anon=found.get(b"Pss_Anon", 0),
            uss=found.get(b"Private_Clean", 0) + dirty,
            private_dirty=dirty,
            swap=found.get(b"Swap", 0),
            swap_pss=found.get(b"SwapPss", 0),
        )

    def alone(self, memories: Mapping[int, Memory]) -> int | None:
        """What these processes would take if nothing else ran, in bytes; None: it is not told."""
        if not all(memory.pss_anon for memory in memories.values()):
            return None
        files = file_pages(self._root, memories)
        return None if files is None else files + sum(m.pss_anon for m in memories.values())

    def command(self, pid: int) -> list[str]:
        """The words that it was started with; none if it has gone."""
        raw = self._read(self._root / str(pid) / "cmdline") or b""
        return [word.decode(errors="surrogateescape") for word in raw.rstrip(b"\0").split(b"\0")]

    def catches(self, pid: int, number: int) -> bool:
        """Whether it has a handler for a signal, which would end it otherwise."""
        raw = self._read(self._root / str(pid) / "status") or b""
        mask = re.search(rb"^SigCgt:\s*([0-9a-f]+)$", raw, re.MULTILINE)
        return mask is not None and bool(int(mask[1], 16) >> (number - 1) & 1)

    def _read(self, path: Path) -> bytes | None:
        """None: the process has gone."""
        try:
            return path.read_bytes()
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise HeaptideError(
                f"{path} cannot be read: {error.strerror}; the process may belong to another "
                "user: measure it as that user, or as root"
            ) from None


def _parse_stat(raw: bytes) -> Process | None:
    """``12 (na) me) S 1 12 12 ...``: the name may hold anything, parentheses as well."""
    pid, _, rest = raw.partition(b" (")
    name, _, numbers = rest.rpartition(b") ")
    parts = numbers.split()
    if len(parts) < 20:
        return None
    return Process(
        pid=int(pid),
        name=name.decode(errors="replace"),
        state=parts[0].decode(),
        parent=int(parts[1]),
        group=int(parts[2]),
        session=int(parts[3]),
        started=int(parts[19]),
    )


def members(
    processes: Mapping[int, Process], root: int, adopter: int, others: Collection[int]
) -> list[Process]:
    """The processes of the program that was started as ``root``: itself, its children and theirs,
    and those whose parents have ended, which ``adopter`` got for children; the oldest first.

    ``others``: children of the adopter that are none of it; sessions that they lead are left out.
    """
    found = {}
    waiting = [
        one
        for one in processes.values()
        if (one.pid == root or one.parent == adopter)
        and one.pid not in others
        and one.session not in others
    ]
    children: dict[int, list[Process]] = {}
    for one in processes.values():
        children.setdefault(one.parent, []).append(one)
    while waiting:
        one = waiting.pop()
        if one.pid not in found:
            found[one.pid] = one
            waiting += children.get(one.pid, [])
    return sorted(found.values(), key=lambda one: (one.pid != root, one.started, one.pid))
