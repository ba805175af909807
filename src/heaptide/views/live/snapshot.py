"""A live view printed once: text for a person, JSON for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from rich.text import Text

from heaptide.views import units
from heaptide.views.console import Screen, display_path
from heaptide.views.labels import GAP, divide, heads, write_label

from . import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heaptide.recorder.sessions import Running

    from .model import Look
    from .rows import Table

SCHEMA_VERSION = 1


def print_look(look: Look, table: Table, *, file: IO[str] | None = None) -> None:
    """Key figures, the heap over time, and the table, in the width there is."""
    screen = Screen(file)
    screen.line(Text(screen.clean(words.headline(look)), "bold"))
    screen.line(screen.clean(words.status(look)), "dim")
    screen.line()
    for line in _wrapped(words.key_figures(look.figures), screen.width):
        screen.line(line)
    screen.line()
    _print_heap(screen, look)
    screen.line()
    _print_table(screen, look, table)
    screen.line()
    screen.line(f"recording: {screen.clean(display_path(look.path))}", "dim")


def _wrapped(figures: Sequence[tuple[str, str]], width: int) -> list[str]:
    lines = [""]
    for name, value in figures:
        part = f"{name} {value}"
        if lines[-1] and len(lines[-1]) + len(part) + 3 > width:
            lines.append("")
        lines[-1] += ("   " if lines[-1] else "") + part
    return lines


def _print_heap(screen: Screen, look: Look) -> None:
    history = look.history
    glyphs = words.EIGHTHS if screen.glyphs.blocks else words.PLAIN
    for name, values in (("live heap", history.live_bytes), ("RSS", history.rss_bytes)):
        top = units.size(int(values.max(initial=0)))
        room = screen.width - 10 - 11
        line = words.spark(history, values, max(room, 1), glyphs)
        screen.line(f"{name:<10}{line} {top:>10}")


def _print_table(screen: Screen, look: Look, table: Table) -> None:
    metric, choice = table.metric, table.choice
    if table.unknown:
        screen.line(f"{metric.words}: {table.unknown}")
        return
    if not table.rows:
        screen.line(f"{metric.words}: nothing{' fits the search' if choice.search else ' yet'}")
        return
    left = [
        ["share", *(units.percent(row.share) for row in table.rows)],
        [metric.words, *(words.figure(metric, row.value) for row in table.rows)],
        [metric.beside_words, *(words.companion(metric, row.beside) for row in table.rows)],
    ]
    labels = [row.label for row in table.rows]
    for label in labels:
        label.clean(screen)
    used = sum(max(map(len, column)) + GAP for column in left)
    name_width, place_width = divide([heads(choice.by), *labels], screen.width - used)
    lines = [[Text(column[0], "dim") for column in left]]
    lines[0] += [Text(heads(choice.by).name, "dim"), Text(heads(choice.by).place, "dim")]
    for at, label in enumerate(labels, 1):
        name, place = write_label(screen, label, choice.by, name_width, place_width)
        style = "bold" if label.own else "dim"
        cells = [Text(column[at]) for column in left]
        lines.append([*cells, Text(name, style), Text(place, "dim")])
    screen.grid(lines, "r" * len(left) + "ll", gap=GAP)
    if table.groups > len(table.rows):
        screen.line(f"{table.groups - len(table.rows):,} more", "dim")


def print_sessions(sessions: Sequence[Running], *, file: IO[str] | None = None) -> None:
    """One line for each recording that is being made."""
    screen = Screen(file)
    lines = [[Text(head, "dim") for head in words.SESSION_HEADS]]
    for session in sessions:
        lines.append([Text(screen.clean(cell)) for cell in words.session_cells(session)])
    used = sum(max(row[i].cell_len for row in lines) + 2 for i in range(6))
    for row in lines[1:]:
        row[6] = Text(screen.head(row[6].plain, max(screen.width - used, 8)))
    screen.grid(lines, "rrrrrrl")


def document(look: Look, table: Table) -> dict[str, Any]:
    """A look as JSON, described in docs/json.md."""
    metric = table.metric
    return {
        "schema_version": SCHEMA_VERSION,
        "recording": look.path,
        "command": look.command,
        "pid": look.pid,
        "phase": look.phase.name.lower(),
        "file_bytes": look.file_bytes,
        "sample_interval": look.recording.sample_interval,
        "figures": _in_seconds(asdict(look.figures)),
        "processes": [
            {name: value for name, value in asdict(row).items() if name != "row"}
            for row in look.processes
        ],
        "table": {
            "metric": table.choice.metric,
            "words": metric.words,
            "beside_words": metric.beside_words,
            "by": table.choice.by,
            "unit": metric.unit,
            "total": table.total,
            "groups": table.groups,
            "rows": [
                {
                    "name": row.label.name,
                    "place": row.label.place,
                    "own": row.label.own,
                    "value": row.value,
                    "share": row.share,
                    "beside": row.beside,
                }
                for row in table.rows
            ],
        },
    }


def sessions_document(sessions: Sequence[Running]) -> dict[str, Any]:
    """All that are being made, as JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "recordings": [
            {
                "recording": session.recording,
                "deleted": session.deleted,
                "command": list(session.command),
                "pid": session.root,
                "collector_pid": session.collector,
                "state": session.live.state.name.lower(),
                "figures": _in_seconds(
                    {name: value for name, value in vars(session.live).items() if name != "state"}
                ),
            }
            for session in sessions
        ],
    }


def _in_seconds(figures: dict[str, Any]) -> dict[str, Any]:
    """Times under names, and in units, as in all other JSON."""
    found = {}
    for name, value in figures.items():
        if name.endswith("_ns"):
            found[name[: -len("_ns")] + "_seconds"] = value / 1e9
        else:
            found[name] = value
    return found
