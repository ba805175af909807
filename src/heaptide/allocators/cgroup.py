"""The memory of the container, or whatever control group a process is in: version 1 and 2.

Where the groups are mounted is asked of the kernel. ``root`` is a parameter, below which ``proc``
and the mounts are, so that tests can make up a system.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_UNLIMITED = 1 << 62  # version 1 has a number near 2**63 for no limit
_PSI = re.compile(
    r"^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$", re.MULTILINE
)


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
    """Of a process (None: this one). 0.3 ms. None: it is in no group whose memory is counted, or
    that can be seen from here."""
    name = "self" if pid is None else str(pid)
    folders = _folders(_text(root / "proc" / name / "cgroup") or "", root)
    if folders is None:
        return None
    version, path, chain = folders
    return _read_v2(path, chain) if version == 2 else _read_v1(path, chain)


def read_pressure(path: Path = Path("/proc/pressure/memory")) -> Pressure | None:
    """Of the whole machine, or of a group's ``memory.pressure``. None: the kernel does not tell."""
    found = {
        kind: Stall(float(a) / 100, float(b) / 100, float(c) / 100, int(total) / 1e6)
        for kind, a, b, c, total in _PSI.findall(_text(path) or "")
    }
    return Pressure(found["some"], found.get("full")) if "some" in found else None


def _folders(groups: str, root: Path) -> tuple[int, str, list[Path]] | None:
    """Version, path and folders of a process's group: its own, and those above it."""
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
                chain = _chain(paths[version], base, mount)
                if _has_memory(chain[0], version):
                    return version, paths[version], chain
    return None


def _mounts(root: Path, version: int) -> list[tuple[str, Path]]:
    """Which part of the hierarchy is mounted, and where."""
    found = []
    for line in (_text(root / "proc" / "self" / "mountinfo") or "").splitlines():
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
    if ".." in below.parts or not folder.is_dir():
        return [mount]
    return [folder, *(mount / one for one in below.parents)] if below.parts else [mount]


def _has_memory(folder: Path, version: int) -> bool:
    name = "memory.usage_in_bytes" if version == 1 else "memory.stat"
    return (folder / name).exists()


def _read_v2(path: str, chain: list[Path]) -> Cgroup:
    own = chain[0]
    stat, current = _counts(own / "memory.stat"), _number(own / "memory.current")
    levels = [
        (
            _number(folder / "memory.max"),
            _working_set(folder / "memory.current", folder / "memory.stat", "inactive_file"),
        )
        for folder in chain
    ]
    return Cgroup(
        version=2,
        path=path,
        limit=_least([limit for limit, _ in levels]),
        high=_number(own / "memory.high"),
        current=current,
        peak=_number(own / "memory.peak"),
        working_set=levels[0][1],
        anon=stat.get("anon"),
        file=stat.get("file"),
        swap=_number(own / "memory.swap.current"),
        swap_limit=_number(own / "memory.swap.max"),
        headroom=_headroom(levels),
        events=_counts(own / "memory.events"),
        pressure=read_pressure(own / "memory.pressure"),
    )


def _read_v1(path: str, chain: list[Path]) -> Cgroup:
    own = chain[0]
    stat = _counts(own / "memory.stat")
    events = _counts(own / "memory.oom_control")
    failures = _number(own / "memory.failcnt")
    if failures is not None:
        events["failcnt"] = failures
    levels = [
        (
            _limit(_number(folder / "memory.limit_in_bytes")),
            _working_set(
                folder / "memory.usage_in_bytes", folder / "memory.stat", "total_inactive_file"
            ),
        )
        for folder in chain
    ]
    # Of groups above what can be seen from here, too.
    whole = _limit(stat.get("hierarchical_memory_limit"))
    levels.append((whole, levels[0][1]))
    return Cgroup(
        version=1,
        path=path,
        limit=_least([limit for limit, _ in levels]),
        current=_number(own / "memory.usage_in_bytes"),
        peak=_number(own / "memory.max_usage_in_bytes"),
        working_set=levels[0][1],
        anon=stat.get("total_rss"),
        file=stat.get("total_cache"),
        swap=stat.get("total_swap"),
        headroom=_headroom(levels),
        events=events,
    )


def _working_set(current: Path, stat: Path, inactive: str) -> int | None:
    """As kubelet has it."""
    used, unused = _number(current), _counts(stat).get(inactive)
    return None if used is None or unused is None else max(used - unused, 0)


def _headroom(levels: list[tuple[int | None, int | None]]) -> int | None:
    return _least(
        [max(limit - used, 0) for limit, used in levels if limit is not None and used is not None]
    )


def _limit(number: int | None) -> int | None:
    return None if number is None or number >= _UNLIMITED else number


def _least(numbers: list[int | None] | list[int]) -> int | None:
    return min((one for one in numbers if one is not None), default=None)


def _number(path: Path) -> int | None:
    """None: there is no such file, or it says ``max``."""
    text = (_text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _counts(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    parts = (line.split() for line in (_text(path) or "").splitlines())
    return {two[0]: int(two[1]) for two in parts if len(two) == 2 and two[1].isdecimal()}


def _text(path: Path) -> str | None:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return None
