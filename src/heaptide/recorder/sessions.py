"""Which recordings are being made on this machine, found through /proc and read from outside.

A collector's command line names its recording and program, and its shared memory (descriptor 3)
has the figures of the moment. Reading them costs the recorded program and the collector nothing.
Processes of other users cannot be looked into but by root, and are left out.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heaptide.recorder import _wire
from heaptide.recorder._wire import ProcessState, State
from heaptide.recorder.session import Live

PROC = Path("/proc")
_COLLECTOR = "heaptide-collector"
_DELETED = " (deleted)"
_VALUED = frozenset({"--output", "--meta", "--max-size", "--duration", "--start-after"})


@dataclass(frozen=True)
class Running:
    """A recording that is being made. ``recording`` is where it is now, wherever it began."""

    collector: int  # process ids; launcher: heaptide run, 0 if it is gone; root: the program
    launcher: int
    root: int
    recording: str
    deleted: bool  # nothing is at that path any more
    command: tuple[str, ...]
    live: Live

    @property
    def name(self) -> str:
        """The program, for people."""
        return " ".join(self.command) or "[unknown program]"


def running(proc: Path = PROC) -> list[Running]:
    """All of them that this user may look into, the oldest first."""
    found = []
    for pid in _processes(proc):
        session = _session_of(pid, proc)
        if session is not None:
            found.append(session)
    return sorted(found, key=lambda one: (-one.live.elapsed_ns, one.collector))


def session_of_recording(path: str | os.PathLike[str], proc: Path = PROC) -> Running | None:
    """The one whose recording is at ``path``, if it is being made."""
    with contextlib.suppress(OSError):
        wanted = os.stat(path)  # noqa: PTH116
        for session in running(proc):
            if not session.deleted and os.path.samestat(wanted, os.stat(session.recording)):  # noqa: PTH116
                return session
    return None


def involves(session: Running, pid: int, proc: Path = PROC) -> bool:
    """Whether ``pid`` is the program, one of its recorded processes, or heaptide's own."""
    own = (session.collector, session.launcher, session.root)
    return pid in own or pid in processes_of(session.collector, proc)


def processes_of(collector: int, proc: Path = PROC) -> list[int]:
    """Process ids of a collector's recorded processes that have not ended."""
    state, pid = _wire.PROCESS["state"], _wire.PROCESS["pid"]
    found = []
    with _shared_memory(collector, proc) as descriptor:
        if descriptor is None:
            return []
        head = os.pread(descriptor, _wire.HEADER_BYTES, 0)
        used = min(_number(head, "processes_used"), _wire.MAX_PROCESSES)
        table = os.pread(descriptor, used * _wire.PROCESS_BYTES, _wire.PROCESSES_OFFSET)
    for base in range(0, len(table) - _wire.PROCESS_BYTES + 1, _wire.PROCESS_BYTES):
        (at,) = struct.unpack_from(state.format, table, base + state.offset)
        (number,) = struct.unpack_from(pid.format, table, base + pid.offset)
        if at in (ProcessState.LIVE, ProcessState.EXEC):
            found.append(int(number))
    return found


def live_of(collector: int, proc: Path = PROC) -> Live | None:
    """The figures of the moment of a collector; None if it has ended."""
    with _shared_memory(collector, proc) as descriptor:
        head = b"" if descriptor is None else os.pread(descriptor, _wire.HEADER_BYTES, 0)
    return _live(head)


def resident(pid: int, proc: Path = PROC) -> int:
    """Resident bytes of a process at this moment; 0 if it is gone."""
    try:
        fields = (proc / str(pid) / "statm").read_bytes().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _processes(proc: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return sorted(int(name) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208
    return []


def _session_of(pid: int, proc: Path) -> Running | None:
    folder = proc / str(pid)
    try:
        program = os.readlink(folder / "exe")  # noqa: PTH115 - it may say "(deleted)" behind
        if os.path.basename(program).replace(_DELETED, "") != _COLLECTOR:  # noqa: PTH119
            return None
        words = [os.fsdecode(word) for word in (folder / "cmdline").read_bytes().split(b"\0")]
        output, command = _options(words[1:-1])
        status = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        if not output or status[0] in (b"Z", b"X"):
            return None
        with _shared_memory(pid, proc) as descriptor:
            head = b"" if descriptor is None else os.pread(descriptor, _wire.HEADER_BYTES, 0)
        live = _live(head)
        if live is None:
            return None
        path, deleted = _where(folder, output)
    except (OSError, IndexError, ValueError):
        return None  # another user's, or gone meanwhile
    launcher = int(status[1])
    return Running(
        collector=pid,
        launcher=launcher if launcher > 1 else 0,
        root=_number(head, "root_pid"),
        recording=path,
        deleted=deleted,
        command=tuple(command),
        live=live,
    )


def _options(words: list[str]) -> tuple[str, list[str]]:
    """The output and the recorded command in a collector's arguments."""
    output = ""
    at = 0
    while at < len(words) and words[at] != "--":
        if words[at] == "--output" and at + 1 < len(words):
            output = words[at + 1]
        at += 2 if words[at] in _VALUED else 1
    return output, words[at + 1 :]


def _where(folder: Path, output: str) -> tuple[str, bool]:
    """Where the file that was created as ``output`` is now, and whether it has been deleted."""
    created = os.path.normpath(os.path.join(os.readlink(folder / "cwd"), output))  # noqa: PTH115, PTH118
    for fd in sorted(os.listdir(folder / "fd")):  # noqa: PTH208
        if not fd.isdecimal() or int(fd) <= _wire.SESSION_FD:
            continue
        with contextlib.suppress(OSError):
            link = os.readlink(folder / "fd" / fd)  # noqa: PTH115
            if not link.startswith("/") or link.startswith(("/proc/", "/dev/", "/memfd:")):
                continue
            if link.endswith(_DELETED) and not os.path.exists(link):  # noqa: PTH110
                return link[: -len(_DELETED)], True
            return link, False
    return created, not os.path.exists(created)  # noqa: PTH110


@contextlib.contextmanager
def _shared_memory(collector: int, proc: Path) -> Iterator[int | None]:
    """A descriptor of a collector's shared memory, to read; None if it cannot be had."""
    try:
        path = proc / str(collector) / "fd" / str(_wire.SESSION_FD)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _number(head: bytes, name: str) -> int:
    field = _wire.HEADER[name]
    return int(struct.unpack_from(field.format, head, field.offset)[0])


def _live(head: bytes) -> Live | None:
    """The figures in a session's header; None if it is none of this version."""
    if len(head) < _wire.HEADER_BYTES or _number(head, "magic") != _wire.MAGIC:
        return None
    if _number(head, "version") != _wire.VERSION or _number(head, "state") > max(State):
        return None
    names = [name for name in Live.__dataclass_fields__ if name != "state"]
    figures = {name: _number(head, name) for name in names}
    return Live(state=State(_number(head, "state")), **figures)
