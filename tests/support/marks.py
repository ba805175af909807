"""Expected figures, read from the marks in the sources of the truth programs.

    //@ name             the lines from here on belong to the function `name` (Python: #@ name)
    //@ name partly      likewise; it has other lines that allocate, which are not marked
    //= key=value ...    what a recording must say of the next line of code (Python: #= ...)

Values are integer expressions; ``$name`` in one is a figure that the program printed as
``figure name value``.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Figures = Mapping[str, int]
Site = Mapping[str, object]

_FUNCTION = re.compile(r"^\s*(?://|#)@ (\S+)( partly)?")
_EXPECTED = re.compile(r"^\s*(?://|#)= (.*)")
_PRINTED = re.compile(r"^figure (\w+) (-?\d+)$", re.MULTILINE)
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class Mark:
    """What is expected of one line."""

    function: str
    file: str  # without directories
    line: int
    expected: Mapping[str, str]
    whole: bool  # all lines of the function that allocate are marked


def read_marks(source: Path) -> list[Mark]:
    """The marks of a source file, in the order of its lines."""
    marks = []
    function, whole = "", True
    pairs: list[str] = []
    for number, text in enumerate(source.read_text().splitlines(), 1):
        named = _FUNCTION.match(text)
        expected = _EXPECTED.match(text)
        if named:
            function, whole = named.group(1), named.group(2) is None
        elif expected:
            pairs += expected.group(1).split()
        elif pairs:
            parted = (pair.partition("=") for pair in pairs)
            figures = {key: value for key, _, value in parted}
            marks.append(Mark(function, source.name, number, figures, whole))
            pairs = []
    return marks


def printed_figures(output: str) -> dict[str, int]:
    """The figures that a program printed."""
    return {name: int(value) for name, value in _PRINTED.findall(output)}


def evaluate(expression: str, figures: Figures) -> int:
    """The value of an expected figure.

    Raises:
        KeyError: it names a figure that the program did not print.
    """
    tree = ast.parse(expression.replace("$", "figure_"), mode="eval")
    return _evaluate(tree.body, figures)


def _evaluate(node: ast.expr, figures: Figures) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return figures[node.id[len("figure_") :]]
    if isinstance(node, ast.BinOp):
        apply = _OPERATIONS[type(node.op)]
        return apply(_evaluate(node.left, figures), _evaluate(node.right, figures))
    raise ValueError(f"not an integer expression: {ast.dump(node)}")


def names_function(shown: object, name: str) -> bool:
    """Whether a function as a recording shows it (``truth::draw(int)``) is the one marked."""
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", str(shown)) is not None


def differences_by_line(
    marks: Iterable[Mark], sites: Iterable[Site], figures: Figures
) -> list[str]:
    """One line of text for each figure of a source line that is not as expected."""
    found = []
    rows = list(sites)
    for mark in marks:
        matching = [row for row in rows if row["line"] == mark.line and _file_of(row) == mark.file]
        where = f"{mark.file}:{mark.line} in {mark.function}"
        strange = {str(row["function"]) for row in matching}
        strange = {name for name in strange if not names_function(name, mark.function)}
        if strange:
            found.append(f"{where}: function is {strange}")
        found += _compare(where, mark.expected, matching, figures)
    return found


def differences_by_function(
    marks: Iterable[Mark], sites: Iterable[Site], figures: Figures
) -> list[str]:
    """Likewise for functions that are marked as a whole: the figures that all their lines have."""
    by_function: dict[str, list[Mark]] = {}
    for mark in marks:
        if mark.whole:
            by_function.setdefault(mark.function, []).append(mark)
    found = []
    rows = list(sites)
    for function, own in by_function.items():
        keys = set.intersection(*(set(mark.expected) for mark in own))
        expected = {key: "+".join(f"({mark.expected[key]})" for mark in own) for key in keys}
        matching = [
            row
            for row in rows
            if names_function(row["function"], function) and _file_of(row) == own[0].file
        ]
        found += _compare(function, expected, matching, figures)
    return found


def _file_of(site: Site) -> str:
    return Path(str(site["file"] or "")).name


def _compare(
    where: str, expected: Mapping[str, str], rows: list[Site], figures: Figures
) -> list[str]:
    found = []
    for key, expression in sorted(expected.items()):
        want = evaluate(expression, figures)
        got = sum(int(str(row[key])) for row in rows)
        if got != want:
            found.append(f"{where}: {key} is {got}, expected {want}")
    return found
