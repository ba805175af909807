"""What a row is called and where that is, fitted to the width there is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len

from heaptide.profile import Origin

from . import units
from .places import short_function, short_path, short_place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from heaptide.profile import Profile
    from heaptide.profile.actors import LikeThreads

    from .console import Screen

_NOT_OWN = {
    Origin.LIBRARY: "library",
    Origin.INTERPRETER: "interpreter",
    Origin.ALLOCATOR: "allocator",
    Origin.UNKNOWN: "unknown",
}
_NAMELESS = "[no symbols]"
_ADDRESS = re.compile(r"(0x[0-9a-f]+) in ")  # how code without symbols is called
GAP = 2
LEAST = 8  # cells for a name or a place, however narrow the screen is


@dataclass
class Label:
    """What a row is called, and where that is (or what it is, when it is called by a place)."""

    name: str
    place: str = ""
    language: int = 0
    own: bool = True
    tag: str = ""  # whose code it is if not one's own, where there is room to say so
    prefix: str = ""  # what stands before the name, and takes of its room

    def clean(self, screen: Screen) -> None:
        self.name, self.place = screen.clean(self.name), screen.clean(self.place)


def place_label(profile: Profile, by: str, at: int) -> Label:
    """Of location ``at``, told by ``by``: function, line, file or module."""
    locations = profile.locations
    function = profile.function_of(at)
    file = short_path(locations.texts[locations.file[at]])
    module = short_path(profile.module_of(at))
    line, language = int(locations.line[at]), int(locations.language[at])
    whose = Origin(int(locations.origin[at]))
    own = whose == Origin.OWN
    tag = "" if own else _NOT_OWN[whose]
    if by == "module":
        return Label(module or function, tag, own=own)
    if by == "file":
        return Label(file or module or function, tag, own=own)
    where = f"{file}:{line}" if file and line else file or module
    address = _ADDRESS.match(function)
    if address and not file and module:
        # The object twice, and of the address what does not fit, would say nothing.
        where = f"{module.rpartition('/')[2]}+{address[1]}"
        return Label(_NAMELESS, where, language, own, tag)
    if by == "line" and file and line:
        return Label(where, function, language, own)
    return Label(function, where, language, own, tag)


def thread_label(profile: Profile, like: LikeThreads, rows: npt.NDArray[np.int64]) -> Label:
    """Of threads that are alike: what they are called or run, and how many they are, or its id."""
    recording, row = profile.recording, int(rows[0])
    if row < 0:
        return Label("[unknown thread]")
    name, runs = like.names[int(like.group[row])], like.runs[row]
    many = len(rows) > 1
    told = [units.some(len(rows), "thread", "threads") if many else str(recording.threads.tid[row])]
    process = int(recording.threads.process[row])
    if len(set(recording.processes.pid.tolist())) > 1 and process >= 0:
        told[0] += f" of process {int(recording.processes.pid[process])}"
    if runs and name != f"runs {runs}":
        told.append(f"runs {runs}")
    return Label(name, ", ".join(told))


def heads(by: str) -> Label:
    """The heads of the columns for names and places."""
    return Label(by, {"function": "line", "line": "function"}.get(by, ""))


def divide(labels: list[Label], room: int) -> tuple[int, int]:
    """Widths of names and places: as needed, else half of the room or the other's rest."""
    name = max(cell_len(label.prefix) + cell_len(label.name) for label in labels)
    place = max(cell_len(label.place) for label in labels)
    if not place:
        return max(min(name, room), LEAST), 0
    room -= GAP
    if name + place > room:
        half = room // 2
        if name < half:
            place = room - name
        elif place < room - half:
            name = room - place
        else:
            name, place = half, room - half
    return max(name, LEAST), max(place, LEAST)


def write_label(
    screen: Screen, label: Label, by: str, name_width: int, place_width: int
) -> tuple[str, str]:
    """The name, without its prefix, and the place, each cut to its width."""
    name, place = label.name, label.place
    room = max(name_width - cell_len(label.prefix), 1)
    if by == "function":
        name = short_function(name, label.language, room)
        place = short_place(place, place_width)
    elif by == "line":
        place = short_function(place, label.language, place_width)
    if by in ("line", "file", "module"):
        name = short_place(name, room)
    tagged = f"{place} ({label.tag})".lstrip()
    if label.tag and cell_len(tagged) <= place_width:
        place = tagged
    # Paths and functions are told apart by their ends, commands by what they begin with.
    cut = screen.head if by == "process" else screen.tail
    return screen.tail(name, room), cut(place, place_width)
