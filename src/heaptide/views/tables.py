"""Tables of sites and of processes, fitted to the width there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from heaptide.profile import unknown

from . import units
from .commands import process_command
from .labels import GAP, LEAST, Label, divide, heads, place_label, write_label

if TYPE_CHECKING:
    from heaptide.profile import Fold, Profile

    from .console import Screen

_IMPORTS = " (imports)"
_BAR_WIDTH = 8


def print_sites(
    screen: Screen, profile: Profile, fold: Fold, top: int, labels: Sequence[Label] = ()
) -> None:
    """The ``top`` largest groups of ``fold``: share, figure, companion, and what they are.

    ``labels``: what the rows are called, where it is not told by their places.
    """
    metric = fold.metric
    whole = profile.total_of(metric)
    in_bytes = metric.unit == "bytes"
    figure = units.size if in_bytes else units.count
    beside = units.size if metric.beside.endswith("_bytes") else units.count
    values = fold.values[:top].tolist()
    shares = [value / whole if whole else 0.0 for value in values]
    known = bool(metric.beside_words) and metric.beside not in unknown(profile.recording)
    left = [
        ["share", *(units.percent(share) for share in shares)],
        ["", *(screen.bar(share, _BAR_WIDTH) for share in shares)],
        ["bytes" if in_bytes else "count", *(figure(value) for value in values)],
        [
            metric.beside_words if known else "",
            *(beside(n) if known else "" for n in metric.beside_of(fold.figures)[:top].tolist()),
        ],
    ]
    labels = labels[:top] or [_label(profile, fold, row) for row in range(len(values))]
    for label in labels:
        label.clean(screen)
    used = sum(max(len(cell) for cell in column) + GAP for column in left)
    name_width, place_width = divide([heads(fold.by), *labels], screen.width - used)

    rows = [[Text(column[0], "dim") for column in left]]
    rows[0] += [Text(heads(fold.by).name, "dim"), Text(heads(fold.by).place, "dim")]
    for row, label in enumerate(labels):
        name, place = write_label(screen, label, fold.by, name_width, place_width)
        style = "bold" if label.own else "dim"
        rows.append(
            [
                Text(left[0][row + 1]),
                Text(left[1][row + 1], "cyan"),
                Text(left[2][row + 1], style),
                Text(left[3][row + 1]),
                Text(name, style),
                Text(place, "dim"),
            ]
        )
    screen.grid(rows, "rlrrll", gap=GAP)


def _label(profile: Profile, fold: Fold, row: int) -> Label:
    if fold.by == "process":
        return _process(profile, int(fold.entity[row]))
    label = place_label(profile, fold.by, int(fold.location[row]))
    if int(fold.imports[row]) * 2 > int(fold.values[row]):
        if fold.by == "line" and label.place:
            label.place = _importing(label.place)
        else:
            label.name = _importing(label.name)
    return label


def _importing(name: str) -> str:
    return name if name.startswith("import ") else name + _IMPORTS


def _process(profile: Profile, row: int) -> Label:
    if row < 0:
        return Label("[unknown process]")
    return Label(str(int(profile.recording.processes.pid[row])), _command(profile, row))


def _command(profile: Profile, row: int) -> str:
    recording = profile.recording
    command = process_command(recording, row)
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
    used = sum(max(len(row[i]) for row in cells) + GAP for i in range(4))
    for line in cells[1:]:
        line[4] = Text(screen.head(line[4].plain, max(screen.width - used, LEAST)))
    screen.grid(cells, "rrrrl", gap=GAP)
