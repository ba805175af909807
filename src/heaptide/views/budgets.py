"""What became of budgets: as text, JSON, JUnit, and the summary of a workflow on GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree

from . import units

if TYPE_CHECKING:
    from heaptide.budgets import Result

SCHEMA_VERSION = 1
_GAP = 2  # between columns
_MARKS = {"ok": "passed", "over": "failed", "unknown": "not measured"}


def figure(value: float, result: Result) -> str:
    """An amount in the unit that the limit was given in: MB and MiB differ."""
    if result.unit == "ratio":
        return units.percent(value)
    if result.unit == "count":
        return units.count(round(value))
    shown = units.binary_size if result.binary else units.size
    return shown(round(value)) + ("/h" if result.unit == "bytes/hour" else "")


def _name(result: Result) -> str:
    return f"{result.phase}: {result.words}" if result.phase else result.words


def _margin(result: Result) -> str:
    """``12.3 MB left, 5.1 %`` of the limit, or ``1.2 MB over, 0.5 %``."""
    if result.margin is None:
        return result.reason
    amount = abs(result.margin)
    words = f"{figure(amount, result)} {'over' if result.margin < 0 else 'left'}"
    if result.limit and result.unit != "ratio":
        words += f", {units.percent(amount / result.limit)}"
    return words


def print_results(
    results: Sequence[Result],
    *,
    title: str,
    source: str,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """A line for each budget: figure, limit, margin."""
    from rich.text import Text

    from .console import Screen

    screen = Screen(file, width)
    screen.line(Text(screen.head(screen.clean(title), screen.width), "bold"))
    screen.line(screen.head(screen.clean(f"budgets of {source}"), screen.width), "dim")
    screen.line()
    marks = {"ok": screen.glyphs.good, "over": screen.glyphs.bad, "unknown": "?"}
    styles = {"ok": "green", "over": "bold red", "unknown": "yellow"}
    rows = [[Text(head, "dim") for head in ("", "budget", "figure", "limit", "margin")]]
    for result in results:
        value = "not measured" if result.value is None else figure(result.value, result)
        rows.append(
            [
                Text(marks[result.status], styles[result.status]),
                Text(screen.clean(_name(result))),
                Text(value, "bold"),
                Text(figure(result.limit, result)),
                Text("" if result.value is None else _margin(result), styles[result.status]),
            ]
        )
    widths = [max(row[column].cell_len for row in rows) for column in range(len(rows[0]))]
    if sum(widths) + _GAP * (len(widths) - 1) <= screen.width:
        screen.grid(rows, "llrrl", gap=_GAP)
    else:  # nothing of a verdict is left out
        for result in results:
            if result.value is not None:
                mark = Text(f"{marks[result.status]} ", styles[result.status])
                screen.paragraph(mark, screen.clean(sentence(result)))
    reasons = dict.fromkeys(result.reason for result in results if result.value is None)
    if reasons:
        screen.line()
    for reason in reasons:
        names = [_name(result) for result in results if result.reason == reason]
        text = f"{screen.clean(', '.join(names))}: {reason}"
        screen.paragraph(Text("? "), text, "yellow")


def as_json(results: Sequence[Result], *, recording: str | None, source: str) -> dict[str, Any]:
    """The document of docs/budgets.md."""
    return {
        "schema_version": SCHEMA_VERSION,
        "recording": recording,
        "budgets": source,
        "passed": all(result.status == "ok" for result in results),
        "results": [
            {
                "budget": result.budget,
                "words": result.words,
                "phase": result.phase or None,
                "unit": result.unit,
                "value": result.value,
                "limit": result.limit,
                "margin": result.margin,
                "status": result.status,
                "reason": result.reason or None,
            }
            for result in results
        ],
    }


def junit(results: Sequence[Result], *, title: str) -> bytes:
    """A test case for each budget: over is a failure, not measured an error."""
    counts = [result.status for result in results]
    suite = ElementTree.Element(
        "testsuite",
        name=_plain(f"memory of {title}"),
        tests=str(len(results)),
        failures=str(counts.count("over")),
        errors=str(counts.count("unknown")),
    )
    for result in results:
        name = f"{result.phase}.{result.budget}" if result.phase else result.budget
        case = ElementTree.SubElement(suite, "testcase", classname="heaptide", name=_plain(name))
        if result.status != "ok":
            kind = "failure" if result.status == "over" else "error"
            ElementTree.SubElement(case, kind, message=_plain(sentence(result)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _plain(text: str) -> str:
    """Without characters that XML cannot have."""
    return "".join(c if c.isprintable() else "?" for c in text)


def sentence(result: Result) -> str:
    if result.value is None:
        return f"{_name(result)}: not measured, {result.reason}"
    value, limit = figure(result.value, result), figure(result.limit, result)
    return f"{_name(result)}: {value}, limit {limit}: {_margin(result)}"


def markdown(results: Sequence[Result], *, title: str) -> str:
    """A table, as ``$GITHUB_STEP_SUMMARY`` takes it."""
    lines = [
        f"### Memory of {cell(title)}",
        "",
        "| | budget | figure | limit | margin |",
        "|---|---|---:|---:|---|",
    ]
    for result in results:
        value = "" if result.value is None else figure(result.value, result)
        cells = (
            _MARKS[result.status],
            cell(_name(result)),
            value,
            figure(result.limit, result),
            cell(_margin(result)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    plain = _plain(text).replace("&", "&amp;").replace("<", "&lt;")
    return plain.replace("|", "\\|").replace("`", "'")
