"""What /proc says of processes: whether they run, whose children they are, and their memory.

``/proc`` itself is a parameter, so that tests can make one up.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from heaptide.errors import HeaptideError

_LINE = re.compile(rb"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_GONE = (errno.ENOENT, errno.ESRCH)
_DEAD = ("Z", "X", "x")
_PART = 1 << 16
DIGITS = 20  # of a number of 64 bits; Python refuses to read thousands of them


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


def read_whole(path: Path | str, *, at_once: bool = False) -> bytes:
    """A small file of the kernel, in half the time that a file object takes. Raises OSError.

    ``at_once``: it is one record to the kernel, such as ``status`` or anything of a control group,
    and less than 64 KiB: then it comes whole to whoever asks for enough."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = part = os.read(descriptor, _PART)
        # The end is known only by reading nothing: files of many records come in pages.
        while part and not at_once:
            part = os.read(descriptor, _PART)
            whole += part
        return whole
    finally:
        os.close(descriptor)


def read_raw(path: Path | str, *, at_once: bool = True) -> bytes | None:
    """The same, ``at_once`` unless it says otherwise. None: it cannot be read."""
    try:
        return read_whole(path, at_once=at_once)
    except OSError:
        return None


def numbers(text: bytes, names: Iterable[bytes], unit: bytes = b"") -> dict[bytes, int]:
    """The numbers behind names that begin lines, such as ``VmRSS:``, and after which ``unit`` may
    stand. What is no number is left out. Of dozens of lines a few, in a fifth of the time that a
    regular expression takes."""
    found, text = {}, b"\n" + text + b"\n"
    for name in names:
        begin = text.find(b"\n" + name)
        if begin >= 0:
            begin += 1 + len(name)
            word = text[begin : text.index(b"\n", begin)]
            if unit and word.endswith(unit):
                word = word[: -len(unit)]
            word = word.strip()
            if word.isdigit() and len(word) <= DIGITS:
                found[name] = int(word)
    return found


class Procfs:
    """A /proc to read."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = root

    def processes(self) -> dict[int, Process]:
        """All that there are, by their ids."""
        found = {}
        for entry in self.root.iterdir():
            if entry.name.isdigit():
                raw = self.read(entry / "stat")
                process = _parse_stat(raw) if raw else None
                if process is not None:
                    found[process.pid] = process
        return found

    def process(self, pid: int) -> Process | None:
        """None: there is none. Raises HeaptideError: it may not be read."""
        raw = self.read(f"{self.root}/{pid}/stat")
        return _parse_stat(raw) if raw else None

    def here(self) -> bool:
        """Whether ids in it are those that this process knows: it may be of an outer namespace,
        in which our own id is another's. True as well if it does not tell."""
        try:
            return os.readlink(f"{self.root}/self") == str(os.getpid())  # noqa: PTH115 (a name)
        except OSError:
            return True

    def memory(self, pid: int | str) -> Memory | None:
        """None: there is no such process any more. Raises HeaptideError: it may not be read."""
        folder = self.root / str(pid)
        raw = self.read(folder / "smaps_rollup")
        if raw is None and not (self.root / "self" / "smaps_rollup").exists():
            raw = self.read(folder / "smaps")  # before Linux 4.14; the same names, by mapping
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

    def command(self, pid: int | str) -> list[str]:
        """The words that it was started with; none if it has gone."""
        raw = self.read(self.root / str(pid) / "cmdline") or b""
        return [word.decode(errors="surrogateescape") for word in raw.rstrip(b"\0").split(b"\0")]

    def catches(self, pid: int, number: int) -> bool:
        """Whether it has a handler for a signal, which would end it otherwise."""
        raw = self.read(self.root / str(pid) / "status") or b""
        mask = re.search(rb"^SigCgt:\s*([0-9a-f]+)$", raw, re.MULTILINE)
        return mask is not None and bool(int(mask[1], 16) >> (number - 1) & 1)

    def read(self, path: Path | str, *, at_once: bool = False) -> bytes | None:
        """A file of a process; ``at_once``: as `read_whole` has it. None: the process has gone.
        Raises HeaptideError: as `memory`."""
        try:
            return read_whole(path, at_once=at_once)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise HeaptideError(
                f"{path} cannot be read: {error.strerror}; the process may belong to another "
                "user: measure it as that user, or as root"
            ) from None


def runs(pid: int) -> bool:
    """Whether a process exists and is more than the remains that its parent has yet to collect."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    process = _parse_stat(raw)
    return process is not None and not process.dead


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
