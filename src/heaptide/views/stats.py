"""What a process holds: one screen, and a document."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

from rich.text import Text

from . import units
from .console import Screen, print_section

if TYPE_CHECKING:
    from heaptide.allocators import AllocatorStats, Cgroup, Look, Outside, Pressure

SCHEMA_VERSION = 1
_FIGURES = ("allocated", "free", "active", "resident", "mapped", "retained", "metadata")
_ROLES = {"malloc": "malloc", "python": "Python's objects", "library": "of a library"}
_ARENAS = 16  # that the screen has room for; --json has all
_OLD = 1.0  # seconds: what is older is said to be
_Pairs = list[tuple[str, str]]


def print_look(
    look: Look,
    *,
    clear: bool = False,
    file: IO[str] | None = None,
    width: int | None = None,
    height: int | None = None,
) -> None:
    """Prints it; ``clear``: on an empty screen, over what was there before, as much as there is
    room for. ``height``: the screen's, in lines; None: as the terminal says."""
    screen = Screen(file, width)
    if not clear:
        _print(screen, look)
        return
    with screen.console.capture() as captured:
        _print(screen, look)
    lines = captured.get().splitlines()
    room = (height or screen.console.height) - 1  # the cursor is in the last line
    if len(lines) > room:  # the first ones would leave the screen, and they matter most
        room = max(room - 1, 1)
        more = f"{screen.glyphs.ellipsis} {len(lines) - room} more lines: make the window higher"
        lines[room:] = [screen.head(more, screen.width)]
    screen.console.clear()
    screen.console.file.write("\n".join(lines) + "\n")


def _print(screen: Screen, look: Look) -> None:
    given = any(look.command)  # not of the kernel's own, nor of one that has just ended
    words = " ".join(map(shlex.quote, look.command)) if given else f"[{look.process.name}]"
    title = screen.clean(f"process {look.process.pid}: {words}")
    screen.line(Text(screen.head(title, screen.width), "bold"))
    _print_pairs(screen, _process(look))
    if look.family is not None and look.family.processes > 1:
        print_section(screen, _with_age("with its children", look.family_age))
        _print_pairs(screen, _family(look))
    if look.cgroup is not None:
        path = screen.clean(look.cgroup.path)
        print_section(screen, f"control group {path} (version {look.cgroup.version})")
        _print_pairs(screen, _cgroup(look.cgroup))
    if look.pressure is not None:
        print_section(screen, "machine")
        _print_pairs(screen, _pressure(look.pressure))
    _print_allocators(screen, look)
    if look.notes:
        screen.line()
    for note in look.notes:
        screen.paragraph(Text("? ", "yellow"), screen.clean(note), "yellow")


def _print_pairs(screen: Screen, pairs: _Pairs) -> None:
    """Names above figures, as many beside each other as there is room for."""
    rows: list[list[tuple[str, str]]] = [[]]
    room = screen.width
    for pair in pairs:
        need = max(map(len, pair)) + 2
        if rows[-1] and need > room:
            rows.append([])
            room = screen.width
        rows[-1].append(pair)
        room -= need
    for row in rows:
        if row:
            names = [Text(screen.clean(name), "dim") for name, _ in row]
            screen.grid([names, [Text(figure) for _, figure in row]], "r" * len(row))


def _sized(pairs: Sequence[tuple[str, int | None]]) -> _Pairs:
    """What is not known is left out."""
    return [(name, units.size(amount)) for name, amount in pairs if amount is not None]


def _process(look: Look) -> _Pairs:
    of = look.process
    pairs = _sized(
        [
            ("RSS", of.rss),
            ("peak RSS", of.peak_rss),
            (_with_age("PSS", of.age or 0.0), of.pss),
            (_with_age("USS", of.age or 0.0), of.uss),
            ("anonymous", of.rss_anon),
            ("files", of.rss_file),
            ("shared", of.rss_shmem),
            ("swap", of.swap),
            ("virtual", of.virtual),
        ]
    )
    counts = (
        ("threads", of.threads),
        ("minor faults", of.minor_faults),
        ("major faults", of.major_faults),
    )
    return pairs + [(name, units.count(n)) for name, n in counts if n is not None]


def _family(look: Look) -> _Pairs:
    assert look.family is not None
    of = look.family
    sizes = _sized([("PSS", of.pss), ("USS", of.uss), ("swap", of.swap), ("RSS, summed", of.rss)])
    return [("processes", units.count(of.processes)), *sizes]


def _cgroup(of: Cgroup) -> _Pairs:
    pairs = [("limit", "none" if of.limit is None else units.both_sizes(of.limit))]
    pairs += _sized(
        [
            ("current", of.current),
            ("working set", of.working_set),
            ("headroom", of.headroom),
            ("peak", of.peak),
            ("anonymous", of.anon),
            ("files", of.file),
            ("swap", of.swap),
            ("high", of.high),
        ]
    )
    pairs += [(name, units.count(number)) for name, number in of.events.items()]
    return pairs + ([] if of.pressure is None else _pressure(of.pressure))


def _pressure(of: Pressure) -> _Pairs:
    pairs = [
        ("waiting for memory, 10 s", units.percent(of.some.avg10)),
        ("60 s", units.percent(of.some.avg60)),
        ("300 s", units.percent(of.some.avg300)),
    ]
    if of.full is not None:
        pairs.append(("all of them, 10 s", units.percent(of.full.avg10)))
    return pairs


def _print_allocators(screen: Screen, look: Look) -> None:
    for one in look.allocators:
        print_section(screen, _with_age(screen.clean(_title(one)), one.age))
        pairs = _sized([(name, getattr(one, name)) for name in _FIGURES])
        if one.blocks is not None:
            pairs.append(("blocks", units.count(one.blocks)))
        if one.fragmentation is not None:
            pairs.append(("fragmentation", units.percent(one.fragmentation)))
        _print_pairs(screen, pairs)
        if one.reason:
            screen.paragraph(Text("? ", "yellow"), screen.clean(one.reason), "yellow")
        if one.arenas:
            _print_arenas(screen, one)
    for other in look.outside:
        print_section(screen, screen.clean(_title(other)))


def _print_arenas(screen: Screen, one: AllocatorStats) -> None:
    names = [n for n in _FIGURES if any(getattr(arena, n) is not None for arena in one.arenas)]
    rows = [[Text("arena", "dim"), *(Text(name, "dim") for name in names)]]
    for arena in one.arenas[:_ARENAS]:
        figures = [getattr(arena, name) for name in names]
        cells = [Text("" if amount is None else units.size(amount)) for amount in figures]
        rows.append([Text(str(arena.index)), *cells])
    screen.grid(rows, "r" * len(rows[0]))
    if len(one.arenas) > _ARENAS:
        screen.line(f"and {len(one.arenas) - _ARENAS} more: see --json", "dim")


def _title(one: AllocatorStats | Outside) -> str:
    version = getattr(one, "version", None)
    name = f"{one.name} {version.split('-')[0]}" if version else one.name  # 5.3.0-0-g54eaed1d
    where = PurePath(one.file).name
    prefix = f", {one.prefix}*" if one.prefix else ""
    return f"{name}: {_ROLES[one.role]} ({where}{prefix})"


def _with_age(text: str, age: float) -> str:
    return f"{text}, {units.duration(age)} ago" if age >= _OLD else text


def as_json(look: Look) -> dict[str, Any]:
    """The document of docs/monitoring.md."""
    process = asdict(look.process)
    reason, age = process.pop("reason"), process.pop("age")
    family = None if look.family is None else {**asdict(look.family), "age": look.family_age}
    return {
        "schema_version": SCHEMA_VERSION,
        "process": {
            **process,
            "command": list(look.command),
            "pss_age": age,
            "pss_reason": reason or None,
        },
        "family": family,
        "cgroup": None if look.cgroup is None else asdict(look.cgroup),
        "pressure": None if look.pressure is None else asdict(look.pressure),
        "allocators": [_allocator(one) for one in look.allocators]
        + [_outside(other) for other in look.outside],
        "notes": list(look.notes),
    }


def _allocator(one: AllocatorStats) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": one.role,
        "version": one.version,
        "file": one.file,
        "prefix": one.prefix,
        **{name: getattr(one, name) for name in _FIGURES},
        "fragmentation": one.fragmentation,
        "blocks": one.blocks,
        "arenas": [_arena(arena) for arena in one.arenas],
        "age": one.age,
        "reason": one.reason or None,
    }


def _arena(arena: Any) -> dict[str, Any]:
    return {field.name: getattr(arena, field.name) for field in fields(arena)}


def _outside(other: Outside) -> dict[str, Any]:
    return {
        "name": other.name,
        "role": other.role,
        "version": None,
        "file": other.file,
        "prefix": other.prefix,
        **dict.fromkeys((*_FIGURES, "fragmentation", "blocks")),
        "arenas": [],
        "age": None,
        "reason": "it is asked inside of the process only",
    }
