"""Histograms of sizes and lifetimes, and the table of threads, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from heaptide.profile import (
    COLUMNS,
    age_histogram,
    lifetime_histogram,
    size_histogram,
)
from heaptide.profile.actors import like_threads

from . import units
from .labels import GAP, LEAST, thread_label

if TYPE_CHECKING:
    from heaptide.profile import Fold, Histogram, Profile

    from .console import Screen

_BAR_WIDTH = 30


def print_sizes(screen: Screen, profile: Profile) -> None:
    """Calls by the size they asked for."""
    found = size_histogram(profile)
    _print(screen, found, "size", "calls", _size_names(found.bounds))


def print_lifetimes(screen: Screen, profile: Profile) -> None:
    """Freed blocks by how long they lived: in time, and in allocations of their thread."""
    found = lifetime_histogram(profile)
    _print(screen, found, "lived", "blocks", _time_names(found.bounds))
    ages = age_histogram(profile)
    screen.line()
    if ages is None:
        screen.line("in allocations: not known when sampling: only samples are seen", "dim")
        return
    _print(screen, ages, "freed after", "blocks", _age_names(ages.bounds))


def _print(screen: Screen, histogram: Histogram, what: str, of: str, names: list[str]) -> None:
    if not histogram.total:
        screen.line("nothing", "dim")
        return
    counts = histogram.counts.tolist()
    last = max(index for index, count in enumerate(counts) if count)
    most = max(counts)
    rows = [[Text(head, "dim") for head in (what, of, "share", "")]]
    for name, count in list(zip(names, counts))[: last + 1]:
        rows.append(
            [
                Text(name),
                Text(units.count(count), "bold" if count else "dim"),
                Text(units.percent(count / histogram.total) if count else ""),
                Text(screen.bar(count / most, min(_BAR_WIDTH, max(screen.width - 50, 5))), "cyan"),
            ]
        )
    screen.grid(rows, "lrrl")


def _size_names(bounds: tuple[int, ...]) -> list[str]:
    names = [f"up to {units.binary_size(bound)}" for bound in bounds]
    return [*names, f"more than {units.binary_size(bounds[-1])}"]


def _time_names(bounds: tuple[int, ...]) -> list[str]:
    names = [f"less than {units.duration(bound / 1e9)}" for bound in bounds]
    return [*names, f"{units.duration(bounds[-1] / 1e9)} and more"]


def _age_names(bounds: tuple[int, ...]) -> list[str]:
    names = ["no allocation", "1 allocation"]
    names += [f"up to {units.count(bound)} allocations" for bound in bounds[2:]]
    return [*names, f"more than {units.count(bounds[-1])}"]


def print_threads(screen: Screen, profile: Profile, fold: Fold, top: int) -> None:
    """A line for each thread of ``fold``: when it ran, and what it did with memory.

    Threads that are alike have a line together.
    """
    table, like = profile.recording.threads, like_threads(profile)
    fold, members = like.fold(fold)
    heads = ("at peak", "at exit", "in total", "allocations", "from", "to", "thread")
    cells = [[Text(head, "dim") for head in heads]]
    shown = members if top <= 0 else members[:top]
    for figures, rows in zip(fold.figures.tolist(), shown):
        values = dict(zip(COLUMNS, figures))
        start = end = ""
        if rows[0] >= 0:
            start = units.duration(int(table.start[rows].min()) / 1e9)
            ended = bool(table.end[rows].all())
            end = units.duration(int(table.end[rows].max()) / 1e9) if ended else "end"
        label = thread_label(profile, like, rows)
        name = f"{label.name}, {label.place}" if label.place else label.name
        if len(rows) > 1:  # what would be cut off comes first
            name = f"{units.count(len(rows))} x {label.name}"
        cells.append(
            [
                Text(units.size(values["peak_bytes"])),
                Text(units.size(values["alive_at_exit_bytes"])),
                Text(units.size(values["total_bytes"])),
                Text(units.count(values["allocations"])),
                Text(start),
                Text(end),
                Text(screen.clean(name), "bold"),
            ]
        )
    used = sum(max(len(line[i]) for line in cells) + GAP for i in range(len(heads) - 1))
    for line in cells[1:]:
        name = screen.head(line[-1].plain, max(screen.width - used, LEAST))
        line[-1] = Text(name, "bold")
    screen.grid(cells, "rrrrrrl", gap=GAP)
    left = len(members) - len(shown)
    if left:
        screen.line(f"and {units.some(left, 'other', 'others')}: see --top 0", "dim")
    if any(len(rows) > 1 for rows in members):
        screen.line("threads that are alike are one row; --json has each", "dim")


def print_histogram(screen: Screen, profile: Profile, which: str) -> None:
    """``sizes`` or ``lifetimes``."""
    (print_sizes if which == "sizes" else print_lifetimes)(screen, profile)
