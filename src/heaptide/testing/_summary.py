"""What is said of measured tests at the end: a table, markdown, annotations of a workflow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from heaptide.testing._measures import SHOWN
from heaptide.testing._results import TestResult
from heaptide.testing._words import amount
from heaptide.views.budgets import markdown_cell

_STATUS = {"ok": "ok", "over": "OVER", "error": "ERROR"}
_WORDS = {"new": "new", "same": "as before", "lower": "less", "higher": "MORE"}


def _ordered(results: Iterable[TestResult]) -> list[TestResult]:
    """What failed first, then by peak."""
    return sorted(
        results, key=lambda one: (one.status == "ok", -one.figures.get("peak", 0), one.test)
    )


def print_summary(reporter: Any, results: Sequence[TestResult], top: int) -> None:
    """``reporter``: pytest's, for the terminal."""
    failed = sum(one.status != "ok" for one in results)
    rows = _ordered(results)[: max(top, failed)]
    if top <= 0 and not failed:
        return
    reporter.section("memory of tests")
    table = [["", *SHOWN, "others", "baseline", "test"]]
    table += [_row(one) for one in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    for number, row in enumerate(table):
        cells = [
            row[column].ljust(width) if column in (0, 5) else row[column].rjust(width)
            for column, width in enumerate(widths)
        ]
        line = "  ".join([*cells, row[-1]]).rstrip()
        bad = number > 0 and rows[number - 1].status != "ok"
        reporter.write_line(line, red=bad) if bad else reporter.write_line(line)
    if len(results) > len(rows):
        reporter.write_line(f"and {len(results) - len(rows)} more: --memory-top={len(results)}")


def _row(one: TestResult) -> list[str]:
    shown = [amount(name, one.figures[name]) if name in one.figures else "" for name in SHOWN]
    others = one.others.get("total", 0)
    repeated = one.benchmark and f" ({int(one.benchmark.get('iterations', 0))} iterations)"
    return [
        _STATUS[one.status],
        *shown,
        amount("total", others) if others else "",
        _WORDS.get(one.baseline, ""),
        one.test + (repeated or ""),
    ]


def markdown(results: Sequence[TestResult]) -> str:
    """As ``$GITHUB_STEP_SUMMARY`` takes it."""
    lines = [
        "### Memory of tests",
        "",
        "| | test | peak | total | allocations | baseline |",
        "|---|---|---:|---:|---:|---|",
    ]
    for one in _ordered(results):
        row = _row(one)
        cells = [row[0], markdown_cell(one.test), *row[1:4], row[5]]
        lines.append(f"| {' | '.join(cells)} |")
    for one in _ordered(results):
        if one.problems:
            head = f"<details><summary>{markdown_cell(one.test)}</summary>"
            text = "\n".join(one.problems).replace("```", "'''")
            lines += ["", head, "", "```", text, "```", "", "</details>"]
    return "\n".join(lines) + "\n"


def workflow_warnings(results: Sequence[TestResult], root: Path) -> list[str]:
    """A warning for each test that failed, at the line that most was allocated in."""
    found = []
    for one in _ordered(results):
        if one.status == "ok":
            continue
        where = ""
        if one.place:
            file, line = one.place
            where = f" file={_property(_relative(str(file), root))},line={line},"
        else:
            where = f" file={_property(one.test.partition('::')[0])},"
        title = _property(f"memory of {one.test}")
        found.append(f"::warning{where}title={title}::{_data(chr(10).join(one.problems))}")
    return found


def _relative(file: str, root: Path) -> str:
    base = os.environ.get("GITHUB_WORKSPACE") or os.fspath(root)
    path = os.path.relpath(file, base)
    return file if path.startswith("..") else path


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
