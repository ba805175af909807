"""Tables of sites and of processes, fitted to the width there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from heaptide.profile import MAIN_THREADS, Origin, thread_entries, thread_name

from . import units
from .places import short_function, short_path, short_place

if TYPE_CHECKING:
    import numpy.typing as npt

    from heaptide.profile import Fold, Profile

    from .console import Screen

    Ints = npt.NDArray[np.int64]

_NOT_OWN = {
    Origin.LIBRARY: "library",
    Origin.INTERPRETER: "interpreter",
    Origin.ALLOCATOR: "allocator",
    Origin.UNKNOWN: "unknown",
}
_IMPORTS = " (imports)"
_BAR_WIDTH = 8
_GAP = 2
_LEAST = 8  # cells for a name or a place, however narrow the screen is


@dataclass
class _Label:
    """What a row is called, and where that is (or what it is, when it is called by a place)."""

    name: str
    place: str = ""
    language: int = 0
    own: bool = True
    tag: str = ""  # whose code it is if not one's own, where there is room to say so


def print_sites(screen: Screen, profile: Profile, fold: Fold, top: int) -> None:
    """The ``top`` largest groups of ``fold``: share, figure, companion, and what they are."""
    metric = fold.metric
    whole = int(metric.of(profile.totals[None, :])[0])
    in_bytes = metric.unit == "bytes"
    figure = units.size if in_bytes else units.count
    beside = units.size if metric.beside.endswith("_bytes") else units.count
    values = fold.values[:top].tolist()
    shares = [value / whole if whole else 0.0 for value in values]
    left = [
        ["share", *(units.percent(share) for share in shares)],
        ["", *(screen.bar(share, _BAR_WIDTH) for share in shares)],
        ["bytes" if in_bytes else "count", *(figure(value) for value in values)],
        [metric.beside_words, *(beside(n) for n in metric.beside_of(fold.figures)[:top].tolist())],
    ]
    entries = thread_entries(profile) if fold.by == "thread" else np.zeros(0, np.int64)
    labels = [_label(screen, profile, fold, row, entries) for row in range(len(values))]
    heads = _Label(fold.by, {"function": "line", "line": "function"}.get(fold.by, ""))
    used = sum(max(len(cell) for cell in column) + _GAP for column in left)
    name_width, place_width = _divide([heads, *labels], screen.width - used)

    rows = [[Text(column[0], "dim") for column in left]]
    rows[0] += [Text(heads.name, "dim"), Text(heads.place, "dim")]
    for row, label in enumerate(labels):
        name, place = label.name, label.place
        if fold.by == "function":
            name = short_function(name, label.language, name_width)
        elif fold.by == "line":
            place = short_function(place, label.language, place_width)
        if fold.by == "function":
            place = short_place(place, place_width)
        elif fold.by in ("line", "file", "module"):
            name = short_place(name, name_width)
        style = "bold" if label.own else "dim"
        tagged = f"{place} ({label.tag})".lstrip()
        if label.tag and cell_len(tagged) <= place_width:
            place = tagged
        # Paths and functions are told apart by their ends, commands by what they begin with.
        cut = screen.head if fold.by == "process" else screen.tail
        rows.append(
            [
                Text(left[0][row + 1]),
                Text(left[1][row + 1], "cyan"),
                Text(left[2][row + 1], style),
                Text(left[3][row + 1]),
                Text(screen.tail(name, name_width), style),
                Text(cut(place, place_width), "dim"),
            ]
        )
    screen.grid(rows, "rlrrll", gap=_GAP)


def _divide(labels: list[_Label], room: int) -> tuple[int, int]:
    """Widths of names and places: as needed, else half of the room or the other's rest."""
    name = max(cell_len(label.name) for label in labels)
    place = max(cell_len(label.place) for label in labels)
    if not place:
        return max(min(name, room), _LEAST), 0
    room -= _GAP
    if name + place > room:
        half = room // 2
        if name < half:
            place = room - name
        elif place < room - half:
            name = room - place
        else:
            name, place = half, room - half
    return max(name, _LEAST), max(place, _LEAST)


def _label(screen: Screen, profile: Profile, fold: Fold, row: int, entries: Ints) -> _Label:
    at, entity = int(fold.location[row]), int(fold.entity[row])
    if fold.by == "thread":
        label = _thread(profile, entity, entries)
    elif fold.by == "process":
        label = _process(profile, entity)
    else:
        label = _place(profile, fold.by, at)
        if int(fold.imports[row]) * 2 > int(fold.values[row]):
            if fold.by == "line" and label.place:
                label.place += _IMPORTS
            else:
                label.name += _IMPORTS
    label.name, label.place = screen.clean(label.name), screen.clean(label.place)
    return label


def _place(profile: Profile, by: str, at: int) -> _Label:
    locations = profile.locations
    function = locations.texts[locations.function[at]]
    file = short_path(locations.texts[locations.file[at]])
    module = short_path(profile.module_of(at))
    line, language = int(locations.line[at]), int(locations.language[at])
    whose = Origin(int(locations.origin[at]))
    own = whose == Origin.OWN
    tag = "" if own else _NOT_OWN[whose]
    if by == "module":
        return _Label(module or function, tag, own=own)
    if by == "file":
        return _Label(file or module or function, tag, own=own)
    where = f"{file}:{line}" if file and line else file or module
    if by == "line" and file and line:
        return _Label(where, function, language, own)
    return _Label(function, where, language, own, tag)


def _thread(profile: Profile, row: int, entries: Ints) -> _Label:
    recording, locations = profile.recording, profile.locations
    if row < 0:
        return _Label("[unknown thread]")
    process = int(recording.threads.process[row])
    place = f"{int(recording.threads.tid[row])}"
    if len(set(recording.processes.pid.tolist())) > 1 and process >= 0:
        place += f" of process {int(recording.processes.pid[process])}"
    name, at = thread_name(recording, row), int(entries[row])
    if at >= 0 and name not in MAIN_THREADS:
        place += f", runs {locations.texts[locations.function[at]]}"
    return _Label(name, place)


def _process(profile: Profile, row: int) -> _Label:
    if row < 0:
        return _Label("[unknown process]")
    return _Label(str(int(profile.recording.processes.pid[row])), _command(profile, row))


def _command(profile: Profile, row: int) -> str:
    recording = profile.recording
    command = " ".join(recording.command_of(row)) or recording.processes.exe[row]
    return f"(exec) {command}" if int(recording.processes.image[row]) else command


def print_processes(screen: Screen, profile: Profile, rows: list[int], top: int) -> None:
    """A line for each of ``rows``, the highest peaks first, ``top`` at the most."""
    table = profile.recording.processes
    rows = sorted(rows, key=lambda row: -int(table.peak_bytes[row]))[:top]
    heads = ("pid", "peak", "alive at exit", "allocations", "command")
    cells = [[Text(head, "dim") for head in heads]]
    for row in rows:
        cells.append(
            [
                Text(str(int(table.pid[row]))),
                Text(units.size(int(table.peak_bytes[row])), "bold"),
                Text(units.size(int(table.live_bytes[row]))),
                Text(units.count(int(table.allocations[row]))),
                Text(screen.clean(_command(profile, row))),
            ]
        )
    used = sum(max(len(row[i]) for row in cells) + _GAP for i in range(4))
    for line in cells[1:]:
        line[4] = Text(screen.head(line[4].plain, max(screen.width - used, _LEAST)))
    screen.grid(cells, "rrrrl", gap=_GAP)
