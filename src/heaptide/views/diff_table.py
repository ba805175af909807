"""The table of what grew or shrank between two recordings, fitted to the width there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from heaptide.profile import thread_name
from heaptide.profile.match import unnamed

from . import units
from .changes import Scale, signed
from .commands import process_command
from .labels import GAP, Label, divide, heads, place_label, write_label
from .places import short_path

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.profile.diff import Diff
    from heaptide.profile.shared import Shared

    from .console import Screen


def print_changes(screen: Screen, shared: Shared, found: Diff, rows: list[int]) -> None:
    """A line for each of ``rows``: its change, what it was and is, what it is called."""
    scale, step, values = Scale(found.metric, found.scale), found.step, found.values
    lead = [Text(head, "dim") for head in ("change", "old", "new")]
    labels = [heads(found.by), *(diff_label(screen, shared, found, row) for row in rows)]
    for label in labels:
        label.clean(screen)
    cells = [lead]
    for row in rows:
        absent = ("new", "gone")
        sides = [
            Text(scale.figure(values[side][row]))
            if found.members[side][row]
            else Text(absent[side], "yellow")
            for side in (0, 1)
        ]
        cells.append([signed(step[row], scale.figure), *sides])
    widths = [max(line[column].cell_len for line in cells) for column in range(3)]
    between = f" {arrow(screen)} "
    used = sum(widths) + len(between) + 2 * GAP
    room = screen.width - used
    name_width, place_width = divide(labels, room)
    if any(label.tag for label in labels):  # which go into what is left
        place_width = max(place_width, room - name_width - GAP)
    lines = []
    for (change, old, new), label in zip(cells, labels):
        name, place = write_label(screen, label, found.by, name_width, place_width)
        style = "dim" if label is labels[0] or not label.own else "bold"
        before, after = _right(old, widths[1]), _right(new, widths[2])
        mark = Text(between if label is not labels[0] else " " * len(between), "dim")
        lines.append([change, before + mark + after, Text(name, style), Text(place, "dim")])
    screen.grid(lines, "rlll", gap=GAP)


def arrow(screen: Screen) -> str:
    return "→" if screen.glyphs.blocks else "->"


def _right(text: Text, width: int) -> Text:
    return Text(" " * (width - text.cell_len)) + text


def diff_label(screen: Screen, shared: Shared, found: Diff, row: int) -> Label:
    """What a row is called, in the newer recording if that has it; with what it was before."""
    side = int(found.in_new[row])
    profile, at = shared.profiles[side], int(found.places[side][row])
    counts = [int(members[row]) for members in found.members]
    if found.by == "thread":
        return _thread(profile, at, int(shared.entries[side][at]) if at >= 0 else -1, counts)
    if found.by == "process":
        return _process(profile, at, counts)
    label = place_label(profile, found.by, at)
    if found.grouped[row]:
        locations = profile.locations
        module = locations.texts[locations.module[at]]
        return replace(label, name=unnamed(module), place=short_path(module))
    if not all(counts):
        return label
    old, new = (_told(profile, int(at[row])) for profile, at in zip(shared.profiles, found.places))
    was = old.module if found.by == "module" else old.file
    if _base(was) != _base(new.module if found.by == "module" else new.file):
        label.tag = f"{label.tag}, was {was}".lstrip(", ")
    if found.function_gone[row]:
        label.place = shared.profiles[0].function_of(int(found.places[0][row]))
    if found.by == "line" and old.line != new.line:
        label.name = f"{new.file}:{old.line}{arrow(screen)}{new.line}"
    return label


class _Place(NamedTuple):
    file: str
    module: str
    line: int


def _told(profile: Profile, at: int) -> _Place:
    locations = profile.locations
    file, module = locations.texts[locations.file[at]], profile.module_of(at)
    return _Place(short_path(file), short_path(module), int(locations.line[at]))


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _thread(profile: Profile, row: int, entry: int, counts: list[int]) -> Label:
    if row < 0:
        return Label("[unknown thread]")
    recording = profile.recording
    name, process = thread_name(recording, row), int(recording.threads.process[row])
    told = []
    if entry >= 0 and name == "thread":
        at = profile.locations
        name = f"runs {at.texts[at.function[entry]]}"
    if len(set(recording.processes.pid.tolist())) > 1 and process >= 0:
        told.append(f"of {process_command(recording, process)}")
    told.append(_counted(counts, "thread", "threads"))
    return Label(name, ", ".join(filter(None, told)))


def _process(profile: Profile, row: int, counts: list[int]) -> Label:
    if row < 0:
        return Label("[unknown process]")
    return Label(process_command(profile.recording, row), _counted(counts, "process", "processes"))


def _counted(counts: list[int], one: str, many: str) -> str:
    """``4, then 6 threads``; "" where it is one."""
    if max(counts) < 2:
        return ""
    if counts[0] == counts[1] or not all(counts):
        return units.some(max(counts), one, many)
    return f"{counts[0]:,}, then {units.some(counts[1], one, many)}"
