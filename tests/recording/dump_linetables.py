"""Writes line tables and their truth, as JSON: run by each interpreter that there is.

    python3.X dump_linetables.py FILE...      code objects of these sources
    python3.X dump_linetables.py              those of the sample below, as in data/linetables.json

An entry: version, first line, table (hex), and for each instruction its offset and its position
(line, end line, column, end column; 0: unknown) as the interpreter itself tells it. Runs on 3.9 and
needs nothing but the standard library.
"""

from __future__ import annotations

import dis
import json
import sys
from pathlib import Path
from types import CodeType
from typing import Any, Iterator  # noqa: UP035 - as old as the interpreters that run this

_TEXT = """
def plain(a, b):
    total = a + b  # one line
    return (total *
            a.first.second(
                b,
                key=total))


class Thing:
    async def work(self, *items):
        async with self.lock as lock:
            found = [item.name
                     for item in items if item]
        try:
            await lock(found, "é" + str(found))
        except (ValueError, KeyError) as error:
            raise RuntimeError(f"{error!r}") from error
        finally:
            self.done = True
        for item in items:
            yield item, lambda x: x + 1


def far(x):
    if x:
        return x
{gap}
    while x:
        x -= 1; x += len([x, x]) if x else 0
    return {
        "one": x, "a_rather_long_constant_that_makes_the_line_run_past_the_eightieth_one": x.real,
        **x}
"""

# Line differences that do not fit into one byte.
SAMPLE = _TEXT.replace("{gap}", "\n" * 150)


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def positions(code: CodeType) -> list[list[int]]:
    if sys.version_info >= (3, 11):
        return [
            [
                2 * unit,
                line or 0,
                end or 0,
                -1 if column is None else column,
                -1 if last is None else last,
            ]
            for unit, (line, end, column, last) in enumerate(code.co_positions())
        ]
    if sys.version_info >= (3, 10):
        spans = list(code.co_lines())
    else:
        starts = list(dis.findlinestarts(code))
        spans = [
            (start, end, line)
            for (start, line), end in zip(starts, [s for s, _ in starts[1:]] + [len(code.co_code)])
        ]
    return [
        [offset, line or 0, line or 0, -1, -1]
        for start, end, line in spans
        for offset in range(start, end, 2)
    ]


def entry(code: CodeType) -> dict[str, Any]:
    table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
    return {
        "version": sys.hexversion,
        "name": code.co_name,
        "first_line": code.co_firstlineno,
        "table": table.hex(),
        "positions": [
            [offset, line, end, column + 1, last + 1]
            for offset, line, end, column, last in positions(code)
        ],
    }


def entries(sources: list[bytes]) -> list[dict[str, Any]]:
    return [entry(code) for text in sources for code in codes(compile(text, "<sample>", "exec"))]


if __name__ == "__main__":
    texts = [Path(path).read_bytes() for path in sys.argv[1:]] or [SAMPLE.encode()]
    json.dump(entries(texts), sys.stdout, separators=(",", ":"))
    print()
