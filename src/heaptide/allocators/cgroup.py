"""The memory of the container, or whatever control group a process is in: version 1 and 2.

Where the groups are mounted is asked of the kernel. ``root`` is a parameter, below which ``proc``
and the mounts are, so that tests can make up a system.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from heaptide._procfs import DIGITS, numbers, read_raw

_UNLIMITED = 1 << 62  # version 1 has a number near 2**63 for no limit
_PSI = (b"avg10=", b"avg60=", b"avg300=", b"total=")
# What is told of memory.stat, of version 1 and 2.
_STAT_1 = (
    *(b"total_rss ", b"total_cache ", b"total_swap ", b"total_inactive_file "),
    b"hierarchical_memory_limit ",
)
_STAT_2 = (b"anon ", b"file ", b"inactive_file ")


@dataclass(frozen=True)
class Stall:
    """Parts of the time (0 to 1) in which tasks waited for memory; ``total``: seconds."""

    avg10: float
    avg60: float
    avg300: float
    total: float


@dataclass(frozen=True)
class Pressure:
    """``some``: at least one task waited; ``full``: all that had work to do did."""

    some: Stall
    full: Stall | None = None


@dataclass(frozen=True)
class Cgroup:
    """Bytes. None: this version, or this kernel, does not tell; a limit of None: there is none."""

    version: int
    path: str  # of the group, in the hierarchy as the process sees it
    limit: int | None = None  # the least of its own and those of the groups above it
    high: int | None = None  # above it, tasks are slowed down (version 2)
    current: int | None = None
    peak: int | None = None
    working_set: int | None = None  # current, without pages of files that were not used lately
    anon: int | None = None
    file: int | None = None
    swap: int | None = None
    swap_limit: int | None = None  # version 2
    headroom: int | None = None  # what is left to the nearest limit, of here or above
    events: dict[str, int] = field(default_factory=dict)  # counts, as the kernel calls them
    pressure: Pressure | None = None  # version 2


def read_cgroup(pid: int | None = None, root: Path = Path("/")) -> Cgroup | None:
    """Of a process (None: this one). 0.2 ms. None: it is in no group whose memory is counted, or
    that can be seen from here."""
    return CgroupReader(pid, root).read()


class CgroupReader:
    """Reads the group of a process again and again, in half the time: its folders are looked
    for only once, and again when it has been moved or they have gone. May be used from several
    threads, and in forked children."""

    def __init__(self, pid: int | None = None, root: Path = Path("/")) -> None:
        """``pid`` None: whatever process reads."""
        self._groups = str(root / "proc" / ("self" if pid is None else str(pid)) / "cgroup")
        self._root = root
        self._last: tuple[bytes, _Folders] | None = None

    def read(self) -> Cgroup | None:
        """As `read_cgroup`."""
        groups, last = read_raw(self._groups) or b"", self._last
        if last is not None and last[0] == groups:
            group = _read(last[1])
            if group.current is not None or group.anon is not None:
                return group
        found = _folders(os.fsdecode(groups), self._root)
        self._last = None if found is None else (groups, found)
        return None if found is None else _read(found)


def read_pressure(path: str | Path = "/proc/pressure/memory") -> Pressure | None:
    """Of the whole machine, or of a group's ``memory.pressure``. None: the kernel does not tell."""
    found: dict[bytes, Stall] = {}
    for line in (read_raw(path) or b"").splitlines():  # some avg10=0.00 avg60=0.00 ... total=0
        kind, *pairs = line.split() or [b""]
        words = [word for name, word in zip(_PSI, pairs) if word.startswith(name)]
        if len(words) == len(pairs) == len(_PSI):
            stall = _stall(*(word.partition(b"=")[2] for word in words))
            if stall is not None:
                found[kind] = stall
    return Pressure(found[b"some"], found.get(b"full")) if b"some" in found else None


def _stall(avg10: bytes, avg60: bytes, avg300: bytes, total: bytes) -> Stall | None:
    """Percentages, and microseconds."""
    if not all(one.replace(b".", b"", 1).isdigit() for one in (avg10, avg60, avg300)):
        return None
    if not total.isdigit() or len(total) > DIGITS:
        return None
    return Stall(float(avg10) / 100, float(avg60) / 100, float(avg300) / 100, int(total) / 1e6)


class _Folders(NamedTuple):
    """Where a process's group is: its own folder, and those above it."""

    version: int
    path: str
    chain: list[str]


def _folders(groups: str, root: Path) -> _Folders | None:
    paths: dict[int, str] = {}
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths[2] = path
        elif "memory" in controllers.split(","):
            paths[1] = path
    for version in (1, 2):  # with version 1 mounted for memory, version 2 counts none
        if version in paths:
            for base, mount in _mounts(root, version):
                chain = [str(one) for one in _chain(paths[version], base, mount)]
                if _has_memory(chain[0], version):
                    return _Folders(version, paths[version], chain)
    return None


def _mounts(root: Path, version: int) -> list[tuple[str, Path]]:
    """Which part of the hierarchy is mounted, and where."""
    found = []
    file = root / "proc" / "self" / "mountinfo"
    mounts = os.fsdecode(read_raw(file, at_once=False) or b"")
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        parts, kind = before.split(" "), after.split(" ")
        if len(parts) < 5 or len(kind) < 3:
            continue
        is_v1 = kind[0] == "cgroup" and "memory" in kind[2].split(",")
        if is_v1 if version == 1 else kind[0] == "cgroup2":
            place = _unescape(parts[4])
            found.append((_unescape(parts[3]), root / place.lstrip("/")))
    return found


def _unescape(text: str) -> str:
    """Spaces and the like are octal in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _chain(path: str, base: str, mount: Path) -> list[Path]:
    """Folders from the group's own up to where the hierarchy is mounted.

    In a container without a namespace of its own the path is the machine's, and only a part of the
    hierarchy is mounted: the mount itself is then the group, or the nearest that can be seen.
    """
    try:
        below = PurePosixPath(path).relative_to(base)
    except ValueError:
        return [mount]
    folder = mount / below
    if ".." in below.parts or not os.path.isdir(folder):  # noqa: PTH112 (that may raise)
        return [mount]
    return [folder, *(mount / one for one in below.parents)] if below.parts else [mount]


def _has_memory(folder: str, version: int) -> bool:
    name = "memory.usage_in_bytes" if version == 1 else "memory.stat"
    return os.access(f"{folder}/{name}", os.F_OK)


def _read(found: _Folders) -> Cgroup:
    return (_read_v2 if found.version == 2 else _read_v1)(found.path, found.chain)


def _read_v2(path: str, chain: list[str]) -> Cgroup:
    own = chain[0]
    stat, current = _stat(own, _STAT_2), _number(f"{own}/memory.current")
    working_set = _working_set(current, stat.get(b"inactive_file "))
    levels = [(_number(f"{own}/memory.max"), working_set)]
    for folder in chain[1:]:
        limit = _number(f"{folder}/memory.max")
        if limit is not None:
            unused = _stat(folder, _STAT_2).get(b"inactive_file ")
            levels.append((limit, _working_set(_number(f"{folder}/memory.current"), unused)))
    return Cgroup(
        version=2,
        path=path,
        limit=_least([limit for limit, _ in levels]),
        high=_number(f"{own}/memory.high"),
        current=current,
        peak=_number(f"{own}/memory.peak"),
        working_set=working_set,
        anon=stat.get(b"anon "),
        file=stat.get(b"file "),
        swap=_number(f"{own}/memory.swap.current"),
        swap_limit=_number(f"{own}/memory.swap.max"),
        headroom=_headroom(levels),
        events=_counts(f"{own}/memory.events"),
        pressure=read_pressure(f"{own}/memory.pressure"),
    )


def _read_v1(path: str, chain: list[str]) -> Cgroup:
    own = chain[0]
    stat, current = _stat(own, _STAT_1), _number(f"{own}/memory.usage_in_bytes")
    working_set = _working_set(current, stat.get(b"total_inactive_file "))
    events = _counts(f"{own}/memory.oom_control")
    # Of groups above what can be seen from here, too; without one, none of them has a limit.
    whole = stat.get(b"hierarchical_memory_limit ")
    limited = whole is None or whole < _UNLIMITED
    failures = _number(f"{own}/memory.failcnt") if limited else None  # how often it was hit
    if failures is not None:
        events["failcnt"] = failures
    levels = [(_limit(whole), working_set)]
    for folder in chain if limited else ():
        limit = _limit(_number(f"{folder}/memory.limit_in_bytes"))
        if limit is not None:
            unused = _stat(folder, _STAT_1).get(b"total_inactive_file ")
            levels.append((limit, _working_set(_number(f"{folder}/memory.usage_in_bytes"), unused)))
    return Cgroup(
        version=1,
        path=path,
        limit=_least([limit for limit, _ in levels]),
        current=current,
        peak=_number(f"{own}/memory.max_usage_in_bytes"),
        working_set=working_set,
        anon=stat.get(b"total_rss "),
        file=stat.get(b"total_cache "),
        swap=stat.get(b"total_swap "),
        headroom=_headroom(levels),
        events=events,
    )


def _working_set(used: int | None, unused: int | None) -> int | None:
    """As kubelet has it."""
    return None if used is None or unused is None else max(used - unused, 0)


def _headroom(levels: list[tuple[int | None, int | None]]) -> int | None:
    return _least(
        [max(limit - used, 0) for limit, used in levels if limit is not None and used is not None]
    )


def _limit(number: int | None) -> int | None:
    return None if number is None or number >= _UNLIMITED else number


def _least(numbers: list[int | None] | list[int]) -> int | None:
    return min((one for one in numbers if one is not None), default=None)


def _number(path: str) -> int | None:
    """None: there is no such file, or it says ``max``."""
    raw = (read_raw(path) or b"").strip()
    return int(raw) if raw.isdigit() and len(raw) <= DIGITS else None


def _stat(folder: str, wanted: tuple[bytes, ...]) -> dict[bytes, int]:
    return numbers(read_raw(f"{folder}/memory.stat") or b"", wanted)


def _counts(path: str) -> dict[str, int]:
    """Lines of a name and a number."""
    raw = (read_raw(path) or b"").decode("ascii", "ignore")
    parts = (line.split() for line in raw.splitlines())
    return {
        two[0]: int(two[1])
        for two in parts
        if len(two) == 2 and two[1].isdecimal() and len(two[1]) <= DIGITS
    }
