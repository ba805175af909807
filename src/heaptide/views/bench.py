"""What a bench has found: as text, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from heaptide._printable import shell_word

from . import units
from .changes import part
from .commands import short_command

if TYPE_CHECKING:
    from heaptide.bench import Bench, Compared, Values
    from heaptide.budgets import Result

    from .console import Screen

_GAP = 2  # between columns
_STYLES = {"grew": "bold red", "shrank": "green", "noise": "yellow"}


def amount(value: float, unit: str) -> str:
    """A figure, or the size of a difference, in its unit."""
    if unit == "ratio":
        return units.percent(value)
    if unit == "seconds":
        return units.duration(value)
    return units.count(round(value)) if unit == "count" else units.size(round(value))


def difference(value: float, unit: str) -> str:
    """With its sign; of parts it is in points, for a percentage would be one of them."""
    if value == 0:
        return "0"
    sign = "+" if value > 0 else "-"
    if unit == "ratio":
        return f"{sign}{abs(value) * 100:.1f} pt"
    return f"{sign}{amount(abs(value), unit)}"


def spread_words(one: Compared) -> str:
    """``exact`` where all runs of a side agree; else how far differences stray by themselves."""
    sides = [values for values in (one.base, one.new) if values is not None]
    if all(values.exact for values in sides):
        return "exact"
    if one.change is not None:
        return f"±{amount(one.change.combined_mad, one.figure.unit)}"
    return f"±{amount(sides[0].spread.mad, one.figure.unit)}"


def verdict_words(one: Compared, bench: Bench) -> str:
    if one.verdict == "within":
        return f"within {_percent(bench.thresholds.relative)}"
    return one.verdict


def conclusion(bench: Bench) -> str:
    """One sentence."""
    grown = [one.figure.words for one in bench.compared if one.regressed]
    beyond = f"{_percent(bench.thresholds.relative)} and {bench.thresholds.mads:g} combined MADs"
    if grown:
        return f"regression: {', '.join(grown)}: more, by more than {beyond}"
    judged = [one for one in bench.compared if one.judged and one.verdict]
    if not judged:
        return "nothing that was measured is judged"
    return f"no regression: nothing grew by more than {beyond}"


def remarks(bench: Bench) -> list[str]:
    """What has to be known about the figures, a sentence each."""
    found = []
    exact = [one for one in bench.compared if one.new is not None and one.new.exact]
    if any(spread_words(one) == "exact" for one in exact):
        of = " of each" if bench.base is not None and bench.base.paired else ""
        found.append(f"exact: the same in {bench.runs} of {bench.runs} runs{of}")
    idle = [one.figure for one in bench.compared if one.verdict and not one.judged]
    if idle:
        names = ", ".join(figure.words for figure in idle)
        options = " ".join(f"--metric {figure.name}" for figure in idle)
        found.append(f"{names}: shown, not judged; {options} does that")
    reasons = dict.fromkeys(one.reason for one in bench.compared if one.reason)
    for reason in reasons:
        names = ", ".join(one.figure.words for one in bench.compared if one.reason == reason)
        found.append(f"{names}: not measured, {reason}")
    if bench.base is not None and not bench.base.paired:
        found.append("the base was not run in turn: differences are those of the medians")
        found += [f"the base was measured {words}" for words in bench.base.differs]
    return found


def heading(bench: Bench) -> list[str]:
    """What was run, and how often."""
    lines = [f"new:  {short_command(bench.words)}"]
    base = bench.base
    if base is None:
        lines = [short_command(bench.words)]
    elif base.file is not None:
        lines.append(f"base: {short_command(base.words)}, in {base.file}")
    elif base.commit is not None:
        lines.append(f"base: the same at {base.commit[:12]}")
    else:
        lines.append(f"base: {short_command(base.words)}")
    paired = base is not None and base.paired
    how = f"{units.some(bench.runs, 'run', 'runs')}{' of each, in turn' if paired else ''}"
    how += f", {bench.warmup} to warm up before" if bench.warmup else ""
    if bench.sample:
        how += f", one allocation per {units.size(bench.sample)} recorded"
    return [*lines, how]


def next_command(bench: Bench) -> str:
    """What looks into the recordings that were kept; "": none were."""
    kept = bench.recordings
    paths = [shell_word(kept[side]) for side in ("base", "new") if side in kept]
    if not paths:
        return ""
    return f"heaptide {'diff' if len(paths) > 1 else 'show'} {' '.join(paths)}"


def _percent(part: float) -> str:
    return f"{part * 100:g} %"


def table(bench: Bench) -> list[list[str]]:
    """A row of names, then one for each figure that was measured."""
    measured = [one for one in bench.compared if one.new is not None]
    if bench.base is None:
        return [
            ["figure", "median", "spread", "lowest", "highest"],
            *(_alone(one, one.new) for one in measured if one.new is not None),
        ]
    return [
        ["figure", "base", "new", "difference", "", "spread", "verdict"],
        *(_beside(one, bench) for one in measured),
    ]


def _alone(one: Compared, values: Values) -> list[str]:
    found, unit = values.spread, one.figure.unit
    ends = (amount(found.minimum, unit), amount(found.maximum, unit))
    return [one.figure.words, amount(found.median, unit), spread_words(one), *ends]


def _beside(one: Compared, bench: Bench) -> list[str]:
    unit, between = one.figure.unit, one.change
    before, after = (
        "" if values is None else amount(values.spread.median, unit)
        for values in (one.base, one.new)
    )
    if between is None:
        return [one.figure.words, before, after, "", "", spread_words(one), ""]
    middle = between.base.median
    return [
        one.figure.words,
        before,
        after,
        difference(between.difference, unit),
        part(middle, middle + between.difference),
        spread_words(one),
        verdict_words(one, bench),
    ]


def print_bench(
    bench: Bench,
    results: Sequence[Result],
    *,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """A line for each figure, then what it comes to."""
    from rich.text import Text

    from .budgets import sentence
    from .console import Screen

    screen = Screen(file, width)
    for number, line in enumerate(heading(bench)):
        screen.line(screen.head(screen.clean(line), screen.width), "dim" if number else "bold")
    screen.line()
    rows = table(bench)
    if len(rows) > 1:
        _print_table(screen, rows)
        screen.line()
    for line in remarks(bench):
        screen.paragraph(Text("  "), screen.clean(line), "dim")
    marks = {"ok": screen.glyphs.good, "over": screen.glyphs.bad, "unknown": "?"}
    styles = {"ok": "green", "over": "bold red", "unknown": "yellow"}
    for result in results:
        mark = Text(f"{marks[result.status]} ", styles[result.status])
        screen.paragraph(mark, screen.clean(sentence(result)))
    if bench.base is not None:
        bad = any(one.regressed for one in bench.compared)
        mark = Text(f"{screen.glyphs.bad if bad else screen.glyphs.good} ")
        screen.paragraph(mark, conclusion(bench), "bold red" if bad else "bold")
    command = next_command(bench)
    if command:  # whole, however long: it is there to be copied
        screen.line()
        screen.console.print(Text(command), no_wrap=True, overflow="ignore", crop=False)


def _print_table(screen: Screen, rows: list[list[str]]) -> None:
    from rich.text import Text

    cells = [[Text(screen.clean(cell)) for cell in row] for row in rows]
    for cell in cells[0]:
        cell.stylize("dim")
    for row in cells[1:]:
        row[-1].stylize(_STYLES.get(row[-1].plain, ""))
    widths = [max(row[column].cell_len for row in cells) for column in range(len(rows[0]))]
    if sum(widths) + _GAP * (len(widths) - 1) <= screen.width:
        right = len(rows[0]) - 2
        screen.grid(cells, "l" + "r" * right + ("l" if rows[0][-1] == "verdict" else "r"))
        return
    for figure, *values in rows[1:]:  # nothing is left out
        named = [f"{head} {cell}".strip() for head, cell in zip(rows[0][1:], values) if cell]
        screen.paragraph(Text("  "), screen.clean(f"{figure}: {', '.join(named)}"))


def markdown(bench: Bench, results: Sequence[Result]) -> str:
    """A section with a table, as ``$GITHUB_STEP_SUMMARY`` takes it."""
    from .budgets import markdown_cell, sentence

    title, *rest = heading(bench)
    head, *rows = table(bench)
    lines = [
        f"### Memory of {markdown_cell(title.removeprefix('new: ').strip())}",
        "",
        *(f"{markdown_cell(line)}  " for line in rest),
        "",
        f"| {' | '.join(head)} |",
        f"|---|{'---:|' * (len(head) - 1)}",
        *(f"| {' | '.join(map(markdown_cell, row))} |" for row in rows),
        "",
        *(f"- {markdown_cell(line)}" for line in remarks(bench)),
        *(f"- {result.status}: {markdown_cell(sentence(result))}" for result in results),
    ]
    if bench.base is not None:
        lines += ["", f"**{markdown_cell(conclusion(bench))}**"]
    return "\n".join(lines) + "\n"
