"""What was measured of an idle program, as text and as markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from rich.text import Text

from . import units
from .budgets import markdown_cell
from .commands import short_command
from .console import Screen, print_section

if TYPE_CHECKING:
    from heaptide.budgets import Change, Spread
    from heaptide.idle import Measured, ProcessReading, Version

WORDS = {
    "rss": "RSS",
    "pss": "PSS",
    "uss": "USS",
    "alone": "alone",
    "private_dirty": "private dirty",
    "swap": "swap",
    "swap_pss": "swap PSS",
    "heap": "traced heap",
}
_SHOWN = ("rss", "pss", "uss", "alone", "heap", "swap")
_MB, _MIB = 1e6, float(1 << 20)
_GAP = 2
_PROCESSES = 20  # listed; of a server with more than that one is like the others


def command_of(version: Version) -> str:
    """As a person would type it."""
    return short_command(version.target.argv)


def _decimals(top: float) -> int:
    """So many that both units of a figure up to ``top`` bytes fit into 15 characters."""
    return 2 if top < 999.5 * _MB else 1 if top < 9999.5 * _MB else 0


def both(value: float, decimals: int) -> str:
    """Bytes in MB, and in MiB in parentheses."""
    return f"{value / _MB:.{decimals}f} ({value / _MIB:.{decimals}f})"


def print_idle(
    measured: Measured, *, file: IO[str] | None = None, width: int | None = None
) -> None:
    """Figures of each version, processes, what to know about them, and what has changed."""
    screen = Screen(file, width)
    if measured.base is not None:
        _print_version(screen, measured, measured.base, "base: ")
        screen.line()
    _print_version(screen, measured, measured.new, "new: " if measured.base is not None else "")
    if measured.base is not None:
        _print_changes(screen, measured)


def _print_version(screen: Screen, measured: Measured, version: Version, label: str) -> None:
    title = screen.clean(f"{label}{command_of(version)}")
    screen.line(Text(screen.head(title, screen.width), "bold"))
    screen.paragraph(Text(""), screen.clean(summary(measured, version)), "dim")
    screen.line()
    head = ("MB (MiB)", "median", "MAD", "min", "max")
    rows = [[Text(word, "dim") for word in head]]
    for name, cells in _figures(version):
        rows.append([Text(name), Text(cells[0], "bold"), *map(Text, cells[1:])])
    _print_grid(screen, rows, "lrrrr")
    _print_processes(screen, version)
    notes = remarks(measured, version)
    if notes:
        screen.line()
    for note in notes:
        screen.paragraph(Text("! "), screen.clean(note), "yellow")


def _figures(version: Version) -> list[tuple[str, list[str]]]:
    """Names and cells of the figures that are known."""
    spreads = version.spreads()
    decimals = _decimals(max(one.maximum for one in spreads.values()))
    return [(WORDS[name], _cells(spreads[name], decimals)) for name in _SHOWN if name in spreads]


def _cells(one: Spread, decimals: int) -> list[str]:
    return [
        both(one.median, decimals),
        both(one.mad, decimals + 1) if one.count > 1 else "-",
        both(one.minimum, decimals),
        both(one.maximum, decimals),
    ]


def summary(measured: Measured, version: Version) -> str:
    """How it was measured, in a sentence."""
    from statistics import median

    starts = version.starts
    seconds = median(start.ready for start in starts)
    signs = measured.plan.ready.words()
    readings = units.some(measured.plan.readings, "reading", "readings")
    parts = [
        f"{units.some(len(starts), 'start', 'starts')} of {readings}",
        units.some(len(version.typical().readings[-1].processes), "process", "processes"),
    ]
    if signs:
        parts.append(f"ready after {units.duration(seconds)} ({signs})")
    else:
        parts.append("ready when started")
    converged = [start.settled[-1].seconds for start in starts if start.converged]
    if converged:
        after = units.duration(median(converged))
        load = " after the load" if len(starts[0].settled) > 1 else ""
        parts.append(f"settled in {len(converged)} of {len(starts)}{load}, {after} later")
    else:
        parts.append("not settled")
    return ", ".join(parts)


def remarks(measured: Measured, version: Version) -> list[str]:
    """What to know before the figures are believed."""
    plan = measured.plan
    found = []
    if version.unsettled:
        moved = max(s.settled[-1].range for s in version.starts if not s.converged)
        found.append(
            f"{version.unsettled} of {len(version.starts)} starts did not settle within "
            f"{units.duration(plan.settle.timeout)}: PSS moved by up to {units.size(moved)} in the "
            f"last {units.duration(plan.settle.window)}. The figures are those of a program that "
            "was not idle"
        )
    if version.untraced:
        found.append(f"traced heap: not measured, {version.untraced}")
    missing = [
        (answered.processes - answered.answered, answered.processes)
        for start in version.starts
        for answered in start.hooks
        if answered.answered < answered.processes
    ]
    if missing:
        without, of = max(missing)
        names = " and ".join(word for word in ("gc", "trim") if getattr(plan, word))
        found.append(
            f"{names}: {without} of {of} processes did not take part: they are no Python, or one "
            "that leaves PYTHONPATH alone"
        )
    return found


def _print_processes(screen: Screen, version: Version) -> None:
    typical = version.typical()
    processes = typical.readings[-1].processes
    if len(processes) < 2:
        return
    number = version.starts.index(typical) + 1
    print_section(screen, f"Processes of start {number}, whose PSS is nearest to the median, in MB")
    rows = [[Text(word, "dim") for word in ("pid", "PSS", "USS", "RSS", "command")]]
    for one in processes[:_PROCESSES]:
        memory = one.memory
        rows.append(
            [
                Text(str(one.pid)),
                *(Text(f"{size / _MB:.2f}") for size in (memory.pss, memory.uss, memory.rss)),
                Text(screen.clean(_words(one))),
            ]
        )
    screen.grid(rows, "rrrrl", gap=_GAP)
    if len(processes) > _PROCESSES:
        screen.line(f"and {len(processes) - _PROCESSES} others: see --json", "dim")


def _words(one: ProcessReading) -> str:
    return short_command(one.command) if any(one.command) else f"[{one.name}]"


def verdict(one: Change) -> str:
    """``grew``, ``shrank``, or ``same`` as far as can be told."""
    return "grew" if one.grew() else "shrank" if one.shrank() else "same"


def _change_cells(one: Change, decimals: int) -> list[str]:
    relative = one.relative
    return [
        f"{one.base.median / _MB:.{decimals}f}",
        f"{one.new.median / _MB:.{decimals}f}",
        f"{one.difference / _MB:+.{decimals + 1}f} ({one.difference / _MIB:+.{decimals + 1}f})",
        f"{one.difference_mad / _MB:.{decimals + 1}f}",
        "" if relative is None else f"{relative * 100:+.1f} %",
        verdict(one),
    ]


_CHANGE_HEADS = ("MB (MiB)", "base", "new", "difference", "MAD", "", "")


def _changes(measured: Measured) -> list[tuple[str, list[str]]]:
    changes = measured.changes()
    top = max((max(c.base.maximum, c.new.maximum) for c in changes.values()), default=0.0)
    return [(WORDS[name], _change_cells(one, _decimals(top))) for name, one in changes.items()]


def _print_changes(screen: Screen, measured: Measured) -> None:
    print_section(screen, "New against base")
    styles = {"grew": "bold red", "shrank": "green", "same": "dim"}
    rows = [[Text(word, "dim") for word in _CHANGE_HEADS]]
    for name, cells in _changes(measured):
        last = Text(cells[-1], styles[cells[-1]])
        rows.append([Text(name), *map(Text, cells[:-1]), last])
    _print_grid(screen, rows, "lrrrrrl")


def _print_grid(screen: Screen, rows: list[list[Text]], justify: str) -> None:
    """As columns, or where there is no room for them as sentences: no figure is left out."""
    widths = [max(row[column].cell_len for row in rows) for column in range(len(rows[0]))]
    if sum(widths) + _GAP * (len(widths) - 1) <= screen.width:
        screen.grid(rows, justify, gap=_GAP)
        return
    heads = [cell.plain for cell in rows[0]]
    for row in rows[1:]:
        cells = [f"{head} {cell.plain}".strip() for head, cell in zip(heads[1:], row[1:])]
        screen.paragraph(Text(""), f"{row[0].plain}, {heads[0]}: {', '.join(filter(None, cells))}")


def markdown(measured: Measured) -> str:
    """For a file, or the summary of a workflow."""
    lines = [f"### Idle memory of {markdown_cell(command_of(measured.new))}", ""]
    versions = [("base", measured.base), ("new", measured.new)]
    for label, version in versions:
        if version is None:
            continue
        if measured.base is not None:
            lines += [f"**{label}**: {markdown_cell(command_of(version))}", ""]
        lines += [markdown_cell(summary(measured, version)) + ".", ""]
        lines += _table(("MB (MiB)", "median", "MAD", "min", "max"), "lrrrr", _figures(version))
        lines += ["", *(f"- {markdown_cell(note)}" for note in remarks(measured, version))]
        lines += _process_lines(version)
    if measured.base is not None:
        lines += ["", "**New against base**", ""]
        lines += _table(_CHANGE_HEADS, "lrrrrrl", _changes(measured))
    return "\n".join(lines).rstrip() + "\n"


def _process_lines(version: Version) -> list[str]:
    processes = version.typical().readings[-1].processes
    if len(processes) < 2:
        return []
    rows = []
    for one in processes[:_PROCESSES]:
        sizes = (one.memory.pss, one.memory.uss, one.memory.rss)
        rows.append((markdown_cell(_words(one)), [f"{size / _MB:.2f}" for size in sizes]))
    return ["", *_table(("process, MB", "PSS", "USS", "RSS"), "lrrr", rows)]


def _table(
    heads: Sequence[str], justify: str, rows: Sequence[tuple[str, Sequence[str]]]
) -> list[str]:
    rule = ["---" if side == "l" else "---:" for side in justify]
    cells = [heads, rule, *((name, *rest) for name, rest in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]
